"""One bucket's events, sorted by user and time into a Parquet file, a slice of users in memory at a time.

`moment` is twice an event's timestamp, and 1 more for `last`: the order of a user's events in one number.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

SLICE_ROWS = 1_000_000
ROW_GROUP_ROWS = 122_880  # as DuckDB's own, which reads row groups in parallel
SCHEMA = pa.schema(
    {
        "user": pa.int64(),
        "timestamp": pa.int64(),
        "message": pa.dictionary(pa.int8(), pa.string()),
        "track": pa.int64(),
        "time": pa.float64(),
        "latency": pa.float32(),
        "recommendation": pa.int64(),
        "experiments": pa.string(),
        "session": pa.string(),
        "recommender": pa.string(),
        "propensity": pa.float64(),
    }
)
# Columns of few values; of the others a dictionary would be larger than the values.
_DICTIONARIES = ["message", "time", "experiments", "recommender", "propensity"]
_MESSAGES = pa.array(["next", "last"])

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """Rows of one bucket: a record batch of an Arrow file."""

    file: Path
    position: int
    rows: int


@dataclass(frozen=True)
class SortedPart:
    """A finished Parquet file of one bucket; the timestamps are its first and last, in ms."""

    bucket: int
    file: Path
    rows: int
    first_timestamp: int
    last_timestamp: int


def write_sorted(bucket: int, runs: Sequence[Run], target: Path) -> SortedPart:
    """Writes the rows of some runs by user, timestamp, `next` before `last`, track.

    Raises:
        OSError: The disk is full.
    """
    timestamps: list[int] = []
    options = {"compression": "zstd", "use_dictionary": _DICTIONARIES, "store_schema": False}
    with target.open("wb") as sink, pq.ParquetWriter(sink, SCHEMA, **options) as parquet:
        for events in _slices(runs):
            rows = _as_stored(events)
            timestamp = rows["timestamp"].to_numpy()
            timestamps += (int(timestamp.min()), int(timestamp.max()))
            parquet.write_table(rows, row_group_size=ROW_GROUP_ROWS)
    return SortedPart(bucket, target, sum(run.rows for run in runs), min(timestamps), max(timestamps))


def sort_order(user: IntArray, moment: IntArray, track: IntArray) -> IntArray:
    """The places of rows in the order of user, moment, track; equal rows keep theirs.

    Two events of a user at the same moment are rare, so the third key is looked at only if there are some.
    """
    order = np.lexsort((moment, user))
    users, moments = user[order], moment[order]
    if bool(((users[1:] == users[:-1]) & (moments[1:] == moments[:-1])).any()):
        return np.lexsort((track, moment, user))
    return order


def user_ranges(users: IntArray, rows: int) -> list[tuple[int, int]]:
    """Ranges (first, last) of user ids, in order, that together hold every user and `rows` rows or so each.

    A user is in one range alone, so one with more rows makes a longer one.
    """
    firsts = np.unique(np.sort(users)[::rows]).tolist()
    return list(zip(firsts, [*(first - 1 for first in firsts[1:]), int(users.max())], strict=True))


def _slices(runs: Sequence[Run]) -> Iterator[pa.Table]:
    """The rows of runs, slice by slice of users in order."""
    if sum(run.rows for run in runs) <= SLICE_ROWS:
        yield pa.Table.from_batches(list(_read(runs)))
        return
    users = np.concatenate([batch["user"].to_numpy() for batch in _read(runs, columns=[0])])
    for first, last in user_ranges(users, SLICE_ROWS):
        yield pa.Table.from_batches([_of_users(batch, first, last) for batch in _read(runs)])


def _read(runs: Sequence[Run], columns: list[int] | None = None) -> Iterator[pa.RecordBatch]:
    options = pa.ipc.IpcReadOptions(included_fields=columns)
    for run in runs:
        with pa.OSFile(str(run.file)) as file:
            yield pa.ipc.open_file(file, options=options).get_batch(run.position)


def _of_users(batch: pa.RecordBatch, first: int, last: int) -> pa.RecordBatch:
    user = batch["user"].to_numpy()
    return batch.filter(pa.array((user >= first) & (user <= last)))


def _as_stored(events: pa.Table) -> pa.Table:
    """Events in the order and with the columns of the session store."""
    events = events.combine_chunks()
    order = sort_order(*(events[key].to_numpy() for key in ("user", "moment", "track")))
    ordered = events.take(pa.array(order))
    moment = ordered["moment"].to_numpy()
    columns = {name: ordered[name] for name in ordered.column_names}
    columns["timestamp"] = pa.array(moment >> 1)
    columns["message"] = pa.DictionaryArray.from_arrays(pa.array((moment & 1).astype(np.int8)), _MESSAGES)
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
