"""Report on an experiment."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from analysis.ab import words
from analysis.ab.config import AbConfig, plan_document, table_document
from analysis.ab.page import render
from analysis.ab.report import Report, build_report, report_on_table
from analysis.ab.table import TABLES, open_table
from analysis.ab.verdict import Verdict
from analysis.queries import Connection, Rows, ask
from analysis.views import LISTENER_VALUES, REPORT, open_views
from listening_loop.api.frames import Frame, is_frame, to_table
from listening_loop.api.runs import page_frame
from listening_loop.sql import locate
from looplib.config import parse_config
from looplib.errors import UserError
from looplib.experiments import load_experiment
from looplib.files import atomic_write_json

if TYPE_CHECKING:
    import pandas as pd

# The folders of reports, which relations may read until Python ends.
_scratch: list["tempfile.TemporaryDirectory[str]"] = []
# The columns of a frame of effects, by the attribute that each shows
_COLUMNS = {
    "arm": "arm",
    "metric": "metric",
    "role": "role",
    "control": "control_value",
    "value": "arm_value",
    "effect_pct": "relative.value",
    "lower_pct": "relative.lower",
    "upper_pct": "relative.upper",
    "p_value": "adjusted_p_value",
}


@dataclass(frozen=True, repr=False)
class AbReport:
    """An A/B report; a notebook shows its page."""

    report: Report
    folder: Path  # what `sql` reads, until Python ends

    def sql(self, query: str) -> Rows:
        """Ask its views in SQL, such as `effects` and `listener_values` (docs/sql.md).

        Returns:
            DuckDB's relation, which runs when it is read: `.df()`, `.pl()`, `.to_arrow_table()`.

        Raises:
            Error: The query is wrong or does more than read.
        """
        atomic_write_json(self.folder / REPORT, self.report.to_json())
        return ask(open_views([self.folder], locate=locate), query)

    @property
    def verdict(self) -> Verdict:
        """The decision and its reason, as values; `print` a report for sentences."""
        return self.report.verdict

    @property
    def effects(self) -> "pd.DataFrame":
        """Effect of each arm on each metric, with interval and adjusted p-value."""
        columns = {
            name: [*map(attrgetter(path), self.report.evidence.effects)]
            for name, path in _COLUMNS.items()
        }
        frame: pd.DataFrame = pa.table(columns).to_pandas()
        return frame

    def __str__(self) -> str:
        """Say the verdict and its reason."""
        return words.summary(self.report)

    def __repr__(self) -> str:
        """Return the verdict and its reason."""
        return f"<AbReport {self.report.experiment}: {self}>"

    def _repr_html_(self) -> str:
        return page_frame(render(self.report))


def ab(
    data: Frame | str | Path | Sequence[str | Path],
    experiment: str | Path = "",
    *,
    connection: Connection | None = None,
    control: str | int | None = None,
    metrics: str | Sequence[str] | Mapping[str, Literal["higher", "lower"]] = (),
    guardrails: Mapping[str, float] = MappingProxyType({}),
    arm: str = "arm",
    listener: str | None = None,
    by: str = "",
    listeners: str | Path | None = None,
    **settings: Any,  # noqa: ANN401  values of AbConfig
) -> AbReport:
    """Report on an experiment from event logs or a session store, or from a table.

    A table is a data frame, a Parquet or CSV file, or a SQL query of DuckDB's. It has a row for
    each listener or each session; or aggregates, a row for each arm, metric and time: columns
    `metric`, `count` of listeners so far, `mean`, `variance` and, if there are several, `time`; a
    ratio has also `denominator_mean`, `denominator_variance` and `covariance`.

    Args:
        data: Files, folders, patterns, or a store; or a table.
        experiment: Its file, such as "experiment.yaml"; or its name in the log, if that has
            several.
        connection: DuckDB's connection that runs `data`, if that is a query.
        control: The arm that the others are compared with, such as 0; by default the file's first,
            or "C", or in a table "control".
        metrics: The columns of numbers of a table, or the metrics of aggregates, that decide; a
            mapping says which are better when lower. "minutes / sessions" is a ratio of columns.
        guardrails: Columns of a table that must surely not get worse → the accepted change in %:
            5 if it may rise by 5 %, -10 if it may fall by 10 %.
        arm: The column of arms in a table.
        listener: The column of listeners in a table, if they have several rows. Then a metric is
            the mean over rows, with the uncertainty between listeners (delta method).
        by: The column of groups of listeners, whose effects `report.sql("FROM effects")` has: of a
            table, or for logs of `listeners`.
        listeners: A Parquet or CSV file, or a `.sql` file with a query, with a column `listener`.
        settings: Values of the A/B configuration, such as `alpha=0.01`, or
            `fixed_horizon={"listeners": 5000}`.

    Raises:
        Error: There is no such experiment, no control, or nothing to compare it with; a column is
            missing or has gaps, a listener is in two arms, or a query fails.

    Example:
        >>> import pandas as pd
        >>> arms = pd.DataFrame(
        ...     {
        ...         "arm": ["control", "treatment"],
        ...         "metric": "minutes",
        ...         "count": [5000, 5000],
        ...         "mean": [30.0, 33.0],
        ...         "variance": [25.0, 25.0],
        ...     }
        ... )
        >>> report = ab(arms, metrics="minutes")
        >>> report.verdict.decision, report.verdict.arm
        ('ship', 'treatment')
        >>> report.effects[["arm", "metric", "effect_pct"]].round(1)
                 arm   metric  effect_pct
        0  treatment  minutes        10.0
    """
    scratch = tempfile.TemporaryDirectory(prefix="listening-loop-")
    _scratch.append(scratch)
    folder = Path(scratch.name)
    plan = load_experiment(str(experiment))
    document = plan_document(plan)
    if control is not None:
        text = str(control)  # in tables booleans have small letters
        document["control"] = text.lower() if isinstance(control, bool) else text
    name = plan.name if plan else str(experiment)
    source: pa.Table | Path | str = str(data)
    if is_frame(data):
        source = to_table(data)
    elif connection is None and str(data).lower().endswith(TABLES):
        source = Path(str(data))
    if connection is None and isinstance(source, str):
        if metrics or guardrails or listener:
            raise UserError(
                f"metrics, guardrails and listener are for tables: {', '.join(TABLES)}, a data "
                "frame, or a query with connection=; for logs, see docs/experiments.md"
            )
        if bool(by) != (listeners is not None):
            raise UserError("by= of logs needs listeners=, a file that has the column")
        paths = [data] if isinstance(data, (str, Path)) else list(data)
        if not paths:
            raise UserError(
                "data=[]: name event logs, folders of logs, or session stores"
            )
        config = parse_config(AbConfig, document | settings, "the arguments")
        report = build_report(
            paths,
            name,
            config,
            plan,
            groups=(Path(listeners), by) if listeners else None,
            values_file=folder / LISTENER_VALUES,
        )
        return AbReport(report, folder)
    lower = {*(plan.lower_is_better if plan else ())}
    document["lower_is_better"] = sorted(_lower_columns(lower, metrics, guardrails))
    if metrics:
        document["primary"] = [metrics] if isinstance(metrics, str) else list(metrics)
    if guardrails:
        document["guardrails"] = [
            {"metric": column, "margin_pct": abs(change)}
            for column, change in guardrails.items()
        ]
    document = table_document(document)
    with open_table(source, connection, arm=arm, listener=listener, by=by) as table:
        config = parse_config(AbConfig, document | settings, "the arguments")
        return AbReport(report_on_table(table, config, name, plan), folder)


def _lower_columns(
    lower: set[str],
    metrics: str | Sequence[str] | Mapping[str, str],
    guardrails: Mapping[str, float],
) -> set[str]:
    """Add to the columns that are better when lower; `metrics` wins over guardrails.

    Raises:
        UserError: A name, a direction or a change is none.
    """
    columns = metrics if isinstance(metrics, Iterable) else [metrics]
    if not all(isinstance(column, str) for column in columns):
        problem = "names of columns are expected, such as ['minutes']"
        raise UserError(f"metrics={metrics!r}: {problem}")
    try:
        lower = lower | {column for column, change in guardrails.items() if change > 0}
    except (AttributeError, TypeError):
        problem = "the change in % by column is expected, such as {'skips': 10}"
        raise UserError(f"guardrails={guardrails!r}: {problem}") from None
    if not isinstance(metrics, Mapping):
        return lower
    for column, better in metrics.items():
        if better not in {"higher", "lower"}:
            problem = "'higher' or 'lower' is expected"
            raise UserError(f"metrics: {column}: {better!r}; {problem}")
    return (lower - metrics.keys()) | {
        column for column, better in metrics.items() if better == "lower"
    }
