"""Divide rows into user buckets: runs of rows in Arrow files first, then one sorted part a bucket.

A run is the share of one bucket in one Arrow batch, by user. Neither step needs more memory for more rows: a batch is
written as it comes, and a bucket is sorted slice by slice.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa

from looplib.arrays import IntArray
from looplib.progress import progress
from recsys.store.columns import Layout
from recsys.store.sort import Run, SortedPart, write_sorted

ROWS_AT_ONCE = 500_000
MOST_WORKERS = 4
_MASK = 2**32 - 1


class Bucketing:
    """Takes rows by `add`, and returns the sorted parts from `finish`."""

    def __init__(self, folder: Path, layout: Layout, buckets: int) -> None:
        """Work in an empty folder, towards parts of a layout, for a number of buckets."""
        self._folder, self._layout, self._buckets = folder, layout, buckets
        self._groups: dict[int, list[tuple[int, Run]]] = {}

    def add(self, number: int, rows: Iterable[pa.RecordBatch]) -> int:
        """Take the rows of a group, in place of those added before under the same number; return how many there were.

        Rows have the layout's columns, with `moment` in place of timestamp and message.

        Raises:
            OSError: The disk is full.
        """
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

    def finish(self) -> list[SortedPart]:
        """Sort every bucket that has rows, a few at a time; the parts are in the order of the buckets."""
        runs: dict[int, list[Run]] = defaultdict(list)
        for group in self._groups.values():
            for bucket, run in group:
                runs[bucket].append(run)

        def write(bucket: int) -> SortedPart:
            return write_sorted(bucket, runs[bucket], self._layout, self._folder / f"bucket-{bucket:03}.parquet")

        with ThreadPoolExecutor(min(MOST_WORKERS, len(os.sched_getaffinity(0)))) as workers:
            parts = []
            with progress("sort", len(runs), "buckets") as report:
                for part in workers.map(write, sorted(runs)):
                    parts.append(part)
                    report(len(parts))
        return parts


def bucket_of(users: IntArray, buckets: int) -> IntArray:
    """Return the bucket of each user: the id folded into 32 bits, mixed, and scaled to the number of buckets.

    This function is part of the store's schema. Users are ids from 0, shape (n,); there are up to 2^31 buckets.
    """
    mixed = (users ^ (users >> 32)) & _MASK
    mixed = (mixed * 1_640_531_527) & _MASK
    mixed = ((mixed ^ (mixed >> 15)) * 1_597_334_677) & _MASK
    return (mixed * buckets) >> 32


def _by_bucket(batch: pa.RecordBatch, buckets: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield a batch's rows bucket by bucket, each by user; buckets without rows are left out."""
    users = batch["user"].to_numpy()
    bucket = bucket_of(users, buckets)
    order = np.lexsort((users, bucket.astype(np.uint16)))
    ends = np.cumsum(np.bincount(bucket, minlength=buckets)).tolist()
    rows = batch.take(pa.array(order))
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        if end > start:
            yield number, rows.slice(start, end - start)
