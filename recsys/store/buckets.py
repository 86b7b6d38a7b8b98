"""Divide rows into user buckets: runs of rows in Arrow files first, then one sorted Parquet part a bucket.

A run is the share of one bucket in one Arrow batch, by user. Neither step needs more memory for
more rows: a batch is written as it comes, and a bucket is sorted a slice of users at a time.
`moment` is twice a row's timestamp, and 1 more for `last`: the order of a user's rows in one
number.
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from looplib.arrays import IntArray
from looplib.progress import progress

ROWS_AT_ONCE = 500_000
SLICE_ROWS = 750_000
_SAMPLED = 16  # every so many rows are looked at to cut a bucket into slices
_MOST_WORKERS = 4
_ROW_GROUP_ROWS = 122_880  # as DuckDB's own, which reads row groups in parallel
_MASK = 2**32 - 1


_NUMBERS = dict.fromkeys(("user", "timestamp", "track", "recommendation"), pa.int64())
_REALS = dict.fromkeys(("time", "latency", "propensity"), pa.float64())
_MESSAGES = pa.array(["next", "last"])


class Layout:
    """The columns of a store's parts; rows to be added have `moment` in place of timestamp and message."""

    def __init__(self, columns: str, dictionaries: str) -> None:
        """Take names; dictionaries are of columns of few values: of others they would be larger than the values."""
        types = {"message": pa.dictionary(pa.int8(), pa.string()), **_NUMBERS, **_REALS}
        self.schema = pa.schema(
            {name: types.get(name, pa.string()) for name in columns.split()}
        )
        self.dictionaries = dictionaries.split()


EVENTS = Layout(
    "user timestamp message track time latency recommendation experiments session recommender propensity",
    dictionaries="message time experiments recommender propensity",
)
INTERACTIONS = Layout(
    "user timestamp track time session source", dictionaries="time session source"
)


@dataclass(frozen=True)
class Run:
    """Rows of one bucket, by user: a record batch of an Arrow file."""

    file: Path
    position: int
    rows: int


class Bucketing:
    """Takes rows by `add`, and returns the sorted parts from `finish`."""

    def __init__(self, folder: Path, layout: Layout, buckets: int) -> None:
        """Work in an empty folder, towards parts of a layout, for a number of buckets."""
        self._folder, self._layout, self._buckets = folder, layout, buckets
        self._groups: dict[int, list[tuple[int, Run]]] = {}

    def add(self, number: int, rows: Iterable[pa.RecordBatch]) -> int:
        """Take the rows of a group, in place of any added under the same number; return how many there were."""
        file = self._folder / f"group-{number:06}.arrow"
        runs: list[tuple[int, Run]] = []
        with file.open("wb") as sink:
            written = None
            for batch in rows:
                for bucket, run in _by_bucket(batch, self._buckets):
                    written = written or pa.ipc.new_file(sink, run.schema)
                    written.write_batch(run)
                    runs.append((bucket, Run(file, len(runs), run.num_rows)))
            if written:
                written.close()
        self._groups[number] = runs
        return sum(run.rows for _, run in runs)

    def finish(self) -> dict[int, Path]:
        """Sort every bucket that has rows, a few at a time; return the parts by bucket, in order."""
        runs: dict[int, list[Run]] = defaultdict(list)
        for bucket, run in itertools.chain(*self._groups.values()):
            runs[bucket].append(run)
        parts = {
            bucket: self._folder / f"bucket-{bucket:03}.parquet"
            for bucket in sorted(runs)
        }

        def write(bucket: int) -> None:
            _write_sorted(runs[bucket], self._layout, parts[bucket])

        with (
            progress("sort", len(parts), "buckets") as report,
            ThreadPoolExecutor(
                min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
            ) as workers,
        ):
            for done, _ in enumerate(workers.map(write, parts), start=1):
                report(done)
        return parts


def bucket_of(users: IntArray, buckets: int) -> IntArray:
    """Return the bucket of each user: the id folded into 32 bits, mixed, and scaled to the number of buckets.

    This function is part of the store's schema. Users are ids from 0, shape (n,); there are up to
    2^31 buckets.
    """
    mixed = (users ^ (users >> 32)) & _MASK
    mixed = (mixed * 1_640_531_527) & _MASK
    mixed = ((mixed ^ (mixed >> 15)) * 1_597_334_677) & _MASK
    return (mixed * buckets) >> 32


def _write_sorted(runs: Sequence[Run], layout: Layout, target: Path) -> None:
    """Write the rows of some runs by user, timestamp, `next` before `last`, track; equal ones keep their order."""
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
            parquet.write_table(
                _as_stored(rows, layout.schema), row_group_size=_ROW_GROUP_ROWS
            )


def _by_bucket(
    batch: pa.RecordBatch, buckets: int
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield a batch's rows bucket by bucket, each by user; buckets without rows are left out."""
    users = batch["user"].to_numpy()
    bucket = bucket_of(users, buckets)
    rows = batch.take(pa.array(np.lexsort((users, bucket.astype(np.uint16)))))
    ends = np.cumsum(np.bincount(bucket, minlength=buckets)).tolist()
    for number, (start, end) in enumerate(itertools.pairwise([0, *ends])):
        if end > start:
            yield number, rows.slice(start, end - start)


def _slices(runs: Sequence[Run]) -> Iterator[pa.Table]:
    """Yield the rows of runs, slice by slice of users in order; a user is in one slice alone."""
    count = -(-sum(run.rows for run in runs) // SLICE_ROWS)
    sample = np.sort(
        np.concatenate([batch["user"].to_numpy()[::_SAMPLED] for batch in _read(runs)])
    )
    cuts = np.unique(sample[np.arange(1, count) * len(sample) // count])
    for number in range(len(cuts) + 1):
        rows = pa.Table.from_batches(
            [_slice(batch, cuts, number) for batch in _read(runs)]
        )
        if rows.num_rows:
            yield rows


def _slice(batch: pa.RecordBatch, cuts: IntArray, number: int) -> pa.RecordBatch:
    edges = [
        0,
        *np.searchsorted(batch["user"].to_numpy(), cuts).tolist(),
        batch.num_rows,
    ]
    return batch.slice(edges[number], edges[number + 1] - edges[number])


def _read(runs: Sequence[Run]) -> Iterator[pa.RecordBatch]:
    """Yield the record batches, as maps of the files: only what is looked at is read."""
    for file, of_file in itertools.groupby(runs, key=lambda run: run.file):
        with pa.memory_map(str(file)) as mapped:
            reader = pa.ipc.open_file(mapped)
            for run in of_file:
                yield reader.get_batch(run.position)


def _as_stored(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows in the order and with the columns of the session store."""
    rows = rows.combine_chunks()
    user, moment, track = (
        rows[name].fill_null(0).to_numpy() for name in ("user", "moment", "track")
    )
    order = np.lexsort((moment, user))
    users, moments = user[order], moment[order]
    # rare, so tracks are looked at only then
    if ((users[1:] == users[:-1]) & (moments[1:] == moments[:-1])).any():
        order = np.lexsort((track, moment, user))
    ordered = rows.take(pa.array(order))
    columns = {name: ordered[name] for name in ordered.column_names}
    columns["timestamp"] = pc.shift_right(ordered["moment"], 1)
    columns["message"] = pa.DictionaryArray.from_arrays(
        (moment[order] & 1).astype(np.int8), _MESSAGES
    )
    return pa.table([columns[name] for name in schema.names], schema=schema)
