"""Add files to a session store, all of them or nothing: read, check, sort by partition, commit."""

import errno
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.logs.files import LogFile
from analysis.logs.lines import LineCounts
from analysis.logs.reader import read_rejects
from analysis.logs.sources import NewFiles
from analysis.plays.check import MEMORY
from analysis.plays.query import PlaysQuery
from analysis.store import LOGGED, Source, Store
from looplib.files import TEMPORARY_PREFIX
from looplib.progress import say
from recsys.errors import IngestError
from recsys.ingest.events import add_events, find_logs
from recsys.ingest.plays import add_plays, check_same_columns
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
    data: Sequence[str | Path] | PlaysQuery,
    store: str | Path,
    *,
    partitions: int | None = None,
    whole: bool = False,
) -> IngestReport:
    """Add event logs, or the plays of a query, to a session store, which is made if there is none.

    Each row becomes a play. Rows without shares that have the same listener, track, time and
    session become one play, with the sum of their weights. A file whose content the store has adds
    nothing. A database, or the result of a query that runs as a whole, may have grown since it was
    read, and so may a data frame (`whole`): rows whose listener, track and time the store has are
    not added again.

    Args:
        data: Files, folders and glob patterns of event logs, or the query.
        store: The store's path or address.
        partitions: Their number in a new store; 16 by default.
        whole: The query reads a source that may have grown.

    Raises:
        AnalysisError: A log or file cannot be found or read or is empty, or the query fails.
        IngestError: No row is good, rows contradict each other, logs are of another world, a file
            was read by another query, or the machine has too little disk or memory.
        StoreError: The store is damaged, holds something else, or has another number of partitions.
        StorageError: Another ingest is at work.
    """
    query = data if isinstance(data, PlaysQuery) else None
    files = [] if isinstance(data, PlaysQuery) else find_logs(data)
    workspace = open_workspace(store)
    with (
        _machine_errors_explained(workspace),
        locked(workspace, partitions) as (lock, before),
        # The folder is on the store's disk; the next writer removes a killed ingest's.
        tempfile.TemporaryDirectory(
            "", TEMPORARY_PREFIX, workspace.folder, ignore_cleanup_errors=True
        ) as folder,
    ):
        scratch = Path(folder)
        if query:
            if not query.reader:
                say(f"{query.name}: runs as a whole, as it combines rows or files")
                query, whole = query.run(scratch), True
            files = query.files(scratch)
            if whole:  # the file of a data frame or of a result is temporary
                files = [replace(file, name=query.name) for file in files]
            whole |= query.reads_database
        else:
            check_same_columns(before, LOGGED)
        sources = before.manifest.sources
        content = query.content if query else None
        new = NewFiles(files, scratch, sources, content, whole=whole)
        pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own has more page faults
        with queries.connect(
            memory_limit=MEMORY,
            temp_directory=scratch / "spilled",
            preserve_insertion_order=False,
        ) as connection:
            if query:
                manifest, ids, batches = add_plays(before, new, connection, query)
            else:
                manifest, ids, batches = add_events(before, new, connection)
        # The connection is closed: sorting needs the memory.
        if whole and before.manifest.parts and new.sources:
            _check_times(before, manifest.columns)
        parts = sort_plays(batches, scratch, before, whole=whole)
        later = [("timestamp", ">", time.time_ns() // 1_000_000)]
        future = 0
        if parts and "timestamp" in manifest.columns:
            names = [*parts.values()]
            future = len(pq.read_table(names, columns=["timestamp"], filters=later))
        added = manifest.sources[len(sources) :]
        if not (parts or new.repeated):
            raise IngestError(f"no play in {len(added)} files; {_why(added, scratch)}")
        after = commit(lock, manifest, scratch, parts, ids) if added else before
    good = sum(source.lines.good for source in added)
    repeats = good - (after.manifest.events - before.manifest.events)
    return IngestReport(
        after, added, tuple(new.repeated), repeats, new.left_out, future
    )


def _check_times(store: Store, columns: Sequence[str]) -> None:
    """Refuse rows of a source that may have grown if nothing tells them from the store's rows."""
    if "timestamp" not in columns:
        raise IngestError(
            f"{store}: it has rows already, and rows without times cannot be told from them; "
            "return played_at, or use a new store"
        )


def _why(added: Sequence[Source], scratch: Path) -> str:
    """Describe the rejects of files without a good line."""
    for source in added:
        if source.lines.rejected:
            return (
                f"the first line refused is {read_rejects(scratch / source.rejects)[0]}"
            )
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
