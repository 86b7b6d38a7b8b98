"""Divide rows into user partitions, and sort each partition into a Parquet part.

A run is the share of one partition in some rows. Neither step needs more memory for more
rows: rows are written as they come, and what DuckDB sorts spills to the disk.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.logs.field_types import EVENT_SCHEMA, integers, with_all_columns
from looplib.arrays import IntArray, column_values, offsets
from looplib.progress import progress

ROWS_AT_ONCE = 100_000
_MOST_WORKERS = 4
_MEMORY = "512MB"  # of each, before it spills to the disk
_SORTED_IN_MEMORY = 1_000_000  # events, for less than half of the time
_ROWS_OF_A_GROUP = 122_880  # as DuckDB writes them
# of `sql/store/sorted_plays.sql`
_ORDER = [
    ("user", "ascending"),
    ("timestamp", "ascending"),
    ("message", "descending"),  # next before last
    ("track", "ascending"),
]
_MASK = 2**32 - 1
# what is left out of rows that earlier parts have, and by which columns
_SENT_AGAIN = ("store/counted_once", ["user", "message", "request"])
_READ_AGAIN = ("store/new_rows", ["user", "timestamp", "track"])
Run = tuple[Path, int]  # an Arrow file, and which of its batches
# Columns of a play. An event log fills those of an event; a table of plays the listener (`user`),
# the track, the amount (`time`: seconds, share, weight or 1) and, where known, the moment or
# position (`timestamp`), the session, whether the listener chose the track, and its propensity.
PLAY_SCHEMA = pa.schema(
    [*EVENT_SCHEMA, pa.field("organic", pa.bool_()), pa.field("source", pa.string())]
)


class Partitioner:
    """Rows on their way into sorted parts: `add` takes them, and `finish` sorts them."""

    def __init__(self, folder: Path, partitions: int) -> None:
        """Work in an empty folder, for a number of partitions."""
        self._folder = folder
        self._partitions = partitions
        self._runs: dict[int, list[Run]] = defaultdict(list)
        self._files = 0
        # the partitions with events that have a request number
        self.with_requests: set[int] = set()

    def add(self, rows: pa.Table) -> None:
        """Take rows with columns of `PLAY_SCHEMA`; missing columns become null."""
        rows = with_all_columns(rows, PLAY_SCHEMA)
        file = self._folder / f"rows-{self._files:06}.arrow"
        self._files += 1
        rows = rows.combine_chunks()
        users = column_values(rows["user"])
        partitions = partition_of(users, self._partitions)
        order = np.argsort(partitions.astype(np.uint16), kind="stable")
        rows = rows.take(integers(order))
        sizes = np.bincount(partitions)
        starts = offsets(sizes)
        with file.open("wb") as sink, pa.ipc.new_file(sink, rows.schema) as written:
            for position, partition in enumerate(np.flatnonzero(sizes).tolist()):
                batch = rows.slice(starts[partition], sizes[partition])
                written.write_table(batch, max_chunksize=len(batch))
                self._runs[partition].append((file, position))
                if batch["request"].null_count < len(batch):
                    self.with_requests.add(partition)

    def finish(self, earlier: Mapping[int, Sequence[Path]]) -> dict[int, Path]:
        """Sort every partition that has rows, a few at a time.

        An event is left out if its listener sent the same message with the same request number
        before, in these rows or in the store's parts, which `earlier` has by partition; there is an
        entry for each partition in `with_requests`. With an entry for another partition, rows of
        it are left out that the store has.

        Returns:
            The parts by partition, in order.
        """
        partitions = sorted(self._runs)
        parts = {}
        workers = min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
        with (
            progress("sort", len(partitions), "partitions") as report,
            ThreadPoolExecutor(workers) as pool,
        ):
            written = pool.map(self._write, partitions, map(earlier.get, partitions))
            for partition, part in zip(partitions, written, strict=True):
                parts[partition] = part
                report(len(parts))
        return parts

    def _write(self, partition: int, earlier: Sequence[Path] | None) -> Path:
        """Write the rows of a partition in order; with earlier parts, what was sent again once."""
        part = self._folder / f"partition-{partition:03}.parquet"
        runs = []
        for file, position in self._runs[partition]:
            with pa.memory_map(str(file)) as mapped:  # so that no other run is read
                runs.append(pa.ipc.open_file(mapped).get_batch(position))
        rows = pa.Table.from_batches(runs)
        is_small = len(rows) <= _SORTED_IN_MEMORY
        if is_small and earlier is None:
            _write_sorted(rows, part)
            return part
        with queries.connect(
            threads=1, memory_limit=_MEMORY, temp_directory=part.with_suffix(".spilled")
        ) as connection:
            connection.register("unsorted", rows)
            if earlier is not None:
                is_sent = partition in self.with_requests
                statement, keys = _SENT_AGAIN if is_sent else _READ_AGAIN
                stored = [PLAY_SCHEMA.empty_table().select(keys)]
                stored += [
                    pq.read_table(file, columns=keys, partitioning=None)
                    for file in earlier
                ]
                connection.register("earlier", pa.concat_tables(stored))
                rows = queries.fetch_table(connection, statement)
                connection.register("unsorted", rows)
            if is_small:
                _write_sorted(rows, part)
            else:
                queries.copy_to_parquet(connection, "store/sorted_plays", part)
        return part


def _write_sorted(plays: pa.Table, part: Path) -> None:
    """Write plays to a Parquet file in their order."""
    texts = [field.name for field in plays.schema if field.type == pa.string()]
    pq.write_table(
        plays.combine_chunks().sort_by(_ORDER),
        part,
        row_group_size=_ROWS_OF_A_GROUP,
        compression="zstd",
        use_dictionary=texts,
        write_statistics=["user", "timestamp"],
    )


def partition_of(users: IntArray, partitions: int) -> IntArray:
    """Compute the partition of each user: the id folded into 32 bits, mixed, and scaled.

    >>> partition_of(np.array([7, 2**31, 2**63 - 1]), 16).tolist()
    [15, 14, 14]

    This function is part of the store's schema. Users are ids from 0, shape (n,); there are up to
    2^31 partitions.
    """
    mixed = (users ^ (users >> 32)) & _MASK
    mixed = (mixed * 1_640_531_527) & _MASK
    mixed = ((mixed ^ (mixed >> 15)) * 1_597_334_677) & _MASK
    return (mixed * partitions) >> 32
