"""Sum up every metric for each listener: from a log's events to a table of listeners.

`measure` works on a slice of the listeners at a time. Its tables in the database, each made in one
place here; those with a file in `analysis/sql/ab` are defined there:

- of a slice: `session_events`, `slice_sessions`, `segments`, `known_listeners`, `sums_<metric>`;
- what metrics read: `sessions` (`closed_sessions`, or `sessions_by_segment` of primary metrics)
  and `events` (`closed_events`), both with the column `segment`, "" for the whole experiment;
- of all slices: `listeners`, `histograms`, `credited`, `quality`.
"""

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import pyarrow as pa
import pyarrow.compute as pc

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.events import NO_END, Events, assign_arms, no_events
from analysis.ab.metrics import METRICS, ORIGINAL_METRICS, Metric, sources
from analysis.ab.moments import column_name
from analysis.errors import AnalysisError
from analysis.queries import Column, Constant, Function
from analysis.statistics.quantiles import Histogram

_GROUPS = 100  # of listeners, whose values are alike
_KEYS = ("user", "arm", "segment")
_LABELS = pa.schema(
    {
        "kind": pa.string(),
        "of_track": pa.bool_(),
        "key": pa.int64(),
        "label": pa.string(),
    }
)
_HISTOGRAMS = pa.schema(
    {
        "metric": pa.string(),
        "arm": pa.string(),
        "listener_group": pa.int64(),
        "step": pa.int64(),
        "values": pa.int64(),
    }
)
_METRIC_ERRORS = (OSError, *queries.DataErrors, *queries.StatementErrors)


@dataclass(frozen=True)
class Measured:
    """What was measured in an experiment; the tables live as long as its database."""

    metrics: list[Metric]  # that the table of listeners has
    listeners: queries.Rows
    histograms: queries.Rows  # of the values of quantiles
    credited: queries.Rows  # what listeners heard of interleaved recommenders
    quality: queries.Rows


def measure(
    events: Events,
    config: AbConfig,
    recommenders: Mapping[str, str],
    start_ms: int,
    end_ms: int = NO_END,
) -> Measured:
    """Sum up the metrics of a report, and what else it shows, for each listener.

    Args:
        events: In arms.
        config: Metrics and segments.
        recommenders: The arms' own.
        start_ms: The experiment's first event.
        end_ms: Later events are left out.

    Raises:
        AnalysisError: A metric's file fails or has two rows for a listener, or a file of labels
            cannot be read or lacks its columns.
    """
    connection = events.connection
    primary = config.deciding
    original = [METRICS[name] for name in ORIGINAL_METRICS]
    metrics = list(dict.fromkeys([*config.reported, *original]))
    source_of = sources(metrics)
    summed = [metric for metric in metrics if metric.quantile is None]
    _read_labels(connection, config)
    connection.from_arrow(_HISTOGRAMS.empty_table()).create("histograms")

    make = partial(queries.materialize, connection)
    attach = partial(queries.attach_query, connection)

    def append(table: str, name: str, **values: object) -> None:
        queries.append(table, queries.open_rows(connection, name, **values))

    listener_count = 0
    for file in events.slices:
        make(
            "session_events",
            "ab/session_events",
            assigned_file=str(file),
            end_ms=end_ms,
            arms=[*recommenders],
            recommenders=[*recommenders.values()],
        )
        make("slice_sessions", "ab/slice_sessions", skip_below=config.skip_below)
        make("segments", "ab/segments", start_ms=start_ms)
        make("known_listeners", "ab/known_listeners")
        append("quality", "ab/quality")
        append("credited", "ab/credited")
        attach("closed_sessions", "ab/closed_sessions", start_ms=start_ms)
        attach("sessions", "ab/sessions_by_segment")
        attach("events", "ab/closed_events")
        for metric in primary:
            _measure(connection, metric)
        connection.table("closed_sessions").create_view("sessions", replace=True)
        for metric in metrics:
            if metric not in primary and source_of[metric.name] == metric.name:
                _measure(connection, metric)
        _append_listeners(connection, summed, primary, source_of)
        listener_count += _row_count(connection, "known_listeners")
        if _row_count(connection, "listeners") > listener_count:
            _refuse_repeated(connection, {source_of[metric.name] for metric in summed})
    queries.use_one_thread(connection)
    return Measured(
        metrics=summed,
        # in one order, so that sums do not depend on that of the log
        listeners=connection.table("listeners").order("user"),
        histograms=connection.table("histograms"),
        credited=connection.table("credited").order("user"),
        quality=connection.table("quality"),
    )


def read_histograms(
    rows: queries.Rows, metrics: Sequence[Metric], sizes: Mapping[str, int]
) -> dict[str, dict[str, Histogram]]:
    """Read the values of quantiles by metric and arm, of so many listeners."""
    counted = rows.to_arrow_table()
    source_of = sources(metrics)
    histograms: dict[str, dict[str, Histogram]] = {}
    for metric, arm in product(metrics, sizes):
        if metric.quantile is not None:
            source = pc.field("metric") == source_of[metric.name]
            is_one = source & (pc.field("arm") == arm)
            columns = counted.filter(is_one).select(_HISTOGRAMS.names[2:])
            groups, steps, counts = (column.to_numpy() for column in columns.columns)
            histogram = Histogram.of(steps, groups, counts, sizes[arm])
            histograms.setdefault(metric.name, {})[arm] = histogram
    return histograms


