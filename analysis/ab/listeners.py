"""Sum up every metric for each listener: from a log's events to evidence.

`measure` works on a slice of the listeners at a time. Its tables in the database, each made in one
place here, mostly by a file of `analysis/sql/ab`:

- for a slice: `session_events`, `slice_sessions`, `segment_listeners`;
- read by metrics: `sessions` and their `events` (`closed_events`), both with the column
  `segment`, "" for the whole experiment, and for primary metrics with all segments;
- for all slices: `listener_values` (also `credited` tracks of interleaved recommenders, `parts` of
  the experiment), `histogram` of quantiles, `quality`, `daily_sums`.
"""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.events import (
    NO_END,
    Events,
    assign_arms,
    attach_logged,
)
from analysis.ab.evidence import (
    DAY_MS,
    Evidence,
    Quality,
    weigh_evidence,
)
from analysis.ab.metrics import METRICS, Metric
from analysis.ab.moments import read_moments, thin
from analysis.ab.quality import find_cautions, find_faults
from analysis.logs.field_types import EVENT_SCHEMA
from analysis.queries import Column, Constant
from analysis.statistics.quantiles import Histogram
from looplib.files import TEMPORARY_PREFIX

# Events of a listener and arm by time; at the same millisecond "next" comes before "last", then the
# smaller track, then the shorter listening.
_ORDER = ("user", "arm", "timestamp", "is_last", "track", "time", "recommendation")
_IN_ORDER = [(column, "ascending") for column in _ORDER]
_GROUPS = 100  # groups of listeners, whose values are alike
_METRIC_ERRORS = (OSError, *queries.DataErrors, *queries.StatementErrors)
_TABLES = ("listener_values", "histogram", "quality", "daily_sums")


@dataclass(frozen=True)
class LoggedExperiment:
    """The events of an experiment in arms, which can be weighed until any time."""

    events: Events
    name: str
    recommenders: Mapping[str, str]  # each arm's own
    start_ms: int  # the first event
    days: Sequence[int]  # since the epoch, until the end
    arrivals: Mapping[str, Sequence[int]]  # new listeners of each day by arm
    periods: Mapping[str, Sequence[Mapping[str, Any]]]  # recommenders of each arm
    first_listeners: int  # listeners of the first `min_days`
    event_count: int  # number of all events, also of events that are left out
    by: str = ""  # name of the column of `groups`
    groups: pa.Table | None = None  # return value of `segments.read_groups`
    values_file: Path | None = None  # takes the values of each listener

    def evidence(self, config: AbConfig, end_ms: int | None = None) -> Evidence:
        """Weigh the events until a time; by default until the end, and also by day.

        Raises:
            AnalysisError: There is nothing to compare, or a metric's file fails.
        """
        events = self.events
        days = () if end_ms else self.days
        end_ms = end_ms or (self.days[-1] + 1) * DAY_MS
        measure(events, config, self.recommenders, self.start_ms, end_ms, days)
        if self.values_file and days:
            self.values_file.parent.mkdir(parents=True, exist_ok=True)
            draft = self.values_file.with_name(TEMPORARY_PREFIX + self.values_file.name)
            queries.copy_to_parquet(events.connection, "ab/kept_values", draft)
            draft.replace(self.values_file)
        names = [
            *(metric.name for metric in config.reported),
            "",
        ]  # "" for credited tracks
        deciding = {"primary", "guardrail"}
        moments = [
            row
            for name in names
            for row in read_moments(
                open_values(events, name),
                within_days=config.roles.get(name) in deciding,
            )
        ]
        groups = []
        if self.groups is not None and days:
            events.connection.register("listener_groups", self.groups)
            grouped = queries.open_rows(
                events.connection, "ab/grouped_values", by=self.by
            )
            groups = read_moments(grouped.order("user"))
        whole = (row for row in moments if not row.segment and row.is_dominated)
        for name in {row.metric for row in whole} & {*config.primary}:
            values = queries.open_rows(events.connection, "ab/winsorised")
            moments += read_moments(values.filter(Column("metric") == Constant(name)))
        listeners = {row.arm: row.listeners for row in moments if not row.segment}
        evidence = weigh_evidence(
            moments,
            config,
            self.name,
            self.first_listeners,
            self.recommenders,
            quantiles={
                metric.name: {
                    arm: read_histogram(events, metric, arm, count)
                    for arm, count in listeners.items()
                }
                for metric in config.reported
                if metric.quantile is not None
            },
            groups=groups,
        )
        rows = events.connection.table("quality").to_arrow_table().to_pylist()
        in_arms = [row for row in rows if row["arm"] is not None]
        sessions = Counter[str]()
        for row in in_arms:
            sessions[row["arm"]] += row["sessions"]
        counts = {
            name: sum(row[name] for row in in_arms)
            for name in vars(Quality()).keys() - {"outside"}
        }
        outside = sum(row["events"] for row in rows if row["arm"] is None)
        sums = events.connection.table("daily_sums").to_arrow_table().to_pylist()
        faults = find_faults(sums, self.days, config.control)
        arrivals, shares = self.arrivals, config.shares
        cautions = find_cautions(arrivals, self.days, shares, self.periods)
        return replace(
            evidence,
            sessions={arm: sessions[arm] for arm in evidence.listeners},
            lines=events.lines,
            rejected=events.rejected,
            span_ms=(
                min(row["first_ms"] for row in in_arms),
                max(row["last_ms"] for row in in_arms),
            ),
            left_out=self.event_count - counts["events"],
            findings=(*faults, *evidence.findings),
            cautions=tuple(cautions),
            quality=Quality(outside=outside, **counts),
        )


