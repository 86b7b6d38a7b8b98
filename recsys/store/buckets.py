"""Events of any number of batches, parted by user bucket: runs of rows in Arrow files, and then one sorted part each.

A run is what one piece of a batch has of a bucket, by user. Neither step needs more memory for a longer log: a batch is
written as it comes, and a bucket is sorted slice by slice.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis import queries
from analysis.logs.reader import OddLineError, canonical_assignments
from recsys.store.sort import Run, SortedPart, write_sorted

ROWS_AT_ONCE = 500_000
MOST_WORKERS = 4
# The columns of `sql/events/bucketed_events.sql`, the bucket aside.
SCHEMA = pa.schema(
    {
        "user": pa.int64(),
        "moment": pa.int64(),
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


class Bucketing:
    """Takes batches of events by `add`, and gives the sorted parts by `finish`."""

    def __init__(self, connection: queries.Connection, folder: Path, *, buckets: int, largest_track: int) -> None:
        """Works in an empty folder; a track beyond the largest fails `add`."""
        self._connection = connection
        self._folder = folder
        self._buckets = buckets
        self._largest_track = largest_track
        self._batches: dict[int, list[tuple[int, Run]]] = {}

    def add(self, number: int) -> int:
        """Takes the table `events` as the batch of this number; one taken before under it is forgotten.

        Returns:
            How many events there were.

        Raises:
            DatabaseError: A line is odd, or the memory too little.
            OddLineError: Experiments are not an object of strings, or a track is beyond the largest.
            OSError: The disk is full.
        """
        file = self._folder / f"batch-{number:06}.arrow"
        rows = queries.stream(self._connection, "events/bucketed_events", ROWS_AT_ONCE, buckets=self._buckets)
        runs: list[tuple[int, Run]] = []
        with file.open("wb") as sink, pa.ipc.new_file(sink, SCHEMA) as written:
            for batch in rows:
                _check_tracks(batch, self._largest_track)
                for bucket, run in _by_bucket(_canonical(batch), self._buckets):
                    written.write_batch(run)
                    runs.append((bucket, Run(file, len(runs), run.num_rows)))
        self._batches[number] = runs
        return sum(run.rows for _, run in runs)

    def finish(self) -> list[SortedPart]:
        """Sorts every bucket that has events, a few at a time; the parts are in the order of the buckets."""
        runs: dict[int, list[Run]] = defaultdict(list)
        for batch in self._batches.values():
            for bucket, run in batch:
                runs[bucket].append(run)

        def write(bucket: int) -> SortedPart:
            return write_sorted(bucket, runs[bucket], self._folder / f"bucket-{bucket:03}.parquet")

        with ThreadPoolExecutor(min(MOST_WORKERS, len(os.sched_getaffinity(0)))) as workers:
            return list(workers.map(write, sorted(runs)))


def _check_tracks(batch: pa.RecordBatch, largest: int) -> None:
    for key in ("track", "recommendation"):
        if (pc.max(batch[key]).as_py() or 0) > largest:
            raise OddLineError(f"a track beyond {largest} - at `$.{key}`")


def _by_bucket(batch: pa.RecordBatch, buckets: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """A batch's rows bucket by bucket, each by user; buckets without rows are left out."""
    bucket = batch["bucket"].to_numpy()
    order = np.lexsort((batch["user"].to_numpy(), bucket.astype(np.uint16)))
    ends = np.cumsum(np.bincount(bucket, minlength=buckets)).tolist()
    rows = batch.drop_columns(["bucket"]).take(pa.array(order))
    for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
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
