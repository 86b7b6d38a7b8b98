"""Read arms' moments from a table, so that an experiment needs no event log of ours.

In: an Arrow table, a Parquet file, or a query of DuckDB's, whose rows are listeners, sessions,
or aggregates of them. Out: the same moments as from a log. The database sums up and checks, and
returns a row an arm.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, permutations
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.events import NO_END
from analysis.ab.evidence import Evidence, weigh
from analysis.ab.metrics import ROWS, Metric
from analysis.ab.moments import (
    RATIO,
    VALUES,
    MetricMoments,
    from_row,
    read_moments,
    thin,
)
from analysis.ab.quality import SURELY_SOME
from analysis.errors import AnalysisError
from analysis.queries import Column, Constant, Function, Star
from analysis.statistics import effects
from analysis.statistics.moments import Moments

# endings of file names
_PARQUET = (".parquet", ".pq")
TABLES = (*_PARQUET, ".csv", ".tsv", ".csv.gz")
# A jump beyond both is no chance: standard errors, and deviations that new values can cause.
_LEAST_JUMP = 2.0
_MOST_DEVIATIONS = 6.0
_OVERSHOOT = 1.1  # times the planned listeners that a last day may bring
_TOO_LARGE = 1e100  # the square of a larger number may be infinite
# the last row of a metric and arm, and the row before
Step = tuple[MetricMoments, MetricMoments]
_AGGREGATES = ("metric", "count", "mean", "variance")


@dataclass(frozen=True)
class Table:
    """A table of an experiment."""

    rows: queries.Rows
    name: str  # its name in messages, such as "the query"
    arm: str  # the column of arms
    # the column of listeners who may have several rows; None if each row is another listener
    listener: str | None

    def find_control(self) -> str:
        """Find the control by its name, control or C."""
        arms = self.rows.select(Column(self.arm).cast("VARCHAR")).distinct()
        return "control" if ("control",) in arms.fetchall() else "C"

    def evidence(self, config: AbConfig, end_ms: int = NO_END) -> Evidence:
        """Weigh the rows, or the aggregates until a time.

        The numerator and the denominator of a metric are columns, or `ROWS`; aggregates have it by
        its name.

        Raises:
            AnalysisError: A column is missing, has gaps or holds no numbers; a listener is in two
                arms; aggregates cannot be, as when a variance is negative or a count falls; or
                there are far more listeners than planned, and no times.
        """
        if set(_AGGREGATES) <= set(self.rows.columns):
            evidence = _weigh_aggregates(self, config, end_ms)
        else:
            rows = read_rows(self, config)
            recommenders = config.recommenders
            evidence = weigh(rows, config, self.name, recommenders=recommenders)
        total, planned = evidence.listener_count, config.horizon or math.inf
        has_times = evidence.left_out or evidence.dates
        if total > _OVERSHOOT * planned and not has_times:
            problem = f"{total:,} listeners, and {planned:,} are planned"
            advice = (
                "leave out those who came after the day on which these were reached"
            )
            raise AnalysisError(f"{self.name}: {problem}; {advice}")
        return evidence


@contextmanager
def open_table(
    source: pa.Table | Path | str,
    connection: Any = None,  # noqa: ANN401  checked
    *,
    arm: str,
    listener: str | None,
) -> Iterator[Table]:
    """Open an Arrow table, a Parquet or CSV file, or a SQL query, by default in memory.

    Raises:
        AnalysisError: It cannot be read, now or while its rows are read later.
    """
    names = {pa.Table: "the data frame", str: "the query"}
    name = names.get(type(source), str(source))
    with (
        queries.connect() as memory,
        queries.naming(name, queries.DatabaseError, pa.ArrowException),
    ):
        if isinstance(source, Path):
            if name.lower().endswith(_PARQUET):
                rows = memory.read_parquet(name)
            else:
                # dates stay text, as day and month may be guessed the wrong way round
                rows = memory.read_csv(
                    name,
                    auto_type_candidates=["BOOLEAN", "BIGINT", "DOUBLE", "VARCHAR"],
                )
        elif isinstance(source, str):
            if not isinstance(connection or memory, queries.Connection):
                problem = f"DuckDB's is expected, not {type(connection).__name__}"
                raise AnalysisError(f"connection: {problem}; or pass a data frame")
            rows = (connection or memory).sql(source)
            if rows is None:
                problem = "it returns no rows; a SELECT of at least two is expected"
                raise AnalysisError(f"{name}: {problem}")
        else:
            rows = memory.from_arrow(source)
        yield Table(rows, name, arm, listener)


def read_rows(table: Table, config: AbConfig) -> list[MetricMoments]:
    """Compute the moments of metrics by arm from rows of listeners or sessions.

    Raises:
        AnalysisError: A row has no arm, or a value that is no number.
    """
    moments = [
        row
        for metric in config.reported
        for row in read_moments(select_values(table, metric))
    ]
    rows = "listeners" if table.listener else "rows"
    for row in moments:
        lacking = row.listeners if row.arm is None else 0
        column = f"{table.arm} or id" if lacking else f"finite {row.metric}"
        if missing := lacking or row.listeners - row.moments.count:
            problem = f"{missing:,} {rows} have no {column}"
            advice = "leave them out, or fill them"
            raise AnalysisError(f"{table.name}: {problem}; {advice}")
    return moments


def select_values(table: Table, metric: Metric) -> queries.Rows:
    """Select a row a listener with the values of a metric, NULL if a value is no number."""
    columns = {"arm": Column(table.arm).cast("VARCHAR")}
    for value in VALUES[:2]:
        name = getattr(metric, value)
        number = Constant(1) if name == ROWS else Column(name)
        columns[value] = number.cast("DOUBLE")
    if table.listener:
        listener = columns["listener"] = Column(table.listener)
        columns["arm"] = queries.Case(listener.isnotnull(), columns["arm"])
    rows = table.rows.select(*(value.alias(name) for name, value in columns.items()))
    if table.listener:
        summed = queries.statement("ab/table_listeners")
        rows = cast("queries.Rows", rows.query("table_rows", summed))
    numerator, denominator = map(Column, VALUES[:2])
    limit = Constant(_TOO_LARGE)
    are_numbers = (Function("abs", numerator) < limit) & (
        Function("abs", denominator) < limit
    )
    return rows.select(
        Column("arm"),
        Constant(metric.name).alias("metric"),
        Constant("").alias("segment"),
        queries.Case(are_numbers, numerator).alias("numerator"),
        queries.Case(are_numbers, denominator).alias("denominator"),
    )


def _weigh_aggregates(table: Table, config: AbConfig, end_ms: int) -> Evidence:
    """Weigh the aggregates of metrics at the last time, if nothing is wrong with them."""
    arm = Column(table.arm).alias("arm")
    rest = Star(exclude=[table.arm])
    names = [metric.name for metric in config.reported]
    with queries.connect(threads=1) as connection:
        connection.register("aggregates", table.rows.select(arm, rest).to_arrow_table())
        queries.materialize(connection, "timed", "ab/timed_aggregates", metrics=names)
        errors = queries.fetch_table(connection, "ab/aggregate_errors", metrics=names)
        for error in errors["error"].to_pylist():
            raise AnalysisError(f"{table.name}: {error}")
        rows = queries.fetch_table(
            connection,
            "ab/last_aggregates",
            planned=config.horizon,
            min_days=config.min_days,
            end_ms=end_ms,
        ).to_pylist()
    by_time = [[from_row(at) for at in row["latest"]] for row in rows]
    whole = [replace(latest, segment="") for latest, *_ in by_time]
    steps = [(times[0], times[1]) for times in by_time if len(times) > 1]
    shown = reversed([*chain.from_iterable(map(thin, by_time))])
    evidence = weigh(
        [*whole, *shown],
        config,
        table.name,
        first_listeners=rows[0]["first_listeners"],
        recommenders=config.recommenders,
    )
    return replace(
        evidence,
        span_ms=(
            min(row["first_ms"] for row in rows),
            max(row["last_ms"] for row in rows),
        ),
        left_out=max(row["left_out"] for row in rows),
        frozen=find_frozen(steps),
        jumped=find_jump(steps, config.control),
    )


def find_frozen(steps: Sequence[Step]) -> tuple[str, str] | None:
    """Find a metric and an arm whose row equals the row before, though newcomers are due."""
    for (row, before), (other, other_before) in permutations(steps, 2):
        newcomers = other.listeners - other_before.listeners
        is_due = newcomers * row.listeners >= SURELY_SOME * other.listeners
        is_still = (row.moments.means == before.moments.means).all()
        has_same = row.listeners == before.listeners and row.metric == other.metric
        if is_due and is_still and has_same:
            return row.metric, row.arm
    return None


def find_jump(steps: Sequence[Step], control: str) -> tuple[str, str] | None:
    """Find a metric and an arm whose effect is too far from the row before."""
    for (row, before), (other, other_before) in permutations(steps, 2):
        arms = (other_before.moments, before.moments, other.moments, row.moments)
        if (row.metric, control) == (other.metric, other.arm) and jumps(*arms):
            return row.metric, row.arm
    return None


def jumps(
    control_before: Moments, arm_before: Moments, control: Moments, arm: Moments
) -> bool:
    """Check for an effect too far from the analysis before to be explained by new values.

    With s for the old values' share, z standard errors before are expected to become z √s without
    an effect, and z / √s with an effect.
    """
    pairs = ((control_before, arm_before), (control, arm))
    compared = [effects.compare_moments(*arms, RATIO) for arms in pairs]
    if not all(effect.standard_error > 0 for effect in compared):
        return False
    before, now = (row.absolute.value / row.standard_error for row in compared)
    old, new = (
        sum(moments.sum_of_squares(RATIO.numerator) for moments in arms)
        for arms in pairs
    )
    share = min(1.0, old / new)
    low, high = sorted((before * math.sqrt(share), before / math.sqrt(share)))
    distance = max(low - now, now - high)
    return distance > max(_LEAST_JUMP, _MOST_DEVIATIONS * math.sqrt(1 - share))
