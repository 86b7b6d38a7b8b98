"""Events of any number of batches, parted by user bucket and sorted, in memory for one bucket at most.

First every batch is written unsorted, a file or two a bucket; then each bucket is read, sorted and written for good.
"""

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from analysis import queries
from analysis.event_log import Consumed, canonical_assignments, distinct_assignments


@dataclass(frozen=True)
class SortedBucket:
    """A finished Parquet file of one bucket."""

    bucket: int
    file: Path
    rows: int


class Bucketing:
    """Takes batches of events by `add`, and gives the sorted buckets by `finish`."""

    def __init__(self, connection: queries.Connection, folder: Path, *, buckets: int, tracks: int) -> None:
        """Works in an empty folder; an id of `tracks` or more fails `add`."""
        self._connection = connection
        self._folder = folder
        self._buckets = buckets
        self._tracks = tracks

    def add(self, number: int) -> Consumed:
        """Takes the table `events` as the batch of this number; one taken before under it is forgotten.

        Raises:
            DatabaseError: A line is odd, or the disk is full.
        """
        target = self._folder / f"batch-{number:06}"
        shutil.rmtree(target, ignore_errors=True)
        events = queries.copy(
            self._connection,
            "events/bucketed_events",
            target,
            queries.PARQUET_BY_BUCKET,
            buckets=self._buckets,
            tracks=self._tracks,
        )
        files = sorted(target.glob("*/*.parquet"))
        if not files:
            return Consumed(0, frozenset())
        queries.attach_parquet(self._connection, "events", files)
        return Consumed(events, distinct_assignments(self._connection))

    def finish(self, assignments: Iterable[str]) -> list[SortedBucket]:
        """Sorts every bucket that has events; `assignments` are the texts of `experiments` of all batches."""
        queries.attach_arrow(self._connection, "canonical_assignments", _canonical(assignments))
        return [
            self._sort(bucket, files)
            for bucket in range(self._buckets)
            if (files := sorted(self._folder.glob(f"batch-*/bucket={bucket}/*.parquet")))
        ]

    def _sort(self, bucket: int, files: list[Path]) -> SortedBucket:
        target = self._folder / f"bucket-{bucket:03}.parquet"
        queries.attach_parquet(self._connection, "events", files)
        rows = queries.copy(self._connection, "events/sorted_events", target, queries.PARQUET)
        for file in files:
            file.unlink()
        return SortedBucket(bucket, target, rows)


def _canonical(assignments: Iterable[str]) -> pa.Table:
    """Texts that are not canonical, and their canonical form."""
    pairs = [(text, canonical_assignments(text)) for text in sorted(assignments)]
    changed = [(text, canonical) for text, canonical in pairs if text != canonical]
    columns = {
        "experiments": pa.array([text for text, _ in changed], pa.string()),
        "canonical": pa.array([canonical for _, canonical in changed], pa.string()),
    }
    return pa.table(columns)
