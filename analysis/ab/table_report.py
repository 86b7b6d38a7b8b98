"""The report on a table: its configuration, and the same estimates and verdict as of a log."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from analysis.ab.config import AbConfig
from analysis.ab.effects import Measured, metric_effects, surely_better
from analysis.ab.evidence import Evidence
from analysis.ab.looks import Look
from analysis.ab.metrics import SUMS
from analysis.ab.parts.data_quality import Quality, Trust
from analysis.ab.report import Report, summarize
from analysis.ab.table import ROWS, Table, read_table
from analysis.errors import AnalysisError
from analysis.logs.lines import LineCounts
from analysis.statistics.sample_ratio import check_sample_ratio
from looplib.errors import ConfigError
from looplib.experiments import Experiment


def table_document(
    primary: Sequence[str],
    guardrails: Sequence[Mapping[str, Any]],
    lower: Collection[str],
) -> dict[str, Any]:
    """Return the metrics of a report on a table, as keys of `AbConfig`.

    Args:
        primary: The columns, or metrics of aggregates, that decide; "minutes / sessions" is the
            ratio of two columns.
        guardrails: As in the configuration, of columns.
        lower: Those that are better when lower.

    Raises:
        ConfigError: No metric is named.
    """
    if not primary:
        example = "such as metrics=['minutes'], or metrics: [minutes] in the experiment's file"
        raise ConfigError(f"metrics: name the columns that decide, {example}")
    columns = dict.fromkeys([*primary, *(row["metric"] for row in guardrails)])
    names = {column: f"c{number}" for number, column in enumerate(columns)}
    measured = {}
    for column, name in names.items():
        numerator, _, denominator = (part.strip() for part in column.partition("/"))
        measured[name] = {
            "label": column,
            "sql": SUMS,
            "numerator": numerator,
            "denominator": denominator or ROWS,
            "better": "lower" if column in lower else "higher",
            "has_past": False,
        }
    return {
        "metrics": measured,
        "primary": [names[column] for column in primary],
        "secondary": [],
        "diagnostics": [],
        "guardrails": [{**row, "metric": names[row["metric"]]} for row in guardrails],
    }


def report_on_table(
    table: Table, config: AbConfig, name: str = "", plan: Experiment | None = None
) -> Report:
    """Make the report on a table of listeners, of sessions, or of aggregates.

    The name is the experiment's, and the plan its file.

    Raises:
        AnalysisError: It cannot be read, or has nothing to compare.
    """
    if config.horizon and not config.horizon.listeners:
        kind = table.name.replace("the ", "a ", 1)
        problem = f"{kind} has no dates to stop at; give the listeners"
        raise AnalysisError(f"horizon: {problem}, such as {{'listeners': 5000}}")
    measured, span_ms = read_table(table, config.reported)
    for metric in config.reported:
        arms = list(measured.moments[metric.name])
        if config.control not in arms or len(arms) < 2:
            problem = f"{config.control} and another {table.arm} are expected"
            raise AnalysisError(f"{table.name}: {problem}; found are {', '.join(arms)}")
    return report_on_moments(measured, config, name or table.name, span_ms, plan)


def report_on_moments(
    measured: Measured,
    config: AbConfig,
    name: str,
    span_ms: tuple[int, int] = (0, 0),
    plan: Experiment | None = None,
) -> Report:
    """Make the report on moments alone; effects and verdict name metrics by their labels."""
    counts = {config.control: 0} | measured.listeners
    total = sum(counts.values())
    planned = config.horizon.listeners if config.horizon else None
    look = Look(config, total / (planned or 1))
    found = metric_effects(measured, look)
    evidence = Evidence(
        counts,
        LineCounts(total, total),
        check_sample_ratio(counts, config.shares),
        trust=Trust(0, Quality(), ()),
        effects=tuple(replace(effect, metric=effect.label) for effect in found),
        beats=surely_better(measured, look),
        at_horizon=look.at_horizon,
        skewness=measured.skewness,
        span_ms=span_ms,
    )
    return summarize(name, evidence, config, plan)
