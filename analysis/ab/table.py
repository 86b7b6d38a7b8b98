"""Read arms' moments from a table, so that an experiment needs no event log of ours.

In: an Arrow table, a Parquet file, or a query on a connection, whose rows are listeners, sessions,
or aggregates of them. Out: the same moments as of a log. The database sums up and checks; what
comes here is a row an arm.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.ab.metrics import ROWS, Metric
from analysis.ab.moments import RATIO, MetricMoments, column_name, read_moments
from analysis.errors import AnalysisError
from analysis.queries import Column, Constant, Function, Star
from analysis.statistics.moments import Moments

_AGGREGATES = ("metric", "count", "mean", "variance")
_ROWS_AT_ONCE = 100_000
_NO_ROWS = "it returns no rows; a SELECT of at least two is expected"


@dataclass(frozen=True)
class Table:
    """A table of an experiment."""

    rows: queries.Rows
    name: str  # what messages call it, such as "the query"
    arm: str  # the column of arms
    # the column of listeners who may have several rows; None where each row is another's
    listener: str | None

    def column(self, name: str) -> queries.Expression:
        """Express a column; raise an AnalysisError where there is none."""
        if name in self.rows.columns:
            return Column(name)
        columns = ", ".join(self.rows.columns)[:200]
        raise AnalysisError(f"{self.name}: no column {name}; found are {columns}")


@contextmanager
def open_table(
    source: pa.Table | Path | str,
    connection: Any = None,  # noqa: ANN401  of DuckDB, or any of the Python DB API
    *,
    arm: str,
    listener: str | None,
) -> Iterator[Table]:
    """Open an Arrow table, a Parquet file, or a SQL query; by default DuckDB runs it, in memory.

    Raises:
        AnalysisError: It cannot be read, also later, while its rows are; one line.
    """
    names = {pa.Table: "the data frame", str: "the query"}
    name = names.get(type(source), str(source))
    with (
        queries.connect() as memory,
        queries.naming(name, queries.DatabaseError, pa.ArrowException),
    ):
        if isinstance(source, Path):
            rows = memory.read_parquet(str(source))
        elif isinstance(source, str):
            rows = _run(source, memory if connection is None else connection, memory)
        else:
            rows = memory.from_arrow(source)
        yield Table(rows, name, arm, listener)


def _run(sql: str, connection: Any, memory: queries.Connection) -> queries.Rows:  # noqa: ANN401
    """Run a query where its connection is; another database's rows are copied into memory."""
    if isinstance(connection, queries.Connection):
        rows = connection.sql(sql)
        if rows is None:
            raise AnalysisError(f"the query: {_NO_ROWS}")
        return rows
    if not hasattr(connection, "cursor"):
        kind = type(connection).__name__
        raise AnalysisError(
            f"connection: one of DuckDB or of the Python DB API, not {kind}"
        )
    parts = []
    error = getattr(connection, "Error", Exception)
    with closing(connection.cursor()) as cursor, queries.naming("the query", error):
        cursor.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        while names and (fetched := cursor.fetchmany(_ROWS_AT_ONCE)):
            columns = map(pa.array, zip(*fetched, strict=True))
            parts.append(pa.table(dict(zip(names, columns, strict=True))))
    if not parts:
        raise AnalysisError(f"the query: {_NO_ROWS}")
    return memory.from_arrow(pa.concat_tables(parts, promote_options="permissive"))


def read_table(
    table: Table, metrics: Sequence[Metric], skewed: Collection[str] = ()
) -> tuple[list[MetricMoments], tuple[int, int]]:
    """Read the moments of metrics by arm, and the first and last time in ms since the epoch.

    A metric's numerator and denominator are columns of the table, or `ROWS`; aggregates have it by
    its name. Times are 0 where they are unknown.

    Args:
        table: It.
        metrics: What is read.
        skewed: Names of those whose skewness is wanted; aggregates have none.

    Raises:
        AnalysisError: A column is missing, has gaps or holds no numbers; a listener is in two arms;
            or aggregates cannot be, as when a variance is negative or a count falls.
    """
    if set(_AGGREGATES) <= set(table.rows.columns):
        return _read_aggregates(table, metrics)
    moments = read_moments(select_listeners(table, metrics), metrics, skewed)
    rows = "listeners" if table.listener else "rows"
    for row in moments:
        lacking = row.listeners if row.arm is None else 0
        column = table.arm if lacking else row.metric
        if missing := lacking or row.listeners - row.moments.count:
            problem = (
                f"{missing:,} {rows} have no {column}; leave them out, or fill them"
            )
            raise AnalysisError(f"{table.name}: {problem}")
    return moments, (0, 0)


def select_listeners(table: Table, metrics: Sequence[Metric]) -> queries.Rows:
    """Select a row a listener from a table, as `analysis.ab.moments` reads it.

    Raises:
        AnalysisError: A column is missing.
    """
    row = Constant(1)
    keys = {
        "arm": table.column(table.arm).cast("VARCHAR"),
        "segment": Constant(""),
        "listener": table.column(table.listener) if table.listener else row,
    }
    values = {}
    for metric in metrics:
        for value in (RATIO.numerator, RATIO.denominator):
            column = getattr(metric, str(value))
            number = row if column == ROWS else table.column(column)
            values[column_name(metric.name, str(value))] = number.cast("DOUBLE")
    columns = [value.alias(name) for name, value in (keys | values).items()]
    rows = table.rows.select(*columns)
    if table.listener:
        summed = queries.statement("ab/table_listeners")
        rows = cast("queries.Rows", rows.query("table_rows", summed))
    numbers = []
    for metric in metrics:
        names = [column_name(metric.name, str(value)) for value in vars(RATIO).values()]
        top, bottom = (Function("isfinite", Column(name)) for name in names)
        numbers += [
            queries.Case(top & bottom, Column(name)).alias(name) for name in names
        ]
    return rows.select(Column("arm"), Column("segment"), *numbers)


def _read_aggregates(
    table: Table, metrics: Sequence[Metric]
) -> tuple[list[MetricMoments], tuple[int, int]]:
    """Read the aggregates of metrics at the last time, if nothing is wrong with them."""
    arm = table.column(table.arm).alias("arm")
    rest = Star(exclude=[table.arm])
    names = [metric.name for metric in metrics]
    with queries.connect(threads=1) as connection:
        connection.register("aggregates", table.rows.select(arm, rest).to_arrow_table())
        queries.materialize(connection, "timed", "ab/timed_aggregates", metrics=names)
        errors = queries.fetch_table(connection, "ab/aggregate_errors", metrics=names)
        for error in errors["error"].to_pylist():
            raise AnalysisError(f"{table.name}: {error}")
        rows = queries.fetch_table(connection, "ab/last_aggregates").to_pylist()
    first_ms, last_ms = ([row[key] for row in rows] for key in ("first_ms", "last_ms"))
    span_ms = (min(first_ms, default=0), max(last_ms, default=0))
    return [_moments_of(row) for row in rows], span_ms


def _moments_of(row: Mapping[str, Any]) -> MetricMoments:
    """Convert a row of `last_aggregates.sql`."""
    both = row["covariance"]
    covariances = [[row["variance"], both], [both, row["denominator_variance"]]]
    count = row["count"]
    moments = Moments(
        names=("numerator", "denominator"),
        count=count,
        means=np.array([row["mean"], row["denominator_mean"]]),
        # there are no variances of fewer than two listeners
        covariances=np.array(covariances) if count > 1 else np.zeros((2, 2)),
    )
    return MetricMoments(row["metric"], row["arm"], "", count, moments)