def measure(
    events: Events,
    config: AbConfig,
    recommenders: Mapping[str, str],
    start_ms: int,
    end_ms: int = NO_END,
    days: Sequence[int] = (),
) -> None:
    """Sum up the metrics of a report for each listener, and count credited tracks and faults.

    The tables of all slices live as long as the events.

    Args:
        events: Events in arms.
        config: Metrics.
        recommenders: Each arm's own recommender.
        start_ms: The experiment's first event.
        end_ms: Later events are left out.
        days: Days with events, since the epoch, by which primary metrics are summed up as well.

    Raises:
        AnalysisError: A metric's file fails.
    """
    connection = events.connection
    primary = config.deciding
    measured = {metric.rows: metric for metric in config.reported}.values()
    make = partial(queries.materialize, connection)
    attach = partial(queries.attach_query, connection)
    open_rows = partial(queries.open_rows, connection)
    last = max(days, default=0)
    first = min(days, default=last)
    length = last + 1 - first
    queries.drop(connection, _TABLES)
    queries.use_threads(connection)
    for folder in events.slices:
        attach_logged(connection, folder)
        labelled = queries.fetch_table(
            connection,
            "ab/labelled_events",
            end_ms=end_ms,
            arms=[*recommenders],
            own=[*recommenders.values()],
        )
        # logs are nearly in order, which DuckDB's windows make no use of
        connection.register("ordered", labelled.sort_by(_IN_ORDER))
        make("session_events", "ab/session_events")
        make(
            "slice_sessions",
            "ab/slice_sessions",
            begin_ms=first * DAY_MS,
            quarter_ms=length * DAY_MS // 4,
        )
        for is_primary in (True, False):  # only primary metrics have segments
            by_day = thin(days[::-1]) if is_primary else ()
            in_parts = is_primary and length >= 4
            make("segments", "ab/segments", days=by_day, in_parts=in_parts)
            make("segment_listeners", "ab/segment_listeners")
            attach("sessions", "ab/sessions", start_ms=start_ms)
            attach("events", "ab/closed_events")
            for metric in measured:
                if (metric in primary) == is_primary:
                    _measure(connection, metric)
        begin_ms = start_ms - start_ms % DAY_MS
        queries.append("quality", open_rows("ab/quality", begin_ms=begin_ms))
        queries.append("daily_sums", open_rows("ab/daily_sums"))
        queries.append("listener_values", open_rows("ab/credited"))
    queries.use_threads(connection, 1)
    queries.append("listener_values", open_rows("ab/parts"))


def open_values(events: Events, metric: str) -> queries.Rows:
    """Open the values of a metric, as `sql/ab/listener_values.sql` defines them."""
    values = events.connection.table("listener_values")
    # A fixed order makes sums independent of the order of the log.
    return values.filter(Column("metric") == Constant(metric)).order("user")


def read_histogram(events: Events, metric: Metric, arm: str, count: int) -> Histogram:
    """Read the values of a quantile in an arm, whose listeners are counted."""
    rows = events.connection.table("histogram")
    is_metric = Column("metric") == Constant(metric.rows)
    columns = rows.filter(is_metric & (Column("arm") == Constant(arm))).fetchnumpy()
    return Histogram.of(
        columns["step"], columns["listener_group"], columns["values"], count
    )


def check_metrics(config: AbConfig) -> None:
    """Run every metric's file on no events, unless all are built in.

    Raises:
        AnalysisError: A metric's file fails.
    """
    if METRICS.keys() >= config.roles.keys():
        return
    with tempfile.TemporaryDirectory() as name, queries.connect() as connection:
        folder = Path(name)
        pq.write_table(EVENT_SCHEMA.empty_table(), folder / "events.parquet")
        attach_logged(connection, folder)
        events = Events(connection, (folder,))
        assign_arms(events, "")
        measure(events, config, {}, 0)


def _measure(connection: queries.Connection, metric: Metric) -> None:
    """Run a metric's file on a slice, and keep its rows."""
    open_rows = partial(queries.open_rows, connection)
    with queries.naming(f"metric {metric.name}: {metric.sql}", *_METRIC_ERRORS):
        rows = open_rows(str(metric.sql))
        if metric.quantile is not None:
            rows.create_view("measured", replace=True)
            counts = open_rows("ab/histogram", metric=metric.rows, groups=_GROUPS)
            queries.append("histogram", counts)
            return
        denominator = Column("denominator")
        if metric.kind == "mean":
            denominator = Constant(1).alias("denominator")
        columns = map(Column, ("user", "arm", "segment", "numerator"))
        rows.select(*columns, denominator).create_view("measured", replace=True)
        values = open_rows(
            "ab/listener_values",
            metric=metric.name,
            kind=metric.kind,
            has_past=metric.has_past,
        )
        queries.append("listener_values", values)
