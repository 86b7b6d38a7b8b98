"""Read arms' moments from a table, so that an experiment needs no event log of ours.

In: an Arrow table, a Parquet file, or a query on a connection, whose rows are listeners, sessions,
or aggregates of them. Out: the moments of which `effects` makes the same estimates as of a log's.
The database sums up and checks; what comes here is a row an arm.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.ab.effects import Measured
from analysis.ab.metrics import Metric
from analysis.errors import AnalysisError
from analysis.queries import Column, Constant
from analysis.statistics.moments import Moments

ROWS = "number of rows"  # the denominator that counts a listener's rows
_AGGREGATES = ("metric", "count", "mean", "variance")
_OF_RATIOS = ("denominator_mean", "denominator_variance", "covariance")
_ROWS_AT_ONCE = 100_000
_LONGEST = 300  # characters of a database's message
_NO_ROWS = "it returns no rows; a SELECT of at least two is expected"


@dataclass(frozen=True)
class Table:
    """A table of an experiment."""

    rows: queries.Rows
    name: str  # what messages call it, such as "the query"
    arm: str = "arm"  # the column of arms
    # the column of listeners who may have several rows; None where each row is another's
    listener: str | None = None

    def column(self, name: str) -> queries.Expression:
        """Return a column; raise an AnalysisError where there is none."""
        if name in self.rows.columns:
            return Column(name)
        found = ", ".join(self.rows.columns)[:_LONGEST]
        raise AnalysisError(f"{self.name}: no column {name}; found are {found}")


@contextmanager
def open_table(
    source: pa.Table | Path | str,
    name: str,
    connection: Any = None,  # noqa: ANN401  of DuckDB, or any of the Python DB API
    *,
    arm: str = "arm",
    listener: str | None = None,
) -> Iterator[Table]:
    """Open an Arrow table, a Parquet file, or a SQL query; by default DuckDB runs it, in memory.

    Raises:
        AnalysisError: It cannot be read, also later, while its rows are; one line.
    """
    with queries.connect() as own:
        try:
            if isinstance(source, Path):
                rows = own.read_parquet(str(source))
            elif isinstance(source, str):
                rows = _run(source, own if connection is None else connection, own)
            else:
                rows = own.from_arrow(source)
            yield Table(rows, name, arm, listener)
        except (queries.DatabaseError, pa.ArrowException) as error:
            raise AnalysisError(f"{name}: {_in_one_line(error)}") from None


def _run(sql: str, connection: Any, own: queries.Connection) -> queries.Rows:  # noqa: ANN401
    """Run a query where its connection is; another database's rows are copied to our own."""
    if isinstance(connection, queries.Connection):
        rows = connection.sql(sql)
        if rows is None:
            raise AnalysisError(f"the query: {_NO_ROWS}")
        return rows
    if not hasattr(connection, "cursor"):
        found = type(connection).__name__
        raise AnalysisError(
            f"connection: one of DuckDB or of the Python DB API, not {found}"
        )
    cursor, parts = connection.cursor(), []
    try:
        cursor.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        while names and (fetched := cursor.fetchmany(_ROWS_AT_ONCE)):
            columns = map(pa.array, zip(*fetched, strict=True))
            parts.append(pa.table(dict(zip(names, columns, strict=True))))
    except getattr(connection, "Error", Exception) as error:
        raise AnalysisError(f"the query: {_in_one_line(error)}") from None
    finally:
        cursor.close()
    if not parts:
        raise AnalysisError(f"the query: {_NO_ROWS}")
    return own.from_arrow(pa.concat_tables(parts, promote_options="permissive"))


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST]


