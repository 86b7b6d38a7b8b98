"""Read arms' moments from a table, so that an experiment needs no event log of ours.

In: an Arrow table, a Parquet file, or a query of DuckDB's, whose rows are listeners, sessions,
or aggregates of them. Rows are summed up to aggregates by the statement that warehouses run. Out:
the same moments as from a log.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.events import NO_END
from analysis.ab.evidence import Evidence, weigh_evidence
from analysis.ab.metrics import Metric
from analysis.ab.moments import (
    RATIO,
    UNTIL,
    VALUES,
    MetricMoments,
    from_row,
    read_moments,
    thin,
)
from analysis.ab.quality import find_daily_ratios, find_table_faults
from analysis.ab.segments import check_number
from analysis.errors import AnalysisError
from analysis.queries import Case, Column, Constant, Star
from analysis.statistics.moments import Moments
from looplib.arrays import FloatArray

# endings of file names
_PARQUET = (".parquet", ".pq")
TABLES = (*_PARQUET, ".csv", ".tsv", ".csv.gz")
_OVERSHOOT = 1.1  # times the planned listeners that a last day may bring
_FEWEST_TIMES = 4  # times at least, if the first quarter and later half are compared
_AGGREGATES = ("metric", "count", "mean", "variance")


@dataclass(frozen=True)
class Table:
    """A table of an experiment."""

    rows: queries.Rows
    name: str  # its name in messages, such as "the query"
    arm: str  # the column of arms
    # the column of listeners who may have several rows; None if each row is another listener
    listener: str | None
    by: str = ""  # the column of groups of listeners, if effects in groups are wanted

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
        rows = self._last_aggregates(config, end_ms)
        if not rows:
            raise AnalysisError(f"{self.name}: no aggregates up to that time")
        by_time = [[from_row(**at) for at in row["latest"]] for row in rows]
        whole = [replace(latest, segment="") for latest, *_ in by_time]
        shown = reversed([*chain.from_iterable(map(thin, by_time))])
        by_day = [row for row in shown if row.segment]
        first = rows[0]["first_listeners"]
        parts = (
            compare_halves(times)
            for times in by_time
            if times[0].metric in config.primary
        )
        dominated = {row.metric for row in whole if row.is_dominated}
        more = *chain.from_iterable(parts), *self._winsorised(config, dominated)
        evidence = weigh_evidence(
            [*whole, *by_day, *more],
            config,
            self.name,
            first,
            config.recommenders,
            groups=[*self._groups(config)] if end_ms == NO_END else (),
        )
        total, planned = evidence.listener_count, config.horizon or math.inf
        span_ms = (
            min(row["first_ms"] for row in rows),
            max(row["last_ms"] for row in rows),
        )
        left_out = max(row["left_out"] for row in rows)
        if total > _OVERSHOOT * planned and not (left_out or span_ms[1]):
            problem = f"{total:,} listeners, and {planned:,} are planned"
            advice = (
                "leave out those who came after the day on which these were reached"
            )
            raise AnalysisError(f"{self.name}: {problem}; {advice}")
        in_order = [times[::-1] for times in by_time]
        dates = tuple(row.segment.removeprefix(UNTIL) for row in in_order[0])
        arrivals = {
            rows[0].arm: np.diff([row.listeners for row in rows], prepend=0).tolist()
            for rows in in_order
        }
        faults = find_table_faults(in_order, dates, config.control)
        ratios = find_daily_ratios(arrivals, dates, config.shares)
        return replace(
            evidence,
            span_ms=span_ms,
            left_out=left_out,
            findings=(*faults, *evidence.findings),
            cautions=tuple(ratios) if len(dates) > 1 else (),
        )

    def _groups(self, config: AbConfig) -> Iterator[MetricMoments]:
        """Read the moments of each group of listeners that aggregates can be made of."""
        if not self.by:
            return
        text = Column(self.by).cast("VARCHAR")
        group = Case(text.isnotnull(), text).otherwise(Constant("unknown"))
        labels = self.rows.select(group).distinct().fetchnumpy().popitem()[1].tolist()
        check_number(labels, f"{self.name}: {self.by}")
        for label in sorted(labels):
            table = replace(self, rows=self.rows.filter(group == Constant(label)))
            with suppress(AnalysisError):  # an arm has no listener at some time
                for row in table._last_aggregates(config, NO_END):
                    latest = from_row(**row["latest"][0])
                    yield replace(latest, segment=f"{self.by}={label}")

    def _last_aggregates(self, config: AbConfig, end_ms: int) -> list[dict[str, Any]]:
        """Read the rows of `sql/ab/last_aggregates.sql`."""
        names = [metric.name for metric in config.reported]
        with queries.connect(threads=1) as connection:
            connection.register("aggregates", self._aggregates(config))
            queries.materialize(
                connection, "timed", "ab/timed_aggregates", metrics=names
            )
            errors = queries.fetch_table(
                connection, "ab/aggregate_errors", metrics=names
            )
            for error in errors["error"].to_pylist():
                raise AnalysisError(f"{self.name}: {error}")
            rows = queries.fetch_table(
                connection,
                "ab/last_aggregates",
                planned=config.horizon,
                min_days=config.min_days,
                end_ms=end_ms,
            )
        return cast("list[dict[str, Any]]", rows.to_pylist())

    @property
    def _is_summed_up(self) -> bool:
        """Whether the rows are aggregates."""
        return set(_AGGREGATES) <= set(self.rows.columns)

    def _aggregates(self, config: AbConfig) -> pa.Table:
        """Fetch the aggregates, or sum up the rows to aggregates, a metric at a time."""
        if self._is_summed_up:
            columns = Column(self.arm).alias("arm"), Star(exclude=[self.arm])
            return self.rows.select(*columns).to_arrow_table()
        metrics = config.reported
        return pa.concat_tables(self._sum_up(row).to_arrow_table() for row in metrics)

    def _winsorised(
        self, config: AbConfig, names: Collection[str]
    ) -> Iterator[MetricMoments]:
        """Read the moments of winsorised values, which aggregates do not have."""
        for metric in config.deciding:
            if metric.name in names and not self._is_summed_up:
                yield from read_moments(self._sum_up(metric, "ab/winsorised"))

    def _sum_up(self, metric: Metric, name: str = "ab/moments") -> queries.Rows:
        """Run a SQL file on the values of listeners."""
        from analysis.ab.warehouse import SOURCE, moments_statement  # parses SQL

        statement = moments_statement([metric], self.arm, self.listener, name=name)
        return cast("queries.Rows", self.rows.query(SOURCE, statement))


@contextmanager
def open_table(
    source: pa.Table | Path | str,
    connection: Any = None,  # noqa: ANN401  checked
    *,
    arm: str,
    listener: str | None,
    by: str = "",
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
        yield Table(rows, name, arm, listener, by)


def compare_halves(times: Sequence[MetricMoments]) -> Iterator[MetricMoments]:
    """Compare the listeners of the later half of the times with the first quarter.

    Args:
        times: Moments of an arm until each time, the latest first.

    Yields:
        The moments in the segment `calendar`. Both parts have the larger of the variances by the
            first quarter and now, as values of old listeners may go on. Nothing if few came late.
    """
    quarter, half, last = times[-(len(times) // 4)], times[len(times) // 2], times[0]
    early, middle, now = (row.moments for row in (quarter, half, last))
    late = now.count - middle.count
    if len(times) < _FEWEST_TIMES or late < now.count / 3 or not early.count:
        return
    means: FloatArray = (now.count * now.means - middle.count * middle.means) / late
    spread = max(early, now, key=lambda row: row.variance(RATIO)).covariances
    shares = np.diag([1, late / early.count])
    both: FloatArray = np.hstack([means, early.means])
    spreads = np.kron(shares, spread).astype(np.float64)
    moments = Moments(VALUES, late, both, spreads)
    yield replace(last, segment="calendar", listeners=late, moments=moments)
