"""Divide plays into partitions of listeners, and sort each partition into a Parquet part.

Neither step needs more memory for more plays: they are written as they come, and DuckDB spills to
the disk.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.logs.field_types import integers
from analysis.store import Store
from looplib.arrays import IntArray, column_values, offsets
from looplib.files import sha256_file
from looplib.platform import usable_cores
from looplib.progress import progress
from recsys.store.reader import download_files

ROWS_AT_ONCE = 100_000
_MOST_WORKERS = 4
_MEMORY = "512MB"  # a partition, before DuckDB spills to the disk
_SORTED_IN_MEMORY = 1_000_000  # plays, for less than half of the time
_ROWS_OF_A_GROUP = 122_880  # DuckDB's row group
_ORDER = [(name, "ascending") for name in ("user", "timestamp", "track")]
_MASK = 2**32 - 1
# Arrow files, and numbers of their batches, by the partition of the plays
Batches = dict[int, list[tuple[Path, int]]]


class Part(NamedTuple):
    """A Parquet file that is finished, and its digest."""

    path: Path
    rows: int
    bytes: int
    sha256: str


def measure(file: Path) -> Part:
    """Count the rows and the bytes of a Parquet file, and take its sha256."""
    rows = pq.read_metadata(file).num_rows
    return Part(file, rows, file.stat().st_size, sha256_file(file))


def divide_plays(tables: Iterable[pa.Table], folder: Path, partitions: int) -> Batches:
    """Write plays to Arrow files in a folder, a batch for each partition in a table.

    Args:
        tables: Plays with columns of `analysis.store.PLAY`, and further columns of event logs.
        folder: An empty folder.
        partitions: Their number.
    """
    batches: Batches = defaultdict(list)
    for number, table in enumerate(tables):
        file = folder / f"rows-{number:06}.arrow"
        rows = table.combine_chunks()
        partition = partition_of(column_values(rows["user"]), partitions)
        order = np.argsort(partition.astype(np.uint16), kind="stable")
        rows = rows.take(integers(order))
        sizes = np.bincount(partition)
        starts = offsets(sizes)
        with file.open("wb") as sink, pa.ipc.new_file(sink, rows.schema) as written:
            for position, filled in enumerate(np.flatnonzero(sizes).tolist()):
                batch = rows.slice(starts[filled], sizes[filled])
                written.write_table(batch, max_chunksize=len(batch))
                batches[filled].append((file, position))
    return batches


def sort_plays(
    batches: Batches, folder: Path, store: Store, *, whole: bool = False
) -> dict[int, Part]:
    """Sort the plays of each partition by listener, time and track, a few partitions at a time.

    Of the events of a listener with the same message and request number, the first is kept; events
    that the store has are left out.

    Args:
        batches: Return value of `divide_plays`.
        folder: Where the parts are written.
        store: The store before the plays.
        whole: Leave out plays whose listener, timestamp and track the store has.

    Returns:
        The parts by partition, in order.
    """
    partitions = sorted(batches)
    parts = {}
    workers = min(_MOST_WORKERS, usable_cores())

    def write(partition: int) -> Part:
        return write_part(batches[partition], folder, store, whole, partition)

    with (
        progress("sort", len(partitions), "partitions") as report,
        ThreadPoolExecutor(workers) as pool,
    ):
        for partition, part in zip(
            partitions, pool.map(write, partitions), strict=True
        ):
            parts[partition] = part
            report(len(parts))
    return parts


def write_part(
    batches: Sequence[tuple[Path, int]],
    folder: Path,
    store: Store,
    whole: bool,
    partition: int,
) -> Part:
    """Write the plays of a partition in order, without repeats, as `sort_plays` says."""
    # a call that runs again on a worker does not meet the file of its first run
    part = folder / f"partition-{partition:03}-{uuid4().hex}.parquet"
    read = []
    for file, position in batches:
        with pa.memory_map(str(file)) as mapped:  # so that no other batch is read
            read.append(pa.ipc.open_file(mapped).get_batch(position))
    plays = pa.Table.from_batches(read)
    statement, keys = None, []
    if whole:
        statement, keys = "store/new_rows", ["user", "timestamp", "track"]
    elif "request" in plays.column_names and plays["request"].null_count < len(plays):
        statement, keys = "store/counted_once", ["user", "message", "request"]
    is_small = len(plays) <= _SORTED_IN_MEMORY
    if is_small and statement is None:
        _write_sorted(plays, part)
        return measure(part)
    with queries.connect(
        threads=1, memory_limit=_MEMORY, temp_directory=part.with_suffix(".spilled")
    ) as connection:
        connection.register("unsorted", plays)
        if statement:
            parts = (file for file in store.manifest.parts if file.of == partition)
            earlier = [plays.schema.empty_table().select(keys)]
            earlier += [
                pq.read_table(file, columns=keys, partitioning=None)
                for file in download_files(store.address, parts)
            ]
            connection.register(
                "earlier", pa.concat_tables(earlier, promote_options="default")
            )
            plays = queries.fetch_table(connection, statement)
            connection.register("unsorted", plays)
        if is_small:
            _write_sorted(plays, part)
        else:
            queries.copy_to_parquet(connection, "store/sorted_plays", part)
    return measure(part)


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
