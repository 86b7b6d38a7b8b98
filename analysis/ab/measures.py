"""What is measured of each listener: every metric's `.sql` file, run on the sessions and events of one slice at a time.

`measure` makes of the slices that `tables.load` leaves

- `all_sessions`: one row a session, closed or not (`sql/ab/sessions.sql`);
- `known_…`: listeners, arms and parts with a session, where … is `whole`, `day`, `hour` or a segmentation's name;
- a table for each metric's file and …, with one row a listener, arm and part, such as `listener_sums_day`;
- `histogram_…`, `positions`: counts by arm, in parts that are to be added up;
- `credited`: what each listener heard of interleaved recommenders (`sql/ab/credited.sql`).

A metric reads the views `sessions` (`sql/ab/closed_sessions.sql`) and `events` (`sql/ab/closed_events.sql`), whose
column `part` is what the numbers are asked for: 0 for the whole experiment, a day, an hour, or a segment.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.metrics import METRICS, Metric, column_name
from analysis.ab.tables import DAY_MS, HOUR_MS, Loaded, attach_texts
from analysis.errors import AnalysisError
from analysis.statistics.moments import Moments
from looplib.arrays import FloatArray, IntArray

WHOLE = "whole"
NOVELTY, PAST = "novelty", "past"  # divisions into segments that need no file
_GROUPS = 100  # of listeners, whose values are alike
_NO_EVENT = pa.schema(
    {name: pa.int64() for name in ("user", "timestamp", "track", "recommendation")}
    | {name: pa.float64() for name in ("time", "latency")}
    | {"recommender": pa.uint64(), "is_last": pa.bool_(), "arm": pa.string(), "side": pa.int32()}
)


@dataclass(frozen=True)
class Division:
    """A way to divide sessions into parts: a SQL file of `analysis/sql/ab`, and the values of its parameters."""

    file: str
    values: Mapping[str, object] = field(default_factory=dict)
    labels: str | None = None  # the table that the file reads as `labels`


def measure(loaded: Loaded, config: AbConfig, events: str | None = None) -> None:
    """Make the tables of the module's docstring, and one of all events where its name is given.

    Raises:
        AnalysisError: A file of labels cannot be read, or lacks its columns.
    """
    # Of an arm's recommenders the last one stays: that of most requests, of equal ones the first by name.
    by_requests = sorted(sorted(loaded.recommenders, reverse=True), key=lambda pair: loaded.recommenders[pair])
    loaded.own_recommenders = dict(by_requests) | config.recommenders
    lengths_ms = {"day": DAY_MS} | ({"hour": HOUR_MS} if loaded.period_ms == HOUR_MS else {})
    periods = {by: Division("ab/by_period", {"period_ms": ms, "start_ms": 0}) for by, ms in lengths_ms.items()}
    # The whole comes last and stays, for what has many rows a listener.
    periods[WHOLE] = Division("ab/by_period", {"period_ms": 0, "start_ms": loaded.start_ms})
    segments = segmentations(loaded.connection, loaded.start_ms, config)
    summed = [metric for metric in config.reported if metric.quantile is None]
    quantiles = [metric for metric in config.reported if metric.quantile is not None]
    primary = [config.known[name] for name in config.primary]
    divisions = {by: (division, primary) for by, division in segments.items()}
    divisions |= {by: (division, summed) for by, division in periods.items()}
    for connection in loaded.each_slice():
        _open_slice(connection, loaded.own_recommenders, config)
        queries.insert(connection, "all_sessions", "slice_sessions")
        if events:
            queries.insert(connection, events, "session_events")
        queries.append(connection, "credited", "ab/credited")
        for by, (division, metrics) in divisions.items():
            _measure_parts(connection, by, division, metrics)
        queries.append(connection, "positions", "ab/positions", deepest=config.positions)
        for source, file in _files(quantiles).items():
            queries.attach_query(connection, "measured", file)
            with _naming(file, *queries.DataErrors):
                queries.append(connection, f"histogram_{source}", "ab/histogram", groups=_GROUPS)


def segmentations(connection: queries.Connection, start_ms: int, config: AbConfig) -> dict[str, Division]:
    """Return how sessions are divided into segments, by a name for tables and people.

    Raises:
        AnalysisError: A file of labels cannot be read, or lacks its columns.
    """
    found = {NOVELTY: Division("ab/by_novelty"), PAST: Division("ab/by_past", {"start_ms": start_ms})}
    for column, file in config.segments.items():
        table = f"labels_of_{column}"
        with _naming(f"segments {column}: {file}", ValueError, OSError, queries.DatabaseError):
            key = queries.materialize_labels(connection, table, file, column)
        found[column] = Division("ab/by_label", {"of_track": key == "track"}, table)
    return found


def _open_slice(connection: queries.Connection, recommenders: Mapping[str, str], config: AbConfig) -> None:
    """Make the tables `session_events` and `slice_sessions` of the table `assigned`."""
    attach_texts(connection, "own_recommenders", {"arm": list(recommenders), "own": list(recommenders.values())})
    queries.materialize(connection, "session_events", "ab/session_events")
    queries.materialize(connection, "slice_sessions", "ab/sessions", skip_below=config.skip_below)


def _divide(connection: queries.Connection, division: Division) -> None:
    """Make the views `sessions` and `events` of a slice, with the parts of a division."""
    if division.labels:
        queries.alias(connection, "labels", division.labels)
    queries.attach_query(connection, "divided", division.file, **division.values)
    queries.attach_query(connection, "sessions", "ab/closed_sessions")
    queries.attach_query(connection, "events", "ab/closed_events")


def _measure_parts(connection: queries.Connection, by: str, division: Division, metrics: Sequence[Metric]) -> None:
    """Add the slice's rows to the tables by listener and part."""
    _divide(connection, division)
    queries.append(connection, f"known_{by}", "ab/known")
    for source, file in _files([METRICS["sessions"], *metrics]).items():
        with _naming(file, *queries.DataErrors):
            queries.append(connection, f"{source}_{by}", file)


