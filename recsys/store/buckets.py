"""Divide rows into user buckets, and sort each bucket into a Parquet part.

A run is the share of one bucket in some rows, by user. Neither step needs more memory for more
rows: rows are written as they come, and a bucket is sorted a slice of users at a time.
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.logs.field_types import EVENT_SCHEMA, with_all_columns
from looplib.arrays import IntArray
from looplib.event_fields import EVENT_FIELDS
from looplib.progress import progress

ROWS_AT_ONCE = 100_000
SLICE_ROWS = 750_000
_SAMPLED = 16  # every so many rows are looked at to cut a bucket into slices
_MOST_WORKERS = 4
_ROW_GROUP_ROWS = 122_880  # as DuckDB's own, which reads row groups in parallel
_MASK = 2**32 - 1
_REQUEST_KEYS = ["user", "message", "request"]
_FEW_VALUES = ("message", "share", "arms", "text", "probability")  # types of fields


class Layout(NamedTuple):
    """The columns of a store's parts."""

    schema: pa.Schema
    # columns of few values; of others a dictionary would be larger than the values
    dictionaries: list[str]


EVENTS = Layout(
    EVENT_SCHEMA, [field.name for field in EVENT_FIELDS if field.type in _FEW_VALUES]
)
INTERACTIONS = Layout(
    pa.schema(
        {
            "user": pa.int64(),
            "timestamp": pa.int64(),
            "track": pa.int64(),
            "time": pa.float64(),
            "session": pa.string(),
            "source": pa.string(),
        }
    ),
    ["time", "session", "source"],
)


@dataclass(frozen=True)
class Run:
    """Rows of one bucket, by user: a record batch of an Arrow file."""

    file: Path
    position: int
    rows: int


class Bucketing:
    """Rows on their way into sorted parts: `add` takes them, and `finish` sorts them."""

    def __init__(self, folder: Path, layout: Layout, buckets: int) -> None:
        """Work in an empty folder, towards parts of a layout, for a number of buckets."""
        self._folder, self._layout, self._buckets = folder, layout, buckets
        self._runs: dict[int, list[Run]] = defaultdict(list)
        self._files = 0
        # the buckets with events that have a request number
        self.with_requests: set[int] = set()

    def add(self, rows: pa.Table) -> None:
        """Take rows with columns of the layout; those that are missing become null."""
        rows = with_all_columns(rows, self._layout.schema)
        file = self._folder / f"rows-{self._files:06}.arrow"
        self._files += 1
        batches = list(_by_bucket(rows.combine_chunks(), self._buckets))
        with file.open("wb") as sink, pa.ipc.new_file(sink, rows.schema) as written:
            for position, (bucket, batch) in enumerate(batches):
                written.write_table(batch, max_chunksize=len(batch))
                self._runs[bucket].append(Run(file, position, len(batch)))
                if _has_requests(batch):
                    self.with_requests.add(bucket)

    def finish(self, earlier: Mapping[int, Sequence[Path]]) -> dict[int, Path]:
        """Sort every bucket that has rows, a few at a time.

        An event is left out if its listener sent the same message with the same request number
        before, in these rows or in the store's parts, which `earlier` has by bucket.

        Returns:
            The parts by bucket, in order.
        """
        parts = {
            bucket: self._folder / f"bucket-{bucket:03}.parquet"
            for bucket in sorted(self._runs)
        }

        def write(bucket: int) -> None:
            known = _known_requests(earlier.get(bucket, ()))
            _write_sorted(self._runs[bucket], self._layout, parts[bucket], known)

        workers = min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
        with (
            progress("sort", len(parts), "buckets") as report,
            ThreadPoolExecutor(workers) as pool,
        ):
            for done, _ in enumerate(pool.map(write, parts), start=1):
                report(done)
        return parts


def bucket_of(users: IntArray, buckets: int) -> IntArray:
    """Return the bucket of each user: the id folded into 32 bits, mixed, and scaled.

    This function is part of the store's schema. Users are ids from 0, shape (n,); there are up to
    2^31 buckets.
    """
    mixed = (users ^ (users >> 32)) & _MASK
    mixed = (mixed * 1_640_531_527) & _MASK
    mixed = ((mixed ^ (mixed >> 15)) * 1_597_334_677) & _MASK
    return (mixed * buckets) >> 32


