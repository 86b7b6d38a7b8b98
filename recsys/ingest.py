"""From event logs to the session store: `python -m recsys.ingest LOG… --store DIR`.

In: event logs, and the `collection.json` that the simulator writes beside them. Out: a session store (`recsys.store`).
"""

import errno
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from analysis import event_log, queries
from analysis.event_log import FileLines, LogFile
from common.cli import make_app, run
from common.progress import progress
from recsys.bucketing import Bucketing
from recsys.catalogue import agreed_catalogue
from recsys.errors import IngestError
from recsys.ingest_report import AddedSource, IngestReport, print_report
from recsys.sorting import SortedPart
from recsys.store import Catalogue, Manifest, Part, Source, extend_manifest, open_store
from recsys.store_writer import (
    DEFAULT_BUCKETS,
    LARGEST_BUCKETS,
    NewFile,
    commit,
    locked,
    manifest_to_extend,
    part_name,
    rejects_name,
    scratch_folder,
)

PROG = "python -m recsys.ingest"
DEFAULT_MEMORY = "1GB"
_MEMORY = re.compile(r"\d+(\.\d+)? ?(MB|GB|TB|MiB|GiB|TiB)")
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class _Log:
    """A log to be read, its digest, and what its file was like when that was taken."""

    file: LogFile
    digest: str
    state: tuple[int, int]


@dataclass(frozen=True)
class _Run:
    """What the logs of a run gave: their lines, and the sorted events."""

    files: list[FileLines]
    parts: list[SortedPart]


def ingest(
    logs: Sequence[str | Path], store: Path, *, buckets: int | None = None, memory: str = DEFAULT_MEMORY
) -> IngestReport:
    """Adds event logs to a session store, which is created if there is none: all of them, or nothing.

    A log whose content the store has is left out, whatever its name.

    Args:
        logs: Files, folders and glob patterns.
        store: The store's folder.
        buckets: Number of user buckets of a new store; 16 by default.
        memory: What DuckDB may use, such as "1GB"; it spills to the store's disk beyond that.

    Raises:
        EventLogError: A log cannot be found or read.
        IngestError: The logs hold no event or are of another world, or the machine has too little disk or memory.
        StoreError: Another ingest is at work, or the store is damaged or has another number of buckets.
    """
    if not _MEMORY.fullmatch(memory):
        raise IngestError(f"memory {memory!r}: a size such as 500MB or 1GB is expected")
    files = event_log.discover(logs)
    with _machine_errors_explained(store), locked(store):
        before = manifest_to_extend(store, buckets)
        catalogue = agreed_catalogue(before.catalogue, store, (file.path.parent for file in files))
        _check_known_events(store, before, catalogue)
        fresh, known = _split_known(files, before)
        added: tuple[AddedSource, ...] = ()
        if fresh:
            with scratch_folder(store) as scratch:
                outcome = _read(fresh, Path(scratch), buckets=before.buckets, catalogue=catalogue, memory=memory)
                _check_useful(outcome, fresh, known)
                added = _commit(store, replace(before, catalogue=catalogue), fresh, outcome)
    return IngestReport(open_store(store), added, tuple(known))


def _split_known(files: Sequence[LogFile], manifest: Manifest) -> tuple[list[_Log], list[LogFile]]:
    """Logs that are new, and those whose content the store has or an earlier file of the list had."""
    digests = {source.digest for source in manifest.sources}
    fresh: list[_Log] = []
    known: list[LogFile] = []
    for file in files:
        state = _state(file)
        digest = event_log.digest(file)
        if digest in digests:
            known.append(file)
        else:
            digests.add(digest)
            fresh.append(_Log(file, digest, state))
    return fresh, known


def _state(file: LogFile) -> tuple[int, int]:
    status = file.path.stat()
    return status.st_size, status.st_mtime_ns


