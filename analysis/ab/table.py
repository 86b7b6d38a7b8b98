"""Read arms' moments from a table, so that an experiment needs no event log of ours.

In: an Arrow table, a Parquet file, or a query on a connection, whose rows are listeners, sessions,
or aggregates of them. Out: the moments of which `effects` makes the same estimates as of a log's.
The database sums up and checks; what comes here is a row an arm.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.ab.effects import Measured
from analysis.ab.metrics import ROWS, Metric
from analysis.errors import AnalysisError
from analysis.queries import Column, Constant, Function, Star
from analysis.statistics.moments import Moments

_AGGREGATES = ("metric", "count", "mean", "variance")
# what is computed of the numerator, 0, and the denominator, 1
_STATISTICS: Mapping[str, tuple[Any, ...]] = {
    "mean": ("avg", 0),
    "variance": ("var_samp", 0),
    "skewness": ("skewness", 0),
    "denominator_mean": ("avg", 1),
    "denominator_variance": ("var_samp", 1),
    "covariance": ("covar_samp", 0, 1),
}
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
        """Return a column; raise an AnalysisError where there is none."""
        if name in self.rows.columns:
            return Column(name)
        found = ", ".join(self.rows.columns)[:200]
        raise AnalysisError(f"{self.name}: no column {name}; found are {found}")


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
        queries.connect() as own,
        queries.naming(name, queries.DatabaseError, pa.ArrowException),
    ):
        if isinstance(source, Path):
            rows = own.read_parquet(str(source))
        elif isinstance(source, str):
            rows = _run(source, own if connection is None else connection, own)
        else:
            rows = own.from_arrow(source)
        yield Table(rows, name, arm, listener)


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
    parts = []
    fault = getattr(connection, "Error", Exception)
    with closing(connection.cursor()) as cursor, queries.naming("the query", fault):
        cursor.execute(sql)
        names = [column[0] for column in cursor.description or ()]
        while names and (fetched := cursor.fetchmany(_ROWS_AT_ONCE)):
            columns = map(pa.array, zip(*fetched, strict=True))
            parts.append(pa.table(dict(zip(names, columns, strict=True))))
    if not parts:
        raise AnalysisError(f"the query: {_NO_ROWS}")
    return own.from_arrow(pa.concat_tables(parts, promote_options="permissive"))


def read_table(
    table: Table, metrics: Sequence[Metric]
) -> tuple[Measured, tuple[int, int]]:
    """Return the moments of metrics by arm, and the first and last time in ms since the epoch.

    A metric's numerator and denominator are columns of the table, or `ROWS`; aggregates know it by
    its name. Times are 0 where they are unknown.

    Raises:
        AnalysisError: A column is missing, has gaps or holds no numbers; a listener is in two arms;
            or aggregates cannot be, as when a variance is negative or a count falls.
    """
    is_summed = set(_AGGREGATES) <= set(table.rows.columns)
    rows = (_read_aggregates if is_summed else _sum_up)(table, metrics)
    moments: dict[str, dict[str, Moments]] = {metric.name: {} for metric in metrics}
    skewness: dict[str, float] = defaultdict(float)
    sums = {metric.name: metric.sums for metric in metrics}
    for row in rows:
        name = row["metric"]
        moments[name][row["arm"]] = _moments(sums[name], row)
        if not is_summed:
            skewness[name] = max(skewness[name], abs(row["skewness"] or 0.0))
    span = (
        min((row.get("first_ms", 0) for row in rows), default=0),
        max((row.get("last_ms", 0) for row in rows), default=0),
    )
    return Measured(moments, skewness=skewness), span


def _sum_up(table: Table, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Return count, moments and skewness by metric and arm; the table is read once."""
    names = dict.fromkeys(name for metric in metrics for name in metric.columns)
    one = Constant(1)
    chosen = {
        "arm": table.column(table.arm).cast("VARCHAR"),
        "listener": table.column(table.listener) if table.listener else one,
    }
    for name in names:
        value = one if name == ROWS else table.column(name)
        chosen[name] = value.cast("DOUBLE")
    rows = table.rows.select(*(value.alias(key) for key, value in chosen.items()))
    kind = "ab/sums_of_listeners" if table.listener else "ab/each_a_listener"
    wanted: dict[str, queries.Expression] = {
        "arm": Column("arm"),
        "count": Function("count", one),
        "in_two_arms": Function("count_if", Column("arm") != Column("other_arm")),
    }
    for missing in ("missing_arm", *(f"missing_{name}" for name in names)):
        wanted[missing] = Function("sum", Column(missing))
    for metric in metrics:
        for name, (function, *places) in _STATISTICS.items():
            values = (Column(metric.columns[place]) for place in places)
            wanted[f"{metric.name} {name}"] = Function(function, *values)
    summed = cast("queries.Rows", rows.query("ab_rows", queries.statement(kind)))
    found = summed.aggregate([value.alias(key) for key, value in wanted.items()], "arm")
    arms = found.order("arm").to_arrow_table().to_pylist()
    _check_rows(table, arms, names)
    return [
        {"metric": metric.name, "arm": row["arm"], "count": row["count"]}
        | {name: row[f"{metric.name} {name}"] for name in _STATISTICS}
        for metric in metrics
        for row in arms
    ]


def _check_rows(
    table: Table,
    arms: Sequence[Mapping[str, Any]],
    columns: Iterable[str],
) -> None:
    """Refuse rows without an arm or a number, and listeners in two arms."""
    for name in ("arm", *columns):
        if count := sum(row[f"missing_{name}"] for row in arms):
            column = table.arm if name == "arm" else name
            problem = f"{count:,} rows have no {column}; leave them out, or fill them"
            raise AnalysisError(f"{table.name}: {problem}")
    if count := sum(row["in_two_arms"] for row in arms):
        problem = f"a {table.listener} is in two values of {table.arm}; each is in one"
        raise AnalysisError(f"{table.name}: {problem} (found {count:,} in two)")


def _read_aggregates(table: Table, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Return the aggregates of metrics at the last time, if nothing is wrong with them."""
    arm = table.column(table.arm).alias("arm")
    others = Star(exclude=[table.arm])
    aggregates = table.rows.select(arm, others).to_arrow_table()
    with queries.connect(threads=1) as connection:
        connection.register("aggregates", aggregates)
        wanted = [metric.name for metric in metrics]
        queries.materialize(connection, "timed", "ab/timed_aggregates", metrics=wanted)
        faults = queries.fetch_table(connection, "ab/aggregate_faults", metrics=wanted)
        for fault in faults["fault"].to_pylist():
            raise AnalysisError(f"{table.name}: {fault}")
        rows = queries.fetch_table(connection, "ab/last_aggregates")
    return list(rows.to_pylist())


def _moments(names: tuple[str, ...], row: Mapping[str, Any]) -> Moments:
    """Return the moments of a row of `last_aggregates.sql`."""
    means = np.array([row["mean"], row["denominator_mean"]])
    both = row["covariance"]
    covariances = [[row["variance"], both], [both, row["denominator_variance"]]]
    # there are no variances of fewer than two listeners
    known = np.array(covariances) if row["count"] > 1 else np.zeros((2, 2))
    return Moments(names, row["count"], means, known)
