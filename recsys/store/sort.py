"""Sort the rows of a bucket by user and time into a Parquet file, a slice of users in memory at a time.

`moment` is twice a row's timestamp, and 1 more for `last`: the order of a user's rows in one number.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from looplib.arrays import IntArray
from recsys.store.columns import Layout

SLICE_ROWS = 750_000
_SAMPLED = 16  # every so many rows are looked at to cut a bucket into slices
ROW_GROUP_ROWS = 122_880  # as DuckDB's own, which reads row groups in parallel
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
    """A finished Parquet file of one bucket; the timestamps are its first and last, in ms, None without."""

    bucket: int
    file: Path
    rows: int
    first_timestamp: int | None
    last_timestamp: int | None


def write_sorted(bucket: int, runs: Sequence[Run], layout: Layout, target: Path) -> SortedPart:
    """Write the rows of some runs by user, timestamp, `next` before `last`, track; equal ones keep their order.

    Raises:
        OSError: The disk is full.
    """
    moments: list[int] = []
    options = {"compression": "zstd", "use_dictionary": list(layout.dictionaries), "store_schema": False}
    with target.open("wb") as sink, pq.ParquetWriter(sink, layout.schema, **options) as parquet:
        for rows in _slices(runs):
            stored = _as_stored(rows, layout.schema)
            moments += [moment for moment in pc.min_max(stored["timestamp"]).as_py().values() if moment is not None]
            parquet.write_table(stored, row_group_size=ROW_GROUP_ROWS)
    rows = sum(run.rows for run in runs)
    return SortedPart(bucket, target, rows, min(moments, default=None), max(moments, default=None))


def sort_order(user: IntArray, moment: IntArray, track: IntArray) -> IntArray:
    """Return the positions of rows in the order of user, moment, track; equal rows keep theirs.

    Two rows of a user at the same moment are rare, so the third key is looked at only if there are some.
    """
    order = np.lexsort((moment, user))
    users, moments = user[order], moment[order]
    if bool(((users[1:] == users[:-1]) & (moments[1:] == moments[:-1])).any()):
        return np.lexsort((track, moment, user))
    return order


def user_ranges(users: IntArray, ranges: int) -> list[tuple[int, int]]:
    """Return ranges (first, last) of user ids, in order and without gaps, each with about as many rows.

    `users` are those of every row, or of a sample of rows. A user is in one range alone, so there are fewer ranges than
    wanted where some have very many rows.
    """
    in_order = np.sort(users)
    cuts = np.unique(in_order[np.arange(1, ranges) * len(users) // ranges]).tolist()
    return list(zip([0, *cuts], [*(cut - 1 for cut in cuts), _LARGEST_ID], strict=True))


def _slices(runs: Sequence[Run]) -> Iterator[pa.Table]:
    """Yield the rows of runs, slice by slice of users in order."""
    count = -(-sum(run.rows for run in runs) // SLICE_ROWS)
    if count == 1:
        yield pa.Table.from_batches(list(_read(runs)))
        return
    sample = np.concatenate([batch["user"].to_numpy()[::_SAMPLED] for batch in _read(runs)])
    for first, last in user_ranges(sample, count):
        rows = pa.Table.from_batches([_of_users(batch, first, last) for batch in _read(runs)])
        if rows.num_rows:
            yield rows


def _read(runs: Sequence[Run]) -> Iterator[pa.RecordBatch]:
    """Yield the record batches, as maps of the files: only what is looked at is read."""
    for file, of_file in itertools.groupby(runs, key=lambda run: run.file):
        with pa.memory_map(str(file)) as mapped:
            reader = pa.ipc.open_file(mapped)
            for run in of_file:
                yield reader.get_batch(run.position)


def _of_users(batch: pa.RecordBatch, first: int, last: int) -> pa.RecordBatch:
    users = batch["user"].to_numpy()
    start, end = np.searchsorted(users, first), np.searchsorted(users, last, side="right")
    return batch.slice(start, end - start)


def _as_stored(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows in the order and with the columns of the session store."""
    rows = rows.combine_chunks()
    moment = rows["moment"].fill_null(0).to_numpy()
    ordered = rows.take(pa.array(sort_order(rows["user"].to_numpy(), moment, rows["track"].to_numpy())))
    columns = {name: ordered[name] for name in ordered.column_names}
    columns["timestamp"] = pc.shift_right(ordered["moment"], 1)
    if "message" in schema.names:
        is_last = (ordered["moment"].to_numpy() & 1).astype(np.int8)
        columns["message"] = pa.DictionaryArray.from_arrays(pa.array(is_last), _MESSAGES)
    return pa.table([columns[name] for name in schema.names], schema=schema)
