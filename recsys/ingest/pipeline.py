"""Add files to a session store, all of them or nothing: read, check, sort by bucket, commit."""

import errno
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from analysis import queries
from analysis.logs.files import LogFile
from analysis.logs.lines import LineCounts
from analysis.logs.reader import read_rejects
from analysis.store import LOGGED, Manifest, Source
from analysis.tables.columns import Reading
from analysis.tables.reader import find_tables
from looplib.files import TEMPORARY_PREFIX
from recsys.errors import IngestError
from recsys.ingest.events import add_events, find_logs
from recsys.ingest.interactions import add_tables
from recsys.ingest.sources import Ingest, NewFiles
from recsys.lock import Lock
from recsys.store.buckets import Bucketing, Kind
from recsys.store.remote import Store, download_stored, open_store
from recsys.store.writer import Additions, commit, locked
from recsys.workspace import Workspace, open_workspace

DEFAULT_MEMORY = "1GB"
_DISK_FULL = {
    None,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
}  # None: in the words of DuckDB


@dataclass(frozen=True)
class IngestReport:
    """The outcome of an ingest."""

    store: Store  # after the ingest
    added: tuple[Source, ...]  # the new files
    known: tuple[LogFile, ...]  # files whose content the store had before
    # good lines that are no row of their own: events that were sent again, and interactions whose
    # weight was added to another row
    repeats: int = 0

    @property
    def lines(self) -> LineCounts:
        """The lines of the new files."""
        return sum((source.lines for source in self.added), LineCounts())


def ingest(
    paths: Sequence[str | Path],
    store: str | Path,
    reading: Reading | None = None,
    *,
    buckets: int | None = None,
    memory: str = DEFAULT_MEMORY,
) -> IngestReport:
    """Add files, folders and glob patterns to a session store, which is made if there is none.

    Without a `reading` the files are event logs, with one tables. Plays, rows with the share of a
    track that was heard, become events. Of interactions, rows of a file with the same user, item,
    timestamp and session become one with the sum of their weights. A file whose content the store
    has adds nothing, unless its reading is another one. `memory` is what DuckDB may use, such as
    "1GB", before it spills to the store's disk.

    Raises:
        AnalysisError: A log or table cannot be found or read, is empty, or lacks a column.
        IngestError: No row is good, rows contradict each other, logs are of another world, or the
            machine has too little disk or memory.
        StoreError: The store is damaged, holds something else, or has another number of buckets.
        StorageError: Another ingest is at work.
    """
    files = find_tables(paths) if reading else find_logs(paths)
    if reading is None:
        row = "event"
    else:
        row = "play" if reading.columns.has_share else "interaction"
    kind: Kind = "interactions" if row == "interaction" else "events"
    workspace = open_workspace(store)
    with (
        _machine_errors_explained(workspace),
        locked(workspace, buckets) as (lock, before),
        # In the store, so on its disk; the next writer removes what a killed ingest leaves of it.
        tempfile.TemporaryDirectory(
            "", TEMPORARY_PREFIX, workspace.folder, ignore_cleanup_errors=True
        ) as folder,
    ):
        _check_columns(workspace, before, reading)
        scratch = Path(folder)
        new = NewFiles(files, before, reading.content if reading else "", scratch)
        bucketing = Bucketing(scratch, kind, before.buckets)
        with queries.connect(
            memory_limit=memory,
            temp_directory=scratch / "spilled",
            preserve_insertion_order=False,
        ) as connection:
            work = Ingest(workspace, before, new, connection, bucketing, scratch)
            if reading:
                added = add_tables(work, reading, memory)
            else:
                added = add_events(work)
            new.check_unchanged()
        # The connection is closed: sorting needs the memory.
        parts = bucketing.finish(_earlier_parts(work))
        return _commit(lock, work, replace(added, parts=parts), row)


def _check_columns(
    workspace: Workspace,
    before: Manifest,
    reading: Reading | None,
) -> None:
    """Refuse a store whose rows have other columns."""
    held = before.table.columns if before.table else LOGGED
    columns = reading.columns.stored if reading else LOGGED
    if before.parts and held != columns:
        raise IngestError(
            f"{workspace}: its rows have {', '.join(held)}, and these {', '.join(columns)}; "
            "name the same, or use a store of their own"
        )


def _earlier_parts(work: Ingest) -> dict[int, list[Path]]:
    """Return the store's parts of buckets whose new events may have been sent before."""
    earlier = {}
    for bucket in work.bucketing.with_requests:
        parts = [part for part in work.before.parts if part.bucket == bucket]
        earlier[bucket] = download_stored(work.workspace, parts)
    return earlier


def _commit(
    lock: Lock,
    work: Ingest,
    added: Additions,
    row: str,
) -> IngestReport:
    """Commit what was added to the store, and report; a good line is called a `row`."""
    if not (added.parts or work.files.known):
        why = "no line but blank ones"
        if refused := [source for source in added.sources if source.lines.rejected]:
            first, *_ = read_rejects(work.scratch / refused[0].rejects)
            why = f"the first line refused is {first.file}:{first.line}: {first.reason}"
        raise IngestError(f"no {row} in {len(added.sources)} files; {why}")
    if added.sources:
        commit(lock, work.before, added)
    store = open_store(work.workspace.address)
    good = sum(source.lines.good for source in added.sources)
    repeats = good - (store.manifest.events - work.before.events)
    known = tuple(work.files.known)
    return IngestReport(store, tuple(added.sources), known, repeats)


@contextmanager
def _machine_errors_explained(store: Workspace) -> Iterator[None]:
    """Turn too little memory and a full disk into an `IngestError` of one line."""
    try:
        yield
    except queries.OutOfMemory as error:
        line = queries.one_line(error)
        raise IngestError(
            f"{store}: too little memory, allow more with --set memory=4GB ({line})"
        ) from None
    except (*queries.DiskErrors, OSError) as error:
        if getattr(error, "errno", None) not in _DISK_FULL:
            raise
        line = queries.one_line(error)
        raise IngestError(f"{store}: {line}; the store is as it was") from None
