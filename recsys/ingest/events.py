"""Ingest event logs into a session store; a source that was read before adds nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from analysis import queries
from analysis.logs import reader as event_log
from analysis.logs.reader import FileLines, LogFile
from looplib.progress import progress
from recsys.errors import IngestError
from recsys.ingest.catalogue import agreed_catalogue
from recsys.ingest.files import NewFiles, check_memory, machine_errors_explained
from recsys.ingest.report import AddedSource, IngestReport
from recsys.lock import Lock
from recsys.store.buckets import Bucketing
from recsys.store.manifest import Catalogue, Manifest, Part, Source, download_stored, extend_manifest, open_store
from recsys.store.sort import SortedPart
from recsys.store.writer import NewFile, commit, locked, manifest_to_extend, part_name, rejects_name, scratch_folder
from recsys.workspace import Workspace, open_workspace

DEFAULT_MEMORY = "1GB"


@dataclass(frozen=True)
class _Run:
    """What the logs of a run gave.

    Attributes:
        files: The logs that were new, and their lines.
        digests: Of those.
        known: The logs whose content the store has.
        parts: The sorted events.
    """

    files: list[FileLines]
    digests: dict[LogFile, str]
    known: list[LogFile]
    parts: list[SortedPart]


def ingest(
    logs: Sequence[str | Path], store: str | Path, *, buckets: int | None = None, memory: str = DEFAULT_MEMORY
) -> IngestReport:
    """Adds event logs to a session store, which is created if there is none: all of them, or nothing.

    A log whose content the store has is left out, whatever its name.

    Args:
        logs: Files, folders and glob patterns.
        store: The store's path or address.
        buckets: Number of user buckets of a new store; 16 by default.
        memory: What DuckDB may use, such as "1GB"; it spills to the store's disk beyond that.

    Raises:
        EventLogError: A log cannot be found or read.
        IngestError: The logs hold no event or are of another world, or the machine has too little disk or memory.
        StoreError: Another ingest is at work, or the store is damaged or has another number of buckets.
    """
    check_memory(memory)
    files = event_log.discover(logs)
    workspace = open_workspace(store)
    with machine_errors_explained(workspace), locked(workspace) as lock:
        before = manifest_to_extend(workspace, buckets)
        if before.interactions:
            raise IngestError(f"{store}: a store of interactions; event logs need a store of their own")
        catalogue = agreed_catalogue(before.catalogue, workspace, (file.path.parent for file in files))
        _check_known_events(workspace, before, catalogue)
        with scratch_folder(workspace.folder) as scratch:
            outcome = _read(files, before, Path(scratch), catalogue, memory)
            _check_useful(outcome)
            added = _commit(lock, replace(before, catalogue=catalogue), outcome) if outcome.files else ()
    return IngestReport(open_store(store), added, tuple(outcome.known))


def _read(
    files: Sequence[LogFile], manifest: Manifest, scratch: Path, catalogue: Catalogue | None, memory: str
) -> _Run:
    """Reads the logs that are new and sorts their events into buckets, all in the scratch folder."""
    largest_track = catalogue.tracks - 1 if catalogue else event_log.LARGEST_ID
    connection = queries.connect(memory_limit=memory, temp_directory=scratch / "spilled", keep_order=False)
    bucketing = Bucketing(connection, scratch, buckets=manifest.buckets, largest_track=largest_track)
    new = NewFiles(files, manifest)
    done: list[FileLines] = []
    with progress("ingest", sum(file.size_bytes for file in files) / 1e6, "MB") as report:
        for batch in event_log.read(connection, new, bucketing.add, scratch=scratch, largest_track=largest_track):
            done += batch.files
            read_bytes = sum(one.size_bytes for one in (*new.known, *(line.file for line in done)))
            report(read_bytes / 1e6, f"{sum(one.lines.good for one in done):,} events")
    new.check_unchanged()
    connection.close()
    return _Run(done, new.digests, new.known, bucketing.finish())


def _commit(lock: Lock, before: Manifest, outcome: _Run) -> tuple[AddedSource, ...]:
    sources = [
        Source(name=one.file.name, digest=outcome.digests[one.file], bytes=one.file.size_bytes, lines=one.lines)
        for one in outcome.files
    ]
    run = extend_manifest(before, sources=sources, parts=()).digest[:16]
    moved = [NewFile(part.file, part_name(part.bucket, run)) for part in outcome.parts]
    parts = [
        Part(new.name, part.bucket, part.rows, new.file.stat().st_size)
        for new, part in zip(moved, outcome.parts, strict=True)
    ]
    firsts = [before.first_timestamp, *(part.first_timestamp for part in outcome.parts)]
    lasts = [before.last_timestamp, *(part.last_timestamp for part in outcome.parts)]
    after = replace(
        extend_manifest(before, sources=sources, parts=parts),
        first_timestamp=min((first for first in firsts if first is not None), default=None),
        last_timestamp=max((last for last in lasts if last is not None), default=None),
    )
    moved += [NewFile(one.rejects, rejects_name(outcome.digests[one.file])) for one in outcome.files if one.rejects]
    commit(lock, moved, after)
    return tuple(
        AddedSource(source, lock.workspace.folder / rejects_name(source.digest) if one.rejects else None)
        for source, one in zip(sources, outcome.files, strict=True)
    )


def _check_known_events(store: Workspace, before: Manifest, catalogue: Catalogue | None) -> None:
    """Events that came without a catalogue must be possible in the one that is now known."""
    if before.catalogue or not catalogue or not before.parts:
        return
    connection = queries.connect()
    queries.attach_parquet(connection, "events", download_stored(store, before.parts))
    largest = queries.fetch_row(connection, "events/largest_track")["track"]
    if largest >= catalogue.tracks:
        found = f"{store} has events of track {largest}, and the logs' catalogue has {catalogue}"
        raise IngestError(f"two worlds: {found}; use a store for each world")


def _check_useful(outcome: _Run) -> None:
    if outcome.parts or outcome.known:
        return
    rejects = next((one.rejects for one in outcome.files if one.rejects), None)
    first = event_log.read_rejects(rejects, 1)[0] if rejects else None
    why = f"the first line refused is {first.file}:{first.line}: {first.reason}" if first else "all lines are blank"
    raise IngestError(f"no event in {len(outcome.files)} logs; {why}")