def check_metrics(config: AbConfig) -> None:
    """Run every metric's file on no events, and read the files of segments.

    Raises:
        AnalysisError: As of `measure`.
    """
    with no_events() as events:
        assign_arms(events, "")
        measure(events, config, {}, 0)


def _measure(connection: queries.Connection, metric: Metric) -> None:
    """Run a metric's file on a slice, and keep what it returns."""
    where = f"metric {metric.name}: {metric.sql}"
    with queries.naming(where, *_METRIC_ERRORS):
        rows = queries.open_rows(connection, str(metric.sql))
        if metric.quantile is not None:
            rows.create_view("measured", replace=True)
            histogram = queries.open_rows(
                connection, "ab/histogram", metric=metric.name, groups=_GROUPS
            )
            queries.append("histograms", histogram)
            return
        values = ["numerator", "denominator"]
        if metric.kind == "mean":
            values = [name for name in values if name in rows.columns]
        rows = rows.select(*map(Column, (*_KEYS, *values)))
        if "VARCHAR" in map(str, rows.types[len(_KEYS) :]):
            raise AnalysisError(
                f"{where}: {' and '.join(values)}: numbers are expected"
            )
        queries.replace(connection, f"sums_{metric.name}", rows)


def _append_listeners(
    connection: queries.Connection,
    metrics: Sequence[Metric],
    primary: Sequence[Metric],
    source_of: Mapping[str, str],
) -> None:
    """Add the listeners of a slice to the table `listeners`, with their sums.

    Of a listener in an arm it has those of all metrics in the arm and, as `past_…`, those before
    the experiment; in a segment those of primary metrics. They are 0 where there is no row or no
    number.

    Raises:
        AnalysisError: A metric has two rows for a listener.
    """
    listeners = connection.table("known_listeners")
    whole = listeners.filter("segment = ''")
    segments = listeners.filter("segment <> ''")
    for metric in metrics:
        sums = connection.table(f"sums_{source_of[metric.name]}")
        in_arm = _numbers(sums.filter("arm IS NOT NULL"), metric, _KEYS)
        past = _numbers(
            sums.filter("arm IS NULL"), metric, ("user", "segment"), "past_"
        )
        whole = whole.join(in_arm, "user, arm, segment", how="left")
        whole = whole.join(past, "user, segment", how="left")
        if metric in primary:
            segments = segments.join(in_arm, "user, arm, segment", how="left")
    parts = [
        rows.select(*map(Column, _KEYS), *map(_finite, rows.columns[len(_KEYS) :]))
        for rows in (whole, segments)
    ]
    queries.append("listeners", parts[0].union_by_name(parts[1]))


def _numbers(
    sums: queries.Rows, metric: Metric, keys: Sequence[str], prefix: str = ""
) -> queries.Rows:
    """Select sums under the names that they have in the table of listeners."""
    values = [
        Column(name).cast("DOUBLE").alias(column_name(metric.name, prefix + name))
        for name in sums.columns[len(_KEYS) :]
    ]
    return sums.select(*map(Column, keys), *values)


def _finite(name: str) -> queries.Expression:
    is_finite = Function("isfinite", Column(name))
    number = queries.Case(is_finite, Column(name)).otherwise(Constant(0.0))
    return number.alias(name)


def _row_count(connection: queries.Connection, table: str) -> int:
    ((count,),) = connection.table(table).count("*").fetchall()
    return int(count)


def _refuse_repeated(connection: queries.Connection, metrics: Iterable[str]) -> None:
    """Name a listener of whom a metric has several rows."""
    for metric in metrics:
        sums = connection.table(f"sums_{metric}")
        sums.create_view("measured", replace=True)
        repeated = queries.fetch_table(connection, "ab/repeated_listeners")
        for user in repeated["user"].to_pylist():
            raise AnalysisError(
                f"metric {metric}: two rows for listener {user}; "
                "one a user, arm and segment is expected"
            )


def _read_labels(connection: queries.Connection, config: AbConfig) -> None:
    """Make the table `labels` of the files of segments."""
    connection.from_arrow(_LABELS.empty_table()).create("labels")
    for column, file in config.segments.items():
        where = f"segments {column}: {file}"
        with queries.naming(where, OSError, queries.DatabaseError):
            rows = connection.table(glob.escape(str(file)))
            keys = [key for key in ("user", "track") if key in rows.columns]
            if len(keys) != 1 or column not in rows.columns:
                problem = f"a column {column} and one of user and track are expected"
                names = ", ".join(rows.columns)
                raise AnalysisError(f"{where}: {problem}; found are {names}")
            label = Function("min", Column(column).cast("VARCHAR"))
            labels = rows.aggregate(
                [
                    Constant(column).alias("kind"),
                    Constant(keys == ["track"]).alias("of_track"),
                    Column(keys[0]).cast("BIGINT").alias("key"),
                    label.alias("label"),
                ],
                keys[0],
            )
            queries.append("labels", labels)
