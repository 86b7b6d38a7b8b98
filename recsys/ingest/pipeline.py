"""Take files into a session store: read, check, divide into buckets, sort, commit; all of them, or nothing.

Events and interactions differ in the `Format` alone: how files are read, and which columns their rows have.
"""

import errno
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import xxhash

from analysis import queries
from analysis.logs import reader
from analysis.logs.files import OPEN, LogFile, digest, snapshot
from analysis.logs.lines import LineCounts
from analysis.store import Manifest, Source
from looplib.checksums import unnamed
from looplib.files import TEMPORARY_PREFIX
from recsys.errors import IngestError
from recsys.ingest.report import IngestReport
from recsys.store.buckets import Bucketing
from recsys.store.columns import Layout
from recsys.store.remote import open_store
from recsys.store.writer import Additions, commit, locked, manifest_to_extend
from recsys.workspace import Workspace, open_workspace

DEFAULT_MEMORY = "1GB"
_MEMORY = re.compile(r"\d+(\.\d+)? ?(MB|GB|TB|MiB|GiB|TiB)")
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class NewFiles:
    """Those of some files whose content neither a store nor an earlier file has.

    A file's digest is taken when it is its turn to be read, while its bytes are at hand. Of a segment that a service
    still writes to, its whole lines are read, and the next time what follows them.
    """

    def __init__(self, files: Sequence[LogFile], manifest: Manifest, reading: str, scratch: Path) -> None:
        """Take the files and the manifest of the store; the same bytes under another `reading` are another content."""
        self.digests: dict[LogFile, str] = {}  # of the new ones so far
        self.known: list[LogFile] = []  # the others so far
        self.megabytes = sum(file.size_bytes for file in files) / 1e6  # of all
        self._files, self._reading, self._scratch = files, reading, scratch
        self._starts: dict[LogFile, int] = {}  # of those that are the rest of a log, its first byte
        self._pieces: dict[str, list[Source]] = {}  # of each log by its name, in order
        for source in sorted(manifest.sources, key=lambda source: source.start):
            self._pieces.setdefault(unnamed(Path(source.name)).name, []).append(source)
        self._digests = {source.digest for source in manifest.sources}
        self._states: dict[LogFile, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[LogFile]:
        """Yield the new ones, one after the other."""
        for log in self._files:
            start = self._read_before(log) if log.is_open or log.path.name.startswith(OPEN.removeprefix(".")) else 0
            file = snapshot(log, self._scratch, start)
            if file is not log and not file.size_bytes:
                self.known.append(log)
                continue
            self._starts[file] = start
            self._states[file] = _state(file)
            content = digest(file)
            if self._reading:
                content = xxhash.xxh3_128_hexdigest(f"{content} {self._reading}".encode())
            if content in self._digests:
                self.known.append(file)
                continue
            self._digests.add(content)
            self.digests[file] = content
            yield file

    def source(self, file: LogFile, lines: LineCounts) -> Source:
        """Return a new file as a source of the store."""
        return Source(file.name, self.digests[file], file.size_bytes, lines, self._starts[file])

    def _read_before(self, log: LogFile) -> int:
        """Return how many bytes of a segment the store has, by its pieces."""
        at = 0
        for piece in self._pieces.get(unnamed(Path(log.name)).name, ()):
            if piece.start == at and digest(log, at, piece.bytes) == piece.digest:
                at += piece.bytes
        return at

    def check_unchanged(self) -> None:
        """Refuse a file that was written to in the meantime: its digest is not that of what was read."""
        for file, state in self._states.items():
            if _state(file) != state:
                raise IngestError(f"{file.name}: changed while it was read; ingest it when it is complete")


class Format(Protocol):
    """A kind of files: event logs, or interactions in CSV, JSON lines or Parquet."""

    row: str  # what a good line is called
    layout: Layout  # the columns of the store's parts
    reading: str  # settings that make of the same bytes another content

    def prepare(self, store: Workspace, before: Manifest) -> Manifest:
        """Return the manifest with what is known of the files before they are read; refuse what does not belong."""

    def load(
        self, connection: queries.Connection, files: NewFiles, manifest: Manifest, bucketing: Bucketing, scratch: Path
    ) -> Additions:
        """Read the new files, add their rows to the buckets, and return the rest."""


def ingest_files(
    files: Sequence[LogFile], store: str | Path, format_: Format, *, buckets: int | None, memory: str
) -> IngestReport:
    """Add files to a session store, which is created if there is none: all of them, or nothing.

    A file whose content the store has is left out, whatever its name. `buckets` is of a new store, None for the
    default; `memory` is what DuckDB may use, such as "1GB", before it spills to the store's disk.

    Raises:
        UserError: As `recsys.ingest.events.ingest` and `recsys.ingest.interactions.ingest_interactions` say.
    """
    if not _MEMORY.fullmatch(memory):
        raise IngestError(f"memory {memory!r}: a size such as 500MB or 1GB is expected")
    workspace = open_workspace(store)
    with _machine_errors_explained(workspace), locked(workspace) as lock:
        before = format_.prepare(workspace, manifest_to_extend(workspace, buckets))
        # In the store, so on its disk; what a killed ingest leaves of it the next writer removes.
        with tempfile.TemporaryDirectory("", TEMPORARY_PREFIX, workspace.folder, ignore_cleanup_errors=True) as folder:
            scratch = Path(folder)
            new = NewFiles(files, before, format_.reading, scratch)
            bucketing = Bucketing(scratch, format_.layout, before.buckets)
            with queries.connect(
                memory_limit=memory, temp_directory=scratch / "spilled", keep_order=False
            ) as connection:
                added = format_.load(connection, new, before, bucketing, scratch)
            new.check_unchanged()
            added = replace(added, parts=bucketing.finish())
            _check_useful(added, new, format_.row)
            if added.sources:
                commit(lock, before, added)
    return IngestReport(open_store(store), tuple(added.sources), tuple(new.known), added.repeats, added.untitled)


def _check_useful(added: Additions, new: NewFiles, row: str) -> None:
    if added.parts or new.known:
        return
    rejects = next(iter(added.rejects.values()), None)
    first = reader.read_rejects(rejects, 1)[0] if rejects else None
    why = f"the first line refused is {first.file}:{first.line}: {first.reason}" if first else "all lines are blank"
    raise IngestError(f"no {row} in {len(added.sources)} files; {why}")


def _state(file: LogFile) -> tuple[int, int]:
    status = file.path.stat()
    return status.st_size, status.st_mtime_ns


@contextmanager
def _machine_errors_explained(store: Workspace) -> Iterator[None]:
    """Make too little memory and a full disk an `IngestError` of one line each."""
    try:
        yield
    except queries.OutOfMemory as error:
        line = str(error).splitlines()[0]
        raise IngestError(f"{store}: too little memory, allow more with --memory ({line})") from None
    except queries.DiskErrors as error:
        raise IngestError(f"{store}: {str(error).splitlines()[0]}; the store is as it was") from None
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise IngestError(f"{store}: {error.strerror}; the store is as it was") from None