def _read(logs: Sequence[_Log], scratch: Path, *, buckets: int, catalogue: Catalogue | None, memory: str) -> _Run:
    """Reads logs and sorts their events into buckets, all in the scratch folder."""
    largest_track = catalogue.tracks - 1 if catalogue else event_log.LARGEST_ID
    connection = queries.connect(memory_limit=memory, temp_directory=scratch / "spilled", keep_order=False)
    bucketing = Bucketing(connection, scratch, buckets=buckets, largest_track=largest_track)
    files: list[FileLines] = []
    sizes = {log.file: log.state[0] for log in logs}
    with progress("ingest", sum(sizes.values()) / 1e6, "MB") as report:
        for batch in event_log.read(connection, sizes, bucketing.add, scratch=scratch, largest_track=largest_track):
            files += batch.files
            report(sum(sizes[one.file] for one in files) / 1e6, f"{sum(one.lines.good for one in files):,} events")
    for log in logs:
        if _state(log.file) != log.state:
            raise IngestError(f"{log.file.name}: changed while it was read; ingest it when it is complete")
    connection.close()
    return _Run(files, bucketing.finish())


def _commit(store: Path, before: Manifest, logs: Sequence[_Log], outcome: _Run) -> tuple[AddedSource, ...]:
    digests = {log.file: log.digest for log in logs}
    sources = [
        Source(name=one.file.name, digest=digests[one.file], bytes=one.file.size_bytes, lines=one.lines)
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
    moved += [NewFile(one.rejects, rejects_name(digests[one.file])) for one in outcome.files if one.rejects]
    commit(store, moved, after)
    return tuple(
        AddedSource(source, store / rejects_name(source.digest) if one.rejects else None)
        for source, one in zip(sources, outcome.files, strict=True)
    )


def _check_known_events(store: Path, before: Manifest, catalogue: Catalogue | None) -> None:
    """Events that came without a catalogue must be possible in the one that is now known."""
    if before.catalogue or not catalogue or not before.parts:
        return
    connection = queries.connect()
    queries.attach_parquet(connection, "events", [store / part.path for part in before.parts])
    largest = queries.fetch_row(connection, "events/largest_track")["track"]
    if largest >= catalogue.tracks:
        found = f"{store} has events of track {largest}, and the logs' catalogue has {catalogue}"
        raise IngestError(f"two worlds: {found}; use a store for each world")


def _check_useful(outcome: _Run, logs: Sequence[_Log], known: Sequence[LogFile]) -> None:
    if outcome.parts or known:
        return
    rejects = next((one.rejects for one in outcome.files if one.rejects), None)
    first = event_log.read_rejects(rejects, 1)[0] if rejects else None
    why = f"the first line refused is {first.file}:{first.line}: {first.reason}" if first else "all lines are blank"
    raise IngestError(f"no event in {len(logs)} logs; {why}")


@contextmanager
def _machine_errors_explained(store: Path) -> Iterator[None]:
    try:
        yield
    except queries.OutOfMemory as error:
        raise IngestError(f"{store}: too little memory, allow more with --memory ({_first_line(error)})") from None
    except queries.DiskErrors as error:
        raise IngestError(f"{store}: {_first_line(error)}; the store is as it was") from None
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise IngestError(f"{store}: {error.strerror}; the store is as it was") from None


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]


app = make_app("Adds event logs to a session store: all of them, or nothing.")


@app.command(
    epilog="Example: python -m recsys.ingest out/seed/log 'old/*.jsonl.gz' --store out/seed/store",
)
def main(
    logs: Annotated[list[str], typer.Argument(metavar="LOG…", help="Files, folders, or quoted patterns.")],
    store: Annotated[Path, typer.Option(help="The store's folder; made if there is none.")],
    buckets: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_BUCKETS, help=f"User buckets of a new store, {DEFAULT_BUCKETS} by default."),
    ] = None,
    memory: Annotated[str, typer.Option(help="What DuckDB may use before it spills to the disk.")] = DEFAULT_MEMORY,
) -> None:
    """Adds event logs to a session store: all of them, or nothing."""
    print_report(ingest(logs, store, buckets=buckets, memory=memory))


if __name__ == "__main__":
    sys.exit(run(app, PROG))
