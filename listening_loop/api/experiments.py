"""Report on an experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.ab.config import AbConfig
from analysis.ab.metrics import SUMS
from analysis.ab.page.page import render
from analysis.ab.report import Report, build_report, report_on_columns
from analysis.ab.verdict import Verdict
from listening_loop.api.frames import Frame, is_frame, to_frame, to_table
from listening_loop.api.runs import page_frame
from listening_loop.errors import FrameError
from looplib.arrays import FloatArray
from looplib.config import parse_config
from looplib.errors import UserError

_ROWS = "rows"  # the column of a listener's number of rows


@dataclass(frozen=True, repr=False)
class Experiment:
    """An A/B report; a notebook shows its page."""

    report: Report

    @property
    def verdict(self) -> Verdict:
        """What to do, and why."""
        return self.report.verdict

    @property
    def effects(self) -> Frame:
        """Effect of each arm on each metric, with interval and adjusted p-value."""
        rows = []
        for effect in self.report.effects:
            row = {
                "arm": effect.arm,
                "metric": effect.metric,
                "role": effect.role,
                "control": effect.control_value,
                "value": effect.arm_value,
                **asdict(effect.relative),
                "p_value": effect.adjusted_p_value,
            }
            rows.append(row)
        return to_frame(pa.Table.from_pylist(rows))

    def __repr__(self) -> str:
        """Return the verdict and its reason."""
        return f"<Experiment {self.report.experiment}: {self.verdict}>"

    def _repr_html_(self) -> str:
        return page_frame(render(self.report))


def ab(
    data: Frame | str | Path | Sequence[str | Path],
    experiment: str = "",
    *,
    control: str = "C",
    metrics: Sequence[str] | Mapping[str, Literal["higher", "lower"]] = (),
    guardrails: Mapping[str, float] = MappingProxyType({}),
    arm: str = "arm",
    listener: str | None = None,
    **settings: Any,  # noqa: ANN401  values of AbConfig
) -> Experiment:
    """Report on an experiment from event logs or a session store, or from a data frame.

    Args:
        data: Files, folders, patterns, or a store; or a data frame with a row for each listener or
            each session.
        experiment: Its name in the log; none for a data frame.
        control: The arm that the others are compared with.
        metrics: Of a data frame: the columns of numbers that decide; a mapping says which are
            better when lower.
        guardrails: Of a data frame: columns that must surely not get worse → the change of the mean
            that is accepted, in %: 5 where it may rise by 5 %, -10 where it may fall by 10 %.
        arm: Of a data frame: the column of arms.
        listener: Of a data frame: the column of listeners, where they have several rows. Then a
            metric is the mean over rows, with the uncertainty between listeners (delta method).
        settings: Of the A/B configuration, such as `alpha=0.01`, or `horizon={"listeners": 5000}`.

    Raises:
        Error: There is no such experiment, no control, or nothing to compare it with; a column is
            missing or has gaps, or a listener is in two arms.
    """
    settings["control"] = control
    if not is_frame(data):
        if metrics or guardrails or listener:
            problem = "metrics, guardrails and listener are for data frames"
            raise UserError(f"{problem}; for logs, see docs/experiments.md")
        paths = [data] if isinstance(data, (str, Path)) else list(data)
        config = parse_config(AbConfig, settings, "the arguments")
        return Experiment(build_report(paths, experiment, config))
    config = _configure(metrics, guardrails, settings)
    by_arm = _by_arm(data, config, arm, listener)
    if control not in by_arm or len(by_arm) < 2:
        problem = f"{control} and another {arm} are expected"
        raise FrameError(f"the data frame: {problem}; found are {list(by_arm)}")
    first = {control: by_arm.pop(control)}
    return Experiment(report_on_columns(first | by_arm, config, "the data frame"))


def _configure(
    metrics: Sequence[str] | Mapping[str, Literal["higher", "lower"]],
    guardrails: Mapping[str, float],
    settings: Mapping[str, Any],
) -> AbConfig:
    """Return the configuration of a report on metrics that are columns: `c0` is the first."""
    if not metrics:
        example = "such as metrics=['minutes']"
        raise UserError(f"metrics: name the columns that decide, {example}")
    better: dict[str, str] = dict.fromkeys(metrics, "higher")
    if isinstance(metrics, Mapping):
        better = dict(metrics)
    for column, change in guardrails.items():
        better[column] = "lower" if change > 0 else "higher"
    names = {column: f"c{number}" for number, column in enumerate(better)}
    measured = {
        name: {
            "label": column,
            "sql": SUMS,
            "numerator": name,
            "denominator": _ROWS,
            "better": better[column],
            "has_past": False,
        }
        for column, name in names.items()
    }
    accepted = [
        {"metric": names[column], "margin_pct": abs(change)}
        for column, change in guardrails.items()
    ]
    document: dict[str, Any] = {
        "metrics": measured,
        "primary": [names[column] for column in metrics],
        "secondary": [],
        "diagnostics": [],
        "guardrails": accepted,
    }
    config = parse_config(AbConfig, {**document, **settings}, "the arguments")
    if config.horizon and not config.horizon.listeners:
        problem = "a data frame has no dates; give the listeners"
        raise UserError(f"horizon: {problem}, such as {{'listeners': 5000}}")
    return config


def _by_arm(
    data: Frame, config: AbConfig, arm: str, listener: str | None
) -> dict[str, dict[str, FloatArray]]:
    """Return each arm's columns by listener, summed over their rows, and the number of those."""
    names = {metric.label: name for name, metric in config.metrics.items()}
    table = to_table(data, [arm, *names, *([listener] if listener else [])])
    if listener is None:
        listener = "(row)"  # each is another listener's
        table = table.append_column(listener, [np.arange(table.num_rows)])
    sums = [*((column, "sum") for column in names), (arm, "count")]
    table = table.group_by([arm, listener]).aggregate(sums)
    if len(table[listener].unique()) < table.num_rows:
        problem = f"a {listener} is in two values of {arm}; each is in one"
        raise FrameError(f"the data frame: {problem}")
    columns = {f"{column}_sum": name for column, name in names.items()}
    columns[f"{arm}_count"] = _ROWS
    found = {}
    for value in sorted(table[arm].unique().to_pylist()):
        rows = table.filter(pc.equal(table[arm], pa.scalar(value)))
        found[str(value)] = {
            name: rows[column].to_numpy().astype(np.float64)
            for column, name in columns.items()
        }
    return found
