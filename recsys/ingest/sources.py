"""Find the files that are new to a store, and keep their rejected lines."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
import xxhash

from analysis.logs.files import OPEN, LogFile, digest, snapshot
from analysis.logs.lines import LineCounts, Reject
from analysis.store import REJECTS, Source
from looplib.checksums import unnamed
from recsys.errors import IngestError

MOST_KEPT_BYTES = 16 * 2**20


class NewFiles:
    """New files: neither the store nor an earlier file has their content.

    A file's digest is taken just before the file is read. Of a segment that a service still writes
    to, the whole lines are read, and the next ingest reads what follows them.
    """

    def __init__(
        self,
        files: Sequence[LogFile],
        sources: Sequence[Source],
        reading: str,
        scratch: Path,
    ) -> None:
        """Take all files, the sources of the store, how files are read, and a folder to work in."""
        # the new ones so far, as sources of the store whose lines are not counted
        self.sources: dict[LogFile, Source] = {}
        self.repeated: list[LogFile] = []  # those without new content, so far
        self.all = files
        self.megabytes = sum(file.size_bytes for file in files) / 1e6  # of all
        self.scratch = scratch
        self._stored = sources
        self._reading = reading
        self._states: dict[LogFile, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[LogFile]:
        """Yield the new ones, one after the other."""
        seen = {source.digest for source in self._stored}
        for log in self.all:
            is_segment = log.path.name.startswith((OPEN, OPEN.removeprefix(".")))
            start = self._end_of_pieces(log) if is_segment else 0
            file = snapshot(log, self.scratch, start)
            if file is not log and not file.size_bytes:
                self.repeated.append(log)
                continue
            self._states[file] = _state(file)
            content = digest(file)
            if self._reading:
                text = f"{content} {self._reading}"
                content = xxhash.xxh3_128_hexdigest(text.encode())
            if content in seen:
                self.repeated.append(file)
                continue
            seen.add(content)
            size = file.size_bytes
            self.sources[file] = Source(file.name, content, size, LineCounts(), start)
            yield file

    def check_unchanged(self) -> None:
        """Refuse a file that was written to in the meantime."""
        for file, state in self._states.items():
            if _state(file) != state:
                raise IngestError(
                    f"{file.name}: changed while it was read; ingest it when it is complete"
                )

    def keep_rejects(self, content: str, rejects: Iterable[Reject]) -> None:
        """Append rejected lines to those of a file, until these have `MOST_KEPT_BYTES`.

        The file is the one with the digest `content`.
        """
        lines = msgspec.json.Encoder().encode_lines(rejects)
        target = self.scratch / REJECTS / f"{content}.jsonl"
        target.parent.mkdir(exist_ok=True)
        with target.open("ab") as file:
            room = max(MOST_KEPT_BYTES - file.tell(), 0)
            file.write(lines[: lines.rfind(b"\n", 0, room) + 1])

    def _end_of_pieces(self, log: LogFile) -> int:
        """Find the byte of a segment up to which the store has its pieces."""
        end = 0
        name = unnamed(Path(log.name)).name
        for piece in sorted(self._stored, key=lambda source: source.start):
            is_next = piece.start == end and unnamed(Path(piece.name)).name == name
            if is_next and digest(log, end, piece.bytes) == piece.digest:
                end += piece.bytes
        return end


def _state(file: LogFile) -> tuple[int, int]:
    status = file.path.stat()
    return status.st_size, status.st_mtime_ns
