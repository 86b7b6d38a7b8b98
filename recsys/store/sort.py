"""One bucket's events, sorted by user and time into a Parquet file, a slice of users in memory at a time.

`moment` is twice an event's timestamp, and 1 more for `last`: the order of a user's events in one number.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from looplib.arrays import IntArray

SLICE_ROWS = 750_000
_SAMPLED = 16  # every so many rows are looked at to cut a bucket into slices
ROW_GROUP_ROWS = 122_880  # as DuckDB's own, which reads row groups in parallel
SCHEMA = pa.schema(
    {
        "user": pa.int64(),
        "timestamp": pa.int64(),
        "message": pa.dictionary(pa.int8(), pa.string()),
        "track": pa.int64(),
        "time": pa.float64(),
        "latency": pa.float64(),
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
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True)
class Run:
    """Rows of one bucket, by user: a record batch of an Arrow file."""

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


def user_ranges(users: IntArray, ranges: int) -> list[tuple[int, int]]:
    """Ranges (first, last) of user ids, in order and without gaps, each with about as many rows.

    A user is in one range alone, so there are fewer ranges where some have very many rows.

    Args:
        users: The user of every row, or of a sample of rows.
        ranges: Number of ranges that is wanted.
    """
    in_order = np.sort(users)
    cuts = np.unique(in_order[np.arange(1, ranges) * len(users) // ranges]).tolist()
    return list(zip([0, *cuts], [*(cut - 1 for cut in cuts), _LARGEST_ID], strict=True))


def _slices(runs: Sequence[Run]) -> Iterator[pa.Table]:
    """The rows of runs, slice by slice of users in order."""
    count = -(-sum(run.rows for run in runs) // SLICE_ROWS)
    if count == 1:
        yield pa.Table.from_batches(list(_read(runs)))
        return
    sample = np.concatenate([batch["user"].to_numpy()[::_SAMPLED] for batch in _read(runs)])
    for first, last in user_ranges(sample, count):
        events = pa.Table.from_batches([_of_users(batch, first, last) for batch in _read(runs)])
        if events.num_rows:
            yield events


def _read(runs: Sequence[Run]) -> Iterator[pa.RecordBatch]:
    """The record batches, as maps of the files: only what is looked at is read."""
    for file, of_file in itertools.groupby(runs, key=lambda run: run.file):
        with pa.memory_map(str(file)) as mapped:
            reader = pa.ipc.open_file(mapped)
            for run in of_file:
                yield reader.get_batch(run.position)


def _of_users(batch: pa.RecordBatch, first: int, last: int) -> pa.RecordBatch:
    users = batch["user"].to_numpy()
    start, end = np.searchsorted(users, first), np.searchsorted(users, last, side="right")
    return batch.slice(start, end - start)


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
