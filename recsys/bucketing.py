"""Events of any number of batches, parted by user bucket and sorted, with one bucket in memory at most.

A batch is written as it comes, a run of rows a bucket, to an Arrow file; then the runs of each bucket are read from all
files together, sorted, and written for good.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis import queries
from analysis.event_log import canonical_assignments

ROWS = 500_000
# The columns of `sql/events/bucketed_events.sql`, the bucket aside.
SCHEMA = pa.schema(
    {
        "user": pa.int64(),
        "moment": pa.int64(),
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


@dataclass(frozen=True)
class SortedBucket:
    """A finished Parquet file of one bucket."""

    bucket: int
    file: Path
    rows: int


@dataclass(frozen=True)
class _Runs:
    """An Arrow file, and the bucket of each of its record batches."""

    file: Path
    buckets: tuple[int, ...]


class Bucketing:
    """Takes batches of events by `add`, and gives the sorted buckets by `finish`."""

    def __init__(self, connection: queries.Connection, folder: Path, *, buckets: int, largest_track: int) -> None:
        """Works in an empty folder; a track beyond the largest fails `add`."""
        self._connection = connection
        self._folder = folder
        self._buckets = buckets
        self._largest_track = largest_track
        self._runs: dict[int, _Runs] = {}

    def add(self, number: int) -> int:
        """Takes the table `events` as the batch of this number; one taken before under it is forgotten.

        Returns:
            How many events there were.

        Raises:
            DatabaseError: A line is odd, or the memory too little.
            OddLineError: Experiments are not an object of strings.
            OSError: The disk is full.
        """
        file = self._folder / f"batch-{number:06}.arrow"
        rows = queries.stream(
            self._connection, "events/bucketed_events", ROWS, buckets=self._buckets, largest_track=self._largest_track
        )
        events, buckets = 0, list[int]()
        with file.open("wb") as sink, pa.ipc.new_file(sink, SCHEMA) as runs:
            for batch in rows:
                events += batch.num_rows
                for bucket, run in _runs_by_bucket(_canonical(batch), self._buckets):
                    runs.write_batch(run)
                    buckets.append(bucket)
        self._runs[number] = _Runs(file, tuple(buckets))
        return events

    def finish(self) -> list[SortedBucket]:
        """Sorts every bucket that has events."""
        places: dict[int, list[tuple[pa.RecordBatchFileReader, int]]] = defaultdict(list)
        for runs in self._runs.values():
            reader = pa.ipc.open_file(pa.memory_map(str(runs.file)))
            for position, bucket in enumerate(runs.buckets):
                places[bucket].append((reader, position))
        return [self._sort(bucket, places[bucket]) for bucket in sorted(places)]

    def _sort(self, bucket: int, places: list[tuple[pa.RecordBatchFileReader, int]]) -> SortedBucket:
        target = self._folder / f"bucket-{bucket:03}.parquet"
        events = pa.Table.from_batches([reader.get_batch(position) for reader, position in places])
        queries.attach_arrow(self._connection, "bucket_events", events)
        rows = queries.copy_to_parquet(self._connection, "events/sorted_events", target)
        queries.detach(self._connection, "bucket_events")
        return SortedBucket(bucket, target, rows)


def _runs_by_bucket(batch: pa.RecordBatch, buckets: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """A batch's rows bucket by bucket, in their order; buckets without rows are left out."""
    bucket = batch["bucket"].to_numpy()
    order = np.argsort(bucket.astype(np.uint16), kind="stable")  # 16 bits: sorted by radix
    ends = np.cumsum(np.bincount(bucket, minlength=buckets))
    rows = batch.drop_columns(["bucket"]).take(pa.array(order))
    for number, (start, end) in enumerate(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)):
        if end > start:
            yield number, rows.slice(start, end - start)


def _canonical(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch whose experiments are canonical JSON; untouched if they all were."""
    texts = pc.unique(batch["experiments"]).drop_null().to_pylist()
    changed = {text: canonical for text in texts if (canonical := canonical_assignments(text)) != text}
    if not changed:
        return batch
    column = batch["experiments"].dictionary_encode()
    values = [changed.get(text, text) for text in column.dictionary.to_pylist()]
    canonical = pa.DictionaryArray.from_arrays(column.indices, pa.array(values, pa.string())).cast(pa.string())
    return batch.set_column(batch.schema.get_field_index("experiments"), "experiments", canonical)
