"""Add files to a session store, all of them or nothing: read, check, sort by partition, commit."""

import errno
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from analysis import queries
from analysis.logs.files import LogFile
from analysis.logs.lines import LineCounts
from analysis.logs.reader import read_rejects
from analysis.plays.check import MEMORY
from analysis.plays.query import PlaysQuery
from analysis.store import Source, Store
from looplib.files import TEMPORARY_PREFIX
from looplib.progress import say
from recsys.cluster.config import ClusterConfig
from recsys.errors import IngestError
from recsys.ingest.events import find_logs
from recsys.ingest.reading import read_plays
from recsys.storage import Workspace, open_workspace
from recsys.store.partitions import sort_plays
from recsys.store.writer import commit, locked

if TYPE_CHECKING:
    from recsys.cluster.cluster import Client

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
    cluster: ClusterConfig | None = None,
    client: "Client | None" = None,
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
        cluster: Names the scheduler whose workers read and sort; by default this process does.
        client: Dask client whose workers read and sort.

    Raises:
        AnalysisError: A log or file cannot be found or read or is empty, or the query fails.
        IngestError: No row is good, rows contradict each other, logs are of another world, a file
            was read by another query, or the machine has too little disk or memory.
        StoreError: The store is damaged, holds something else, or has another number of partitions.
        StorageError: Another ingest is at work.
        SearchError: The scheduler does not answer or is lost, or the client is closed.
    """
    source = data if isinstance(data, PlaysQuery) else find_logs(data)
    workspace = open_workspace(store)
    config = cluster or ClusterConfig()
    on_workers = bool(config.scheduler or client)
    if on_workers and (whole or workspace.is_remote):
        say(
            "workers cannot see a data frame or a store at an address: this process ingests"
        )
        on_workers = False
    if isinstance(source, PlaysQuery) and not source.reader:
        say(f"{source.name}: runs as a whole, as it combines rows or files")
    elif on_workers and (not isinstance(source, PlaysQuery) or source.reads_database):
        say("event logs and tables of databases are read by one worker, as a whole")
    with (
        _machine_errors_explained(workspace),
        locked(workspace, partitions) as (lock, before),
        # The folder is on the store's disk; the next writer removes a killed ingest's.
        tempfile.TemporaryDirectory(
            "", TEMPORARY_PREFIX, workspace.folder, ignore_cleanup_errors=True
        ) as folder,
    ):
        scratch = Path(folder)
        if on_workers:
            # Dask takes long to import
            from recsys.ingest.workers import read_on_workers

            reading, parts = read_on_workers(before, source, scratch, config, client)
        else:
            reading = read_plays(before, source, scratch, whole=whole)
            parts = sort_plays(reading.batches, scratch, before, whole=reading.whole)
        manifest = reading.manifest
        later = [("timestamp", ">", time.time_ns() // 1_000_000)]
        future = 0
        if parts and "timestamp" in manifest.columns:
            names = [part.path for part in parts.values()]
            future = len(pq.read_table(names, columns=["timestamp"], filters=later))
        added = manifest.sources[len(before.manifest.sources) :]
        if not (parts or reading.repeated):
            raise IngestError(
                f"no play in {len(added)} files; {_why(added, reading.scratch)}"
            )
        after = before
        if added:
            after = commit(lock, manifest, reading.scratch, parts, reading.ids)
    good = sum(source.lines.good for source in added)
    repeats = good - (after.manifest.events - before.manifest.events)
    return IngestReport(
        after, added, reading.repeated, repeats, reading.left_out, future
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
