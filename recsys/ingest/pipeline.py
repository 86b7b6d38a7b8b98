"""Add files to a session store, all of them or nothing: read, check, sort by partition, commit."""

import errno
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.logs.files import LogFile
from analysis.logs.lines import LineCounts
from analysis.logs.reader import read_rejects
from analysis.logs.sources import NewFiles
from analysis.store import LOGGED, Source, Store
from analysis.tables.columns import Reading
from analysis.tables.databases import DATABASES, copy_table
from analysis.tables.reader import MEMORY, find_tables
from looplib.files import TEMPORARY_PREFIX
from recsys.errors import IngestError
from recsys.ingest.events import add_events, find_logs
from recsys.ingest.tables import add_tables
from recsys.storage import Workspace, open_workspace
from recsys.store.partitions import sort_plays
from recsys.store.writer import commit, locked

# None: in the words of DuckDB
_DISK_FULL = {None, errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class IngestReport:
    """The outcome of an ingest."""

    store: Store  # after the ingest
    added: tuple[Source, ...]  # the new files
    repeated: tuple[LogFile, ...]  # files whose content the store had before
    # good lines that are no row of their own: events that were sent again, and plays whose amount
    # was added to another row
    repeats: int = 0
    left_out: int = 0  # rows of tables for which the condition does not hold
    future: int = 0  # new plays that are later than this machine's clock

    @property
    def lines(self) -> LineCounts:
        """The lines of the new files."""
        return sum((source.lines for source in self.added), LineCounts())


def ingest(
    paths: Sequence[str | Path],
    store: str | Path,
    reading: Reading | None = None,
    *,
    partitions: int | None = None,
    whole: bool = False,
) -> IngestReport:
    """Add files, folders and glob patterns to a session store, which is made if there is none.

    Files are event logs, or tables if there is a `reading`. Each row becomes a play. Rows of a
    table without shares that have the same user, item, timestamp and session become one play, with
    the sum of their weights. A file whose content the store has adds nothing, unless it is read in
    another way. A database may have grown since it was read, and so may a `whole` source such as a
    data frame: rows whose user, item and timestamp the store has are not added again.

    Raises:
        AnalysisError: A log or table cannot be found or read, is empty, or lacks a column.
        IngestError: No row is good, rows contradict each other, logs are of another world, or the
            machine has too little disk or memory.
        StoreError: The store is damaged, holds something else, or has another number of partitions.
        StorageError: Another ingest is at work.
    """
    files = find_tables(paths) if reading else find_logs(paths)
    workspace = open_workspace(store)
    with (
        _machine_errors_explained(workspace),
        locked(workspace, partitions) as (lock, before),
        # The folder is on the store's disk; the next writer removes a killed ingest's.
        tempfile.TemporaryDirectory(
            "", TEMPORARY_PREFIX, workspace.folder, ignore_cleanup_errors=True
        ) as folder,
    ):
        _check_columns(before, reading)
        scratch = Path(folder)
        if reading:
            databases = [file for file in files if file.suffix in DATABASES]
            whole |= bool(databases)
            files = [
                copy_table(file, reading.table, scratch) if file in databases else file
                for file in files
            ]
        sources = before.manifest.sources
        content = reading.content if reading else None
        new = NewFiles(files, scratch, sources, content, whole=whole)
        pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own has more page faults
        with queries.connect(
            memory_limit=MEMORY,
            temp_directory=scratch / "spilled",
            preserve_insertion_order=False,
        ) as connection:
            if reading:
                manifest, ids, batches = add_tables(before, new, connection, reading)
            else:
                manifest, ids, batches = add_events(before, new, connection)
        # The connection is closed: sorting needs the memory.
        if whole and before.manifest.parts and new.sources:
            _check_timestamps(before, reading)
        parts = sort_plays(batches, scratch, before, whole=whole)
        later = [("timestamp", ">", time.time_ns() // 1_000_000)]
        future = 0
        if parts and "timestamp" in manifest.columns:
            names = [*parts.values()]
            future = len(pq.read_table(names, columns=["timestamp"], filters=later))
        added = manifest.sources[len(sources) :]
        if not (parts or new.repeated):
            raise IngestError(f"no play in {len(added)} files; {_why(added, scratch)}")
        named = reading and (reading.columns.title or reading.columns.artist)
        stored = {file.of for file in before.manifest.id_files}
        if named and not added and "titles" not in stored:
            raise IngestError(
                f"{store}: has the rows of these files, read without titles and artists; ingest "
                "them into a new store"
            )
        after = commit(lock, manifest, scratch, parts, ids) if added else before
    good = sum(source.lines.good for source in added)
    repeats = good - (after.manifest.events - before.manifest.events)
    return IngestReport(
        after, added, tuple(new.repeated), repeats, new.left_out, future
    )


def _check_columns(store: Store, reading: Reading | None) -> None:
    """Refuse a store whose rows have other columns."""
    columns = reading.columns.stored if reading else LOGGED
    stored = store.manifest.columns
    if store.manifest.parts and stored != columns:
        raise IngestError(
            f"{store}: its rows have {', '.join(stored)}, and these {', '.join(columns)}; "
            "name the same, or use a store of their own"
        )


def _check_timestamps(store: Store, reading: Reading | None) -> None:
    """Refuse rows of a database if nothing tells them from the rows that the store has."""
    if reading and not reading.columns.timestamp:
        raise IngestError(
            f"{store}: it has rows, and without timestamps those that it has from a database, "
            "query or data frame are not known; name timestamp=, or use a new store"
        )


def _why(added: Sequence[Source], scratch: Path) -> str:
    """Describe the rejects of files without a good line."""
    for source in added:
        if source.lines.rejected:
            line, *_ = read_rejects(scratch / source.rejects)
            return f"the first line refused is {line.file}:{line.line}: {line.reason}"
    return "no line but blank ones, or such as the condition leaves out"


@contextmanager
def _machine_errors_explained(store: Workspace) -> Iterator[None]:
    """Turn too little memory and a full disk into an `IngestError` of one line."""
    try:
        yield
    except queries.OutOfMemory as error:
        line = queries.one_line(error)
        raise IngestError(
            f"{store}: {MEMORY} of memory is too little; ingest fewer files at a time ({line})"
        ) from None
    except (queries.DiskError, OSError) as error:
        if getattr(error, "errno", None) not in _DISK_FULL:
            raise
        line = queries.one_line(error)
        raise IngestError(f"{store}: {line}; the store is as it was") from None
