"""Take files into a session store: read, check, divide into buckets, sort, commit; all of them, or nothing.

`begin` opens an ingest; `events` and `interactions` read their files into it and commit.
"""

import errno
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

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
from recsys.lock import Lock
from recsys.store.buckets import Bucketing, Layout
from recsys.store.remote import open_store
from recsys.store.writer import Additions, commit, locked
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
        """Take the files and the manifest of the store."""
        self.digests: dict[LogFile, str] = {}  # of the new ones so far
        self.known: list[LogFile] = []  # the others so far
        self.megabytes = sum(file.size_bytes for file in files) / 1e6  # of all
        self._files, self._sources, self._reading, self._scratch = files, manifest.sources, reading, scratch
        self._seen = {source.digest for source in manifest.sources}
        self._starts: dict[LogFile, int] = {}  # of those that are the rest of a log, its first byte
        self._states: dict[LogFile, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[LogFile]:
        """Yield the new ones, one after the other."""
        for log in self._files:
            start = self._read_before(log) if log.is_open or log.path.name.startswith(OPEN.removeprefix(".")) else 0
            file = snapshot(log, self._scratch, start)
            if file is not log and not file.size_bytes:
                self.known.append(log)
                continue
            self._starts[file], self._states[file] = start, _state(file)
            content = digest(file)
            if self._reading:
                content = xxhash.xxh3_128_hexdigest(f"{content} {self._reading}".encode())
            if content in self._seen:
                self.known.append(file)
                continue
            self._seen.add(content)
            self.digests[file] = content
            yield file

    def source(self, file: LogFile, lines: LineCounts) -> Source:
        """Return a new file as a source of the store."""
        return Source(file.name, self.digests[file], file.size_bytes, lines, self._starts[file])

    def check_unchanged(self) -> None:
        """Refuse a file that was written to in the meantime: its digest is not that of what was read."""
        for file, state in self._states.items():
            if _state(file) != state:
                raise IngestError(f"{file.name}: changed while it was read; ingest it when it is complete")

    def _read_before(self, log: LogFile) -> int:
        """Return how many bytes of a segment the store has, by its pieces."""
        at = 0
        for piece in sorted(self._sources, key=lambda source: source.start):
            is_of_log = unnamed(Path(piece.name)).name == unnamed(Path(log.name)).name
            if is_of_log and piece.start == at and digest(log, at, piece.bytes) == piece.digest:
                at += piece.bytes
        return at


@dataclass(frozen=True)
class Ingest:
    """An ingest under way into a locked store."""

    lock: Lock
    before: Manifest
    files: NewFiles
    connection: queries.Connection
    bucketing: Bucketing
    scratch: Path

    def commit(self, added: Additions, row: str) -> IngestReport:
        """Sort what was added to the buckets, and make all of it part of the store; a good line is called a `row`."""
        self.files.check_unchanged()
        self.connection.close()  # sorting needs the memory
        added = replace(added, parts=self.bucketing.finish())
        if not (added.parts or self.files.known):
            why = "all lines are blank"
            if rejects := next(iter(added.rejects.values()), None):
                (first,) = reader.read_rejects(rejects, 1)
                why = f"the first line refused is {first.file}:{first.line}: {first.reason}"
            raise IngestError(f"no {row} in {len(added.sources)} files; {why}")
        if added.sources:
            commit(self.lock, self.before, added)
        store, known = open_store(self.lock.workspace.address), tuple(self.files.known)
        return IngestReport(store, tuple(added.sources), known, added.repeats, added.untitled)


@contextmanager
def begin(
    files: Sequence[LogFile], store: str | Path, layout: Layout, *, reading: str = "", buckets: int | None, memory: str
) -> Iterator[Ingest]:
    """Open an ingest of those files whose content the store has not, whatever their names.

    The store is created if there is none, with so many buckets, or the default. The same bytes under another `reading`
    are another content; `memory` is what DuckDB may use, such as "1GB", before it spills to the store's disk.
    """
    if not _MEMORY.fullmatch(memory):
        raise IngestError(f"memory {memory!r}: a size such as 500MB or 1GB is expected")
    workspace = open_workspace(store)
    with (
        _machine_errors_explained(workspace),
        locked(workspace, buckets) as (lock, before),
        # In the store, so on its disk; what a killed ingest leaves of it the next writer removes.
        tempfile.TemporaryDirectory("", TEMPORARY_PREFIX, workspace.folder, ignore_cleanup_errors=True) as folder,
        queries.connect(memory_limit=memory, temp_directory=Path(folder, "spilled"), keep_order=False) as connection,
    ):
        scratch = Path(folder)
        new, bucketing = NewFiles(files, before, reading, scratch), Bucketing(scratch, layout, before.buckets)
        yield Ingest(lock, before, new, connection, bucketing, scratch)


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
        raise IngestError(f"{store}: too little memory, allow more with --set memory=4GB ({line})") from None
    except queries.DiskErrors as error:
        raise IngestError(f"{store}: {str(error).splitlines()[0]}; the store is as it was") from None
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise IngestError(f"{store}: {error.strerror}; the store is as it was") from None
