"""Sum up every metric for each listener: from a log's events to a table of listeners.

`measure` works on a slice of the listeners at a time. Its tables in the database, each made in one
place here; those with a file in `analysis/sql/ab` are defined there:

- of a slice: `session_events`, `slice_sessions`, `segment_listeners`;
- what metrics read: `sessions` and their `events` (`closed_events`), both with the column
  `segment`, "" for the whole experiment, and of primary metrics with all segments;
- of all slices: `Metric.table`, of quantiles a histogram; `credited`, `quality`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.events import (
    DAY_MS,
    NO_END,
    Events,
    assign_arms,
    attach_logged,
    no_events,
)
from analysis.ab.evidence import Evidence, weigh
from analysis.ab.metrics import METRICS, Metric
from analysis.ab.moments import read_moments, thin
from analysis.ab.quality import count_faults, find_absent
from analysis.queries import Column, Constant
from analysis.statistics.moments import Moments
from analysis.statistics.quantiles import Histogram

_PARTS = ["first days", "later days"]  # of a listener, each a quarter of the experiment
# the events of a listener in an arm; of those at the same millisecond "next" stands before "last",
# then the smaller track, and of equal ones the shorter listening
_ORDER = ("user", "arm", "timestamp", "is_last", "track", "time", "recommendation")
_IN_ORDER = [(column, "ascending") for column in _ORDER]
_OWN_RECOMMENDERS = pa.schema({"arm": pa.string(), "own": pa.string()})
_GROUPS = 100  # of listeners, whose values are alike
_METRIC_ERRORS = (OSError, *queries.DataErrors, *queries.StatementErrors)


@dataclass(frozen=True)
class LoggedExperiment:
    """The events of an experiment in arms, which can be weighed until any time."""

    events: Events
    name: str
    recommenders: Mapping[str, str]  # each arm's own
    start_ms: int  # the first event
    days: Sequence[int]  # since the epoch, until the end
    first_listeners: int  # of the first `min_days`
    event_count: int  # of all events, also those that are left out

    def evidence(self, config: AbConfig, end_ms: int | None = None) -> Evidence:
        """Weigh the events until a time; by default until the end, and also by day.

        Raises:
            AnalysisError: There is nothing to compare, or a metric's file fails.
        """
        events = self.events
        days = () if end_ms else self.days
        end_ms = end_ms or (self.days[-1] + 1) * DAY_MS
        measure(events, config, self.recommenders, self.start_ms, end_ms, days)
        moments = [
            row
            for metric in config.reported
            if metric.quantile is None
            for row in read_moments(open_values(events, metric), metric)
        ]
        first_days = [
            row
            for metric in config.deciding
            if metric.has_past
            for row in read_moments(open_first_days(events, metric), metric)
        ]
        sizes = {row.arm: row.listeners for row in moments if not row.segment}
        evidence = weigh(
            moments,
            config,
            self.name,
            first_listeners=self.first_listeners,
            recommenders=self.recommenders,
            quantiles=read_histograms(events, config.reported, sizes),
            first_days=first_days,
            credited=read_credited(events, sizes),
        )
        rows = events.connection.table("quality").to_arrow_table().to_pylist()
        outside = sum(row["events"] for row in rows if row["arm"] is None)
        first_day = self.start_ms // DAY_MS
        rows = [
            row for row in rows if row["arm"] is not None and row["day"] >= first_day
        ]
        sessions: Counter[str] = Counter(dict.fromkeys(sizes, 0))
        for row in rows:
            sessions[row["arm"]] += row["sessions"]
        quality = count_faults(rows, outside)
        return replace(
            evidence,
            sessions={arm: sessions[arm] for arm in evidence.listeners},
            lines=events.lines,
            rejected=events.rejected,
            span_ms=(
                min(row["first_ms"] for row in rows),
                max(row["last_ms"] for row in rows),
            ),
            left_out=self.event_count - quality.events,
            absent=find_absent(rows),
            quality=quality,
        )


def measure(
    events: Events,
    config: AbConfig,
    recommenders: Mapping[str, str],
    start_ms: int,
    end_ms: int = NO_END,
    days: Sequence[int] = (),
) -> None:
    """Sum up the metrics of a report, and what else it shows, for each listener.

    The tables of all slices live as long as the events.

    Args:
        events: In arms.
        config: Metrics.
        recommenders: The arms' own.
        start_ms: The experiment's first event.
        end_ms: Later events are left out.
        days: Since the epoch, on which there are events, if primary metrics are summed up by day.

    Raises:
        AnalysisError: A metric's file fails.
    """
    connection = events.connection
    primary = config.deciding
    tables = {metric.table: metric for metric in config.reported}
    make = partial(queries.materialize, connection)
    attach = partial(queries.attach_query, connection)
    last = max(days, default=0)
    part_days = (last - min(days, default=last) + 1) // 4
    parts = _PARTS if part_days else []
    make("segments", "ab/segments", days=thin(days[::-1]), parts=parts)
    queries.drop(connection, (*tables, "quality", "credited"))
    columns = {"arm": [*recommenders], "own": [*recommenders.values()]}
    own_recommenders = pa.table(columns, schema=_OWN_RECOMMENDERS)
    connection.register("own_recommenders", own_recommenders)
    queries.use_threads(connection)
    for file in events.slices:
        attach_logged(events, file)
        labelled = queries.fetch_table(connection, "ab/labelled_events", end_ms=end_ms)
        # logs are nearly in order, which DuckDB's windows make no use of
        connection.register("ordered", labelled.sort_by(_IN_ORDER))
        make("session_events", "ab/session_events")
        make(
            "slice_sessions",
            "ab/slice_sessions",
            part_ms=max(1, part_days) * DAY_MS,
            old_ms=(last - 2 * part_days) * DAY_MS,
        )
        make("segment_listeners", "ab/segment_listeners")
        for in_segments in (True, False):
            attach(
                "sessions", "ab/sessions", start_ms=start_ms, in_segments=in_segments
            )
            attach("events", "ab/closed_events")
            for metric in tables.values():
                if (metric in primary) == in_segments:
                    _measure(connection, metric, in_segments=in_segments)
        for name in ("ab/quality", "ab/credited"):
            queries.append(
                name.removeprefix("ab/"), queries.open_rows(connection, name)
            )
    queries.use_threads(connection, 1)


def open_first_days(events: Events, metric: Metric) -> queries.Rows:
    """Open the values of a metric in both parts of listeners' first days, the first as the past."""
    values = events.connection.table(metric.table)
    values.create_view("listener_values", replace=True)
    return queries.open_rows(events.connection, "ab/first_days", parts=_PARTS)


