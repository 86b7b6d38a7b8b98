"""Report on an experiment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analysis.ab.config import AbConfig
from analysis.ab.page.page import render
from analysis.ab.report import Report, build_report
from analysis.ab.verdict import Verdict
from analysis.statistics.effects import compare_moments
from analysis.statistics.moments import Moments, Quantity
from listening_loop.frames import Frame, FrameError, to_frame, to_table
from listening_loop.runs import page_frame
from looplib.config import parse_config


class Experiment:
    """An A/B report; a notebook shows its page."""

    def __init__(self, report: Report) -> None:
        """Take a report."""
        self.report = report

    @property
    def verdict(self) -> Verdict:
        """What to do, and why."""
        return self.report.verdict

    @property
    def effects(self) -> Frame:
        """Effect of each arm on each metric, with interval and adjusted p-value."""
        rows = [
            {
                "arm": effect.arm,
                "metric": effect.metric,
                "role": effect.role,
                "control": effect.control_value,
                "value": effect.arm_value,
                "effect_pct": effect.relative.effect_pct,
                "lower_pct": effect.relative.lower_pct,
                "upper_pct": effect.relative.upper_pct,
                "p_value": effect.adjusted_p_value,
            }
            for effect in self.report.effects
        ]
        return to_frame(pa.Table.from_pylist(rows))

    def __repr__(self) -> str:
        """Return the verdict and its reason."""
        verdict = self.verdict
        return f"<Experiment {self.report.experiment}: {verdict.decision} {verdict.arm or ''}: {verdict.reason}>"

    def _repr_html_(self) -> str:
        return page_frame(render(self.report))


def compare(
    data: Frame, metrics: Sequence[str], *, arm: str = "arm", control: str = "C", listener: str | None = None
) -> Frame:
    """Compare the means of metrics between arms, from a data frame with a row for each listener or each session.

    Args:
        data: A data frame of pandas, polars, Arrow or Dask.
        metrics: Columns of numbers.
        arm: The column of arms.
        control: The arm that the others are compared with.
        listener: The column of listeners, where they have several rows: then a metric is the mean over rows, and its
            uncertainty that between listeners (the ratio's by the delta method).

    Returns:
        A frame with the columns arm, metric, control, value, effect_pct, lower_pct, upper_pct (95 %), p_value (Welch).

    Raises:
        Error: A column is missing or has gaps, there is no control, or a listener is in two arms.
    """
    table = to_table(data, [arm, *metrics, *([listener] if listener else [])])
    groups = [arm, listener] if listener else None
    if groups:
        table = table.group_by(groups).aggregate([*((metric, "sum") for metric in metrics), (arm, "count")])
        if len(table[listener].unique()) < table.num_rows:
            raise FrameError(f"the data frame: a {listener} is in two values of {arm}; each is in one")
    suffix, rows = ("_sum", f"{arm}_count") if groups else ("", None)
    arms = table[arm].unique().to_pylist()
    if control not in arms or len(arms) < 2:
        raise FrameError(f"the data frame: {control} and another {arm} are expected; found are {arms}")
    columns = [f"{metric}{suffix}" for metric in metrics] + ([rows] if rows else [])
    moments = {}
    for name in arms:
        of_arm = table.filter(pc.equal(table[arm], pa.scalar(name)))
        moments[name] = Moments.of({column: of_arm[column].to_numpy() for column in columns})
    found = []
    for name in sorted(moments.keys() - {control}, key=str):
        for metric in metrics:
            effect = compare_moments(moments[control], moments[name], Quantity(f"{metric}{suffix}", rows))
            ends = effect.relative.scaled(100)
            values = {"arm": name, "metric": metric, "control": effect.control.value, "value": effect.arm.value}
            values |= {"effect_pct": ends.value, "lower_pct": ends.lower, "upper_pct": ends.upper}
            found.append(values | {"p_value": effect.p_value})
    return to_frame(pa.Table.from_pylist(found))


def ab(
    logs: str | Path | Sequence[str | Path],
    experiment: str,
    *,
    control: str = "C",
    **settings: Any,  # noqa: ANN401  values of AbConfig
) -> Experiment:
    """Report on an experiment from event logs or a session store.

    Args:
        logs: Files, folders, patterns, or a store.
        experiment: Its name in the log.
        control: The arm that the others are compared with.
        settings: Of the A/B configuration, such as `alpha=0.01`.

    Raises:
        Error: There is no such experiment, no control, or nothing to compare it with.
    """
    paths = [logs] if isinstance(logs, (str, Path)) else list(logs)
    config = parse_config(AbConfig, {"control": control, **settings}, "the arguments")
    return Experiment(build_report(paths, experiment, config))