@contextmanager
def _naming(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of some kinds into one that says what they are about."""
    try:
        yield
    except kinds as error:
        raise AnalysisError(f"{what}: {str(error).splitlines()[0]}") from None


def _files(metrics: Iterable[Metric]) -> dict[str, str]:
    """Return the files of metrics, by what their tables are called."""
    return {metric.source: metric.sql for metric in metrics}


def check_files(config: AbConfig) -> None:
    """Run every metric's file on no events, and see that it and the files of segments have the columns.

    Raises:
        AnalysisError: A file cannot be read, is no SQL, or has not the columns.
    """
    with queries.connect(threads=1) as connection:
        segmentations(connection, 0, config)
        queries.attach_arrow(connection, "assigned", _NO_EVENT.empty_table())
        _open_slice(connection, {}, config)
        _divide(connection, Division("ab/by_novelty"))
        for metric in config.reported:
            where = f"metric {metric.name}: {metric.sql}"
            with _naming(where, OSError, queries.DatabaseError):
                rows = queries.fetch_table(connection, metric.sql)
            found = dict(zip(rows.column_names, rows.schema.types, strict=True))
            wrong = [f"no column {name}" for name in ("user", "arm", "part", *metric.columns) if name not in found]
            of_numbers = [name for name in metric.columns if name in found]
            wrong += [f"{name} is no number" for name in of_numbers if not _is_number(found[name])]
            if wrong:
                shown = ", ".join(f"{name} {kind}" for name, kind in found.items())
                raise AnalysisError(f"{where}: {', '.join(wrong)}; found are {shown}")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def measure_original(loaded: Loaded) -> None:
    """Measure only what the original table needs (`sql/ab/original_listeners.sql`)."""
    for connection in loaded.each_slice():
        queries.append(connection, "listener_sums_whole", "ab/original_listeners")
    queries.alias(loaded.connection, "known_whole", "listener_sums_whole")


def read_listeners(connection: queries.Connection, arm: str, metrics: Iterable[Metric] = ()) -> dict[str, FloatArray]:
    """Return the columns of an arm's listeners, each of shape (listeners,), and of their past as `past_…`.

    Raises:
        AnalysisError: A metric's file has two rows for a listener.
    """
    summed = [metric for metric in metrics if metric.quantile is None]
    columns: dict[str, FloatArray] = {}
    for source in _files([METRICS["sessions"], *summed]):
        for prefix, side in (("", arm), ("past_", None)):
            rows = rows_of(connection, source, WHOLE, arm, side)
            users = rows["user"].to_numpy()
            if len(twice := users[1:][users[1:] == users[:-1]]):
                raise AnalysisError(
                    f"metric {source.removeprefix('own_')}: two rows for listener {twice[0]}; one a user, arm and part "
                    "is expected"
                )
            for name in rows.column_names[2:]:
                columns[f"{prefix}{column_name(source, name)}"] = _numbers(rows, name)
    return columns


def rows_of(connection: queries.Connection, source: str, by: str, arm: str, side: str | None) -> pa.Table:
    """Return what a source has of the listeners of an arm by part, on a side: the arm's, or None for their past."""
    queries.alias(connection, "known", f"known_{by}")
    queries.alias(connection, "measured", f"{source}_{by}")
    return queries.fetch_table(connection, "ab/arm_rows", arm=arm, side=side)


def values_of(connection: queries.Connection, metric: Metric, by: str, arm: str) -> pa.Table:
    """Return user, part and `metric.sums` of the listeners of an arm, in the order of the former; 0 without a row."""
    rows = rows_of(connection, metric.source, by, arm, arm)
    sums = {name: _numbers(rows, column) for name, column in zip(metric.sums, metric.columns, strict=True)}
    return pa.table({"user": rows["user"], "part": rows["part"]} | sums)


def _numbers(rows: pa.Table, name: str) -> FloatArray:
    return np.nan_to_num(rows[name].to_numpy().astype(np.float64))


def follow(rows: pa.Table, periods: IntArray, metric: Metric) -> Iterator[tuple[Moments, Moments]]:
    """Yield the moments of an arm's listeners in each of ascending periods alone, and in all so far.

    The rows are those of `values_of`, whose parts are the periods.
    """
    users, listener = np.unique(rows["user"].to_numpy(), return_inverse=True)
    values = np.stack([rows[name].to_numpy() for name in metric.sums])
    parts = rows["part"].to_numpy()
    order = np.argsort(parts, kind="stable")
    ends = np.searchsorted(parts[order], periods, side="right")
    sums, seen = np.zeros((len(values), len(users))), np.zeros(len(users), dtype=bool)
    for of_period in np.split(order, ends[:-1]):
        sums[:, listener[of_period]] += values[:, of_period]
        seen[listener[of_period]] = True
        both = (dict(zip(metric.sums, columns, strict=True)) for columns in (values[:, of_period], sums[:, seen]))
        alone, so_far = map(metric.moments, both)
        yield alone, so_far