def open_values(events: Events, metric: Metric) -> queries.Rows:
    """Open the values of a metric, as `sql/ab/listener_values.sql` has them."""
    # in one order, so that sums do not depend on that of the log
    return events.connection.table(metric.table).order("user")


def read_histograms(
    events: Events, metrics: Sequence[Metric], sizes: Mapping[str, int]
) -> dict[str, dict[str, Histogram]]:
    """Read the values of quantiles by metric and arm, of so many listeners."""
    histograms: dict[str, dict[str, Histogram]] = {}
    for metric in metrics:
        if metric.quantile is not None:
            counted = events.connection.table(metric.table).to_arrow_table()
            by_arm = histograms[metric.name] = {}
            for arm, listeners in sizes.items():
                _, *columns = counted.filter(pc.field("arm") == arm).columns
                groups, steps, counts = (column.to_numpy() for column in columns)
                by_arm[arm] = Histogram.of(steps, groups, counts, listeners)
    return histograms


def read_credited(events: Events, arms: Iterable[str]) -> dict[str, Moments]:
    """Read the moments of `sql/ab/credited.sql` by arm."""
    rows = events.connection.table("credited").order("user").to_arrow_table()
    credited = {}
    for arm in arms:
        _, _, *columns = rows.column_names
        of_arm = rows.filter(pc.field("arm") == arm)
        credited[arm] = Moments.of({name: of_arm[name] for name in columns})
    return credited


def check_metrics(config: AbConfig) -> None:
    """Run every metric's file on no events, unless all are built in.

    Raises:
        AnalysisError: As of `measure`.
    """
    built_in = {metric.sql for metric in METRICS.values()}
    if built_in.issuperset(metric.sql for metric in config.reported):
        return
    with no_events() as events:
        assign_arms(events, "")
        measure(events, config, {}, 0)


def _measure(
    connection: queries.Connection, metric: Metric, *, in_segments: bool
) -> None:
    """Run a metric's file on a slice, and keep what it returns."""
    where = f"metric {metric.name}: {metric.sql}"
    with queries.naming(where, *_METRIC_ERRORS):
        rows = queries.open_rows(connection, str(metric.sql))
        if metric.quantile is not None:
            rows.create_view("measured", replace=True)
            histogram = queries.open_rows(connection, "ab/histogram", groups=_GROUPS)
            queries.append(metric.table, histogram)
            return
        denominator = Column("denominator")
        if metric.kind == "mean":
            denominator = Constant(1).alias("denominator")
        columns = map(Column, ("user", "arm", "segment", "numerator"))
        rows.select(*columns, denominator).create_view("measured", replace=True)
        values = queries.open_rows(
            connection,
            "ab/listener_values",
            kind=metric.kind,
            in_segments=in_segments,
        )
        queries.append(metric.table, values)
