"""Find the files that are new to a store, and hold what an ingest works with."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import xxhash

from analysis import queries
from analysis.logs.field_types import IdKinds
from analysis.logs.files import OPEN, LogFile, digest, snapshot
from analysis.logs.lines import LineCounts, Reject
from analysis.store import REJECTS, IdsOf, Manifest, Source
from looplib.checksums import unnamed
from recsys.errors import IngestError
from recsys.store.ids import write_ids
from recsys.store.partitions import Partitioner
from recsys.store.remote import download_stored
from recsys.workspace import Workspace

MOST_KEPT_BYTES = 16 * 2**20


class NewFiles:
    """New files: neither the store nor an earlier file has their content.

    A file's digest is taken just before the file is read. Of a segment that a service still writes
    to, the whole lines are read, and the next ingest reads what follows them.
    """

    def __init__(
        self,
        files: Sequence[LogFile],
        manifest: Manifest,
        reading: str,
        scratch: Path,
    ) -> None:
        """Take the files and the manifest of the store."""
        self.digests: dict[LogFile, str] = {}  # of the new ones so far
        self.known: list[LogFile] = []  # the others so far
        self.all = files
        self.megabytes = sum(file.size_bytes for file in files) / 1e6  # of all
        self._sources = manifest.sources
        self._reading = reading
        self._scratch = scratch
        self._starts: dict[LogFile, int] = {}  # the first byte of each that was read
        self._states: dict[LogFile, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[LogFile]:
        """Yield the new ones, one after the other."""
        seen = {source.digest for source in self._sources}
        for log in self.all:
            is_segment = log.path.name.startswith((OPEN, OPEN.removeprefix(".")))
            start = self._read_before(log) if is_segment else 0
            file = snapshot(log, self._scratch, start)
            if file is not log and not file.size_bytes:
                self.known.append(log)
                continue
            self._starts[file] = start
            self._states[file] = _state(file)
            content = digest(file)
            if self._reading:
                text = f"{content} {self._reading}"
                content = xxhash.xxh3_128_hexdigest(text.encode())
            if content in seen:
                self.known.append(file)
                continue
            seen.add(content)
            self.digests[file] = content
            yield file

    def source(self, file: LogFile, lines: LineCounts) -> Source:
        """Return a new file as a source of the store."""
        content = self.digests[file]
        return Source(file.name, content, file.size_bytes, lines, self._starts[file])

    def check_unchanged(self) -> None:
        """Refuse a file that was written to in the meantime."""
        for file, state in self._states.items():
            if _state(file) != state:
                raise IngestError(
                    f"{file.name}: changed while it was read; ingest it when it is complete"
                )

    def _read_before(self, log: LogFile) -> int:
        """Return how many bytes of a segment the store has, by its pieces."""
        end = 0
        name = unnamed(Path(log.name)).name
        for piece in sorted(self._sources, key=lambda source: source.start):
            is_next = piece.start == end and unnamed(Path(piece.name)).name == name
            if is_next and digest(log, end, piece.bytes) == piece.digest:
                end += piece.bytes
        return end


@dataclass
class Ingest:
    """An ingest under way into a locked store."""

    workspace: Workspace  # the store
    before: Manifest
    files: NewFiles
    connection: queries.Connection
    partitioner: Partitioner
    scratch: Path

    def keep_rejects(self, digest: str, rejects: Iterable[Reject]) -> None:
        """Append rejected lines to those of a source, until these have `MOST_KEPT_BYTES`."""
        lines = msgspec.json.Encoder().encode_lines(rejects)
        file = self.scratch / REJECTS / f"{digest}.jsonl"
        file.parent.mkdir(exist_ok=True)
        with file.open("ab") as kept:
            room = max(MOST_KEPT_BYTES - kept.tell(), 0)
            kept.write(lines[: lines.rfind(b"\n", 0, room) + 1])

    def write_ids(self, kinds: IdKinds) -> dict[IdsOf, Path]:
        """Write the text ids of the table `verified`, as `recsys.store.ids.write_ids` does."""
        known = download_stored(self.workspace, self.before.id_files)
        return write_ids(self.connection, kinds, known, self.scratch)


def _state(file: LogFile) -> tuple[int, int]:
    status = file.path.stat()
    return status.st_size, status.st_mtime_ns