def _by_bucket(rows: pa.Table, buckets: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield rows bucket by bucket, each by user; buckets without rows are left out."""
    users = rows["user"].to_numpy()
    bucket = bucket_of(users, buckets)
    ordered = rows.take(pa.array(np.lexsort((users, bucket.astype(np.uint16)))))
    ends = np.cumsum(np.bincount(bucket, minlength=buckets)).tolist()
    for number, (start, end) in enumerate(itertools.pairwise([0, *ends])):
        if end > start:
            yield number, ordered.slice(start, end - start)


def _has_requests(rows: pa.Table) -> bool:
    names = rows.schema.names
    return "request" in names and rows["request"].null_count < len(rows)


def _known_requests(parts: Sequence[Path]) -> pa.Table:
    """Return user, message and request of the events in parts that have a request."""
    known = [EVENT_SCHEMA.empty_table().select(_REQUEST_KEYS)]
    for part in parts:
        if "request" in pq.read_schema(part).names:
            rows = pq.read_table(part, columns=_REQUEST_KEYS, partitioning=None)
            known.append(rows.filter(pc.is_valid(rows["request"])))
    return pa.concat_tables(known)


def _write_sorted(
    runs: Sequence[Run], layout: Layout, target: Path, known: pa.Table
) -> None:
    """Write the rows of some runs by user, timestamp, `next` before `last`, track."""
    options = {
        "compression": "zstd",
        "use_dictionary": layout.dictionaries,
        "store_schema": False,
    }
    with (
        target.open("wb") as sink,
        pq.ParquetWriter(sink, layout.schema, **options) as parquet,
    ):
        for rows in _slices(runs):
            counted = _count_once(rows, known) if _has_requests(rows) else rows
            parquet.write_table(_ordered(counted), row_group_size=_ROW_GROUP_ROWS)


def _slices(runs: Sequence[Run]) -> Iterator[pa.Table]:
    """Yield the rows of runs by slices of users, in order; a user is in one slice alone."""
    count = -(-sum(run.rows for run in runs) // SLICE_ROWS)
    sampled = [batch["user"].to_numpy()[::_SAMPLED] for batch in _read(runs)]
    sample = np.sort(np.concatenate(sampled))
    cuts = np.unique(sample[np.arange(1, count) * len(sample) // count])
    for number in range(len(cuts) + 1):
        batches = [_slice(batch, cuts, number) for batch in _read(runs)]
        rows = pa.Table.from_batches(batches)
        if rows.num_rows:
            yield rows


def _slice(batch: pa.RecordBatch, cuts: IntArray, number: int) -> pa.RecordBatch:
    inner = np.searchsorted(batch["user"].to_numpy(), cuts).tolist()
    edges = [0, *inner, batch.num_rows]
    return batch.slice(edges[number], edges[number + 1] - edges[number])


def _read(runs: Sequence[Run]) -> Iterator[pa.RecordBatch]:
    """Yield the record batches, mapped from their files: only what is looked at is read."""
    for file, runs_of_file in itertools.groupby(runs, key=lambda run: run.file):
        with pa.memory_map(str(file)) as mapped:
            reader = pa.ipc.open_file(mapped)
            for run in runs_of_file:
                yield reader.get_batch(run.position)


def _count_once(rows: pa.Table, known: pa.Table) -> pa.Table:
    """Leave out events whose user, message and request are known or in an earlier row."""
    keys = pa.concat_tables([known, rows.select(_REQUEST_KEYS)])
    is_last = pc.equal(keys["message"], "last").to_numpy()
    request = keys["request"].fill_null(-1).to_numpy()
    user = keys["user"].to_numpy()
    # of equal keys the first stands first
    order = np.lexsort((request, is_last, user))
    same = np.ones(len(order) - 1, dtype=bool)
    for column in (request, is_last, user):
        same &= column[order][1:] == column[order][:-1]
    is_repeat = np.zeros(len(order), dtype=bool)
    is_repeat[order[1:][same]] = True
    is_repeat &= request >= 0
    return rows.filter(pa.array(~is_repeat[len(known) :]))


def _ordered(rows: pa.Table) -> pa.Table:
    """Return rows in the order of the session store; equal ones keep theirs."""
    rows = rows.combine_chunks()
    user = rows["user"].to_numpy()
    track = rows["track"].to_numpy()
    moment = rows["timestamp"].fill_null(0).to_numpy() * 2
    if "message" in rows.schema.names:
        moment += pc.equal(rows["message"], "last").to_numpy()
    order = np.lexsort((moment, user))
    users, moments = user[order], moment[order]
    # rare, so tracks are looked at only then
    if ((users[1:] == users[:-1]) & (moments[1:] == moments[:-1])).any():
        order = np.lexsort((track, moment, user))
    return rows.take(pa.array(order))