def read_table(
    table: Table, metrics: Sequence[Metric]
) -> tuple[Measured, tuple[int, int]]:
    """Return the moments of metrics by arm, and the first and last time in ms since the epoch.

    A metric's numerator and denominator are columns of the table, or `ROWS`; aggregates know it by
    its label. Times are 0 where they are unknown.

    Raises:
        AnalysisError: A column is missing, has gaps or holds no numbers; a listener is in two arms;
            or aggregates cannot be, as when a variance is negative or a count falls.
    """
    if not set(_AGGREGATES) <= set(table.rows.columns):
        rows_of = {metric.name: _sum_up(table, metric) for metric in metrics}
        moments = {
            metric.name: {
                arm: _moments(metric, row) for arm, row in rows_of[metric.name].items()
            }
            for metric in metrics
        }
        skewness = {
            name: max(abs(row["skewness"] or 0.0) for row in by_arm.values())
            for name, by_arm in rows_of.items()
        }
        return Measured(moments, skewness=skewness), (0, 0)
    rows = _read_aggregates(table, [metric.label for metric in metrics])
    moments = {}
    for metric in metrics:
        mine = [row for row in rows if row["metric"] == metric.label]
        moments[metric.name] = {row["arm"]: _moments(metric, row) for row in mine}
    span = min(row["first_ms"] for row in rows), max(row["last_ms"] for row in rows)
    return Measured(moments), span


def _sum_up(table: Table, metric: Metric) -> dict[str, dict[str, Any]]:
    """Return the rows of `moments.sql` by arm, of a table of listeners or sessions."""
    numerator, denominator = metric.columns
    one = Constant(1)
    chosen = {
        "arm": table.column(table.arm).cast("VARCHAR"),
        "listener": table.column(table.listener) if table.listener else one,
        "numerator": table.column(numerator).cast("DOUBLE"),
        "denominator": one if denominator == ROWS else table.column(denominator),
    }
    chosen["denominator"] = chosen["denominator"].cast("DOUBLE")
    measured = table.rows.select(*(value.alias(key) for key, value in chosen.items()))
    kind = "ab/sums_of_listeners" if table.listener else "ab/each_a_listener"
    listeners = queries.query_rows(measured, "ab_rows", kind)
    found = queries.query_rows(listeners, "ab_listeners", "ab/moments").to_arrow_table()
    by_arm = {row["arm"]: row for row in found.to_pylist()}
    if None in by_arm:
        gaps = f"{by_arm[None]['all_rows']:,} rows have no {table.arm}"
        raise AnalysisError(f"{table.name}: {gaps}; leave them out")
    if gaps := sum(row["gaps"] for row in by_arm.values()):
        problem = f"{gaps:,} rows have no {metric.label}"
        raise AnalysisError(f"{table.name}: {problem}; leave them out, or fill them")
    if count := sum(row["in_two_arms"] for row in by_arm.values()):
        problem = f"a {table.listener} is in two values of {table.arm}; each is in one"
        raise AnalysisError(f"{table.name}: {problem} (found {count:,} in two)")
    return by_arm


def _read_aggregates(table: Table, metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return the aggregates of metrics at the last time, if nothing is wrong with them."""
    optional = ("time", *_OF_RATIOS)
    missing = [name for name in optional if name not in table.rows.columns]
    chosen = {
        name: Constant(None) if name in missing else table.column(name)
        for name in (*_AGGREGATES, *optional)
    } | {"arm": table.column(table.arm)}
    texts = ("arm", "metric", "time")
    aggregates = table.rows.select(
        *(
            value.cast("VARCHAR" if name in texts else "DOUBLE").alias(name)
            for name, value in chosen.items()
        )
    ).to_arrow_table()
    with queries.connect(threads=1) as connection:
        queries.attach_arrow(connection, "aggregates", aggregates)
        queries.materialize(
            connection, "timed", "ab/timed_aggregates", metrics=list(metrics)
        )
        faults = queries.fetch_table(connection, "ab/aggregate_faults")
        for fault in faults["fault"].to_pylist():
            raise AnalysisError(f"{table.name}: {fault}")
        rows = queries.fetch_table(connection, "ab/last_aggregates")
    known = set(aggregates["metric"].to_pylist())
    for metric in metrics:
        if metric not in known:
            found = ", ".join(sorted(map(str, known)))
            raise AnalysisError(f"{table.name}: no metric {metric}; found are {found}")
    return list(rows.to_pylist())


def _moments(metric: Metric, row: Mapping[str, Any]) -> Moments:
    """Return the moments of a row of `moments.sql` or `last_aggregates.sql`."""
    means = np.array([row["mean"], row["denominator_mean"]])
    both = row["covariance"]
    covariances = [[row["variance"], both], [both, row["denominator_variance"]]]
    # there are no variances of fewer than two listeners
    known = np.array(covariances) if row["count"] > 1 else np.zeros((2, 2))
    return Moments(metric.sums, row["count"], means, known)
