"""Read every content once, whatever happens to its file.

A source is a stretch of unpacked content. If a file begins with sources, only the rest of it is
new: a file may grow, and be packed, moved, renamed or copied.
"""

import hashlib
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from analysis.errors import AnalysisError
from analysis.logs.files import LogFile
from analysis.logs.lines import BYTE_ORDER_MARK, LineCounts, Reject
from analysis.store import REJECTS, Source
from looplib.arrays import column_values
from looplib.files import json_digest

MOST_KEPT_BYTES = 16 * 2**20
# limits of a batch, whose files are read together
_LARGEST_BATCH = 32 * 2**20  # bytes
_MOST_FILES = 1000
_CHUNK = 2**20
_SAMPLE = 16  # events of a source; a quarter of a log nearly always has two of them
_LARGE_ODD = np.int64(0x1E3779B97F4A7C15)
_PIECE = 2**18  # bytes that fit a cache of the processor


class NewFiles:
    """The contents of files that neither earlier sources nor earlier files have.

    Each file is copied in its turn: unpacked, checked to its end, and without the sources with
    which it begins. The copy is deleted before the next. A single reading takes a closed file that
    is new as a whole in place.
    """

    def __init__(
        self,
        files: Sequence[LogFile],
        scratch: Path,
        sources: Iterable[Source] = (),
        reading: Callable[[str], str] | None = None,
        *,
        whole: bool = False,
        in_place: bool = False,
    ) -> None:
        """Take files, a folder to work in, and the sources of a store.

        Args:
            files: Event logs or tables.
            scratch: The folder.
            sources: Sources that were read before.
            reading: Describes the query that reads a file of plays, by the file's name.
            whole: Read a table that has grown anew.
            in_place: Read closed new files in place.
        """
        self.all = files
        self.scratch = scratch
        # new sources so far, whose lines are not counted yet
        self.sources: dict[LogFile, Source] = {}
        self.repeated: list[LogFile] = []  # files without new content, so far
        self.left_out = 0  # rows of tables that the caller's condition excludes
        self.megabytes = sum(file.size_bytes for file in files) / 1e6
        self.megabytes_done = 0.0
        self._reading = reading
        self._query = json_digest(reading("")) if reading else ""
        self._whole = whole
        self._in_place = in_place
        self._known: dict[str, list[Source]] = defaultdict(
            list
        )  # keys are `Source.head`
        self._sampled: dict[int, Source] = {}  # keys are hashes of events
        self._shared: Counter[tuple[str, str]] = (
            Counter()
        )  # events that two sources share
        for source in sources:
            self._known[source.head].append(source)
            self._sampled.update(dict.fromkeys(source.sample, source))

    def __iter__(self) -> Iterator[list[LogFile]]:
        """Yield the copies, small files together.

        Raises:
            AnalysisError: A file is damaged, or contradicts a source with which it begins.
        """
        for logs in in_batches(self.all):
            with self.copied(logs) as files:
                if files:
                    yield files

    @contextmanager
    def copied(self, logs: Iterable[LogFile]) -> Iterator[list[LogFile]]:
        """Copy some of the files, until the block ends, as `__iter__` does."""
        files: dict[Path, LogFile] = {}
        for log in logs:
            copy = self.scratch / f"content-{len(self.sources)}{log.suffix}"
            if self._reading:  # a query may read the names of a file and its folder
                name = log.path.name.removesuffix(".gz")
                copy = copy.with_suffix("") / log.path.parent.name / name
                copy.parent.mkdir(parents=True)
            source = self._copy(log, copy)
            if source is None:
                self.repeated.append(log)
                copy.unlink(missing_ok=True)
            else:
                origin = f" from byte {source.start}" if source.start else ""
                path = copy if copy.exists() else log.path
                files[copy] = LogFile(path, f"{log.name}{origin}")
                self._known[source.head].append(source)
                self.sources[files[copy]] = source
            self.megabytes_done += log.size_bytes / 1e6
        yield [*files.values()]
        for copy in files:
            copy.unlink(missing_ok=True)

    def compare(self, file: LogFile, events: pa.Table) -> None:
        """Compare the next events of a log with samples of other sources, and sample them.

        Events with a number of their request are left out, since they count once anyway.

        Args:
            file: The copy of the log.
            events: Its events, in any order.

        Raises:
            AnalysisError: Another source has two of the events.
        """
        source = self.sources[file]
        events = events.filter(pc.is_null(events["request"]))
        keys = np.zeros(len(events), np.int64)
        for name in ("user", "timestamp", "track"):
            keys = (keys + column_values(events[name])) * _LARGE_ODD
        for key in self._sampled.keys() & keys.tolist():
            other = self._sampled[key]
            shared = (source.digest, other.digest)
            self._shared[shared] += 1
            if source.digest != other.digest and self._shared[shared] > 1:
                raise AnalysisError(
                    f"{source.name}: has events of {other.name}, which was read before, so they "
                    "would count twice; leave one of them out"
                )
        smallest = {*source.sample, *np.sort(keys)[:_SAMPLE].tolist()}
        source = replace(source, sample=tuple(sorted(smallest)[:_SAMPLE]))
        self._sampled.update(dict.fromkeys(source.sample, source))
        self.sources[file] = source

    def keep_rejects(self, content: str, rejects: Iterable[Reject]) -> None:
        """Append rejected lines of a file, up to `MOST_KEPT_BYTES` in all.

        Args:
            content: Digest of the file.
            rejects: The lines.
        """
        lines = msgspec.json.Encoder().encode_lines(rejects)
        target = self.scratch / REJECTS / f"{content}.jsonl"
        target.parent.mkdir(exist_ok=True)
        with target.open("ab") as file:
            room = max(MOST_KEPT_BYTES - file.tell(), 0)
            file.write(lines[: lines.rfind(b"\n", 0, room) + 1])

    def _copy(self, log: LogFile, target: Path) -> Source | None:
        """Copy the new part of a file; None if there is none."""
        with _open_content(log, self.scratch) as text:
            size = text.seek(0, os.SEEK_END)
            if log.is_open:
                # a power cut must not take back events that are counted
                os.fsync(text.fileno())
            start = 0
            while not self._whole:
                source = self._longest_known(log, text, start)
                if source is None:
                    if start or self._reading or not _is_marked(text):
                        break
                    start = len(BYTE_ORDER_MARK)
                    continue
                start += source.bytes
                if self._reading and start < size:
                    raise AnalysisError(
                        f"{log.name}: grew since {source.name} was read; ingest its new rows as a "
                        "file of their own, or all of it into a new store"
                    )
            if log.is_gzipped and not start:
                Path(text.name).replace(target)
            elif self._in_place and not (start or log.is_open):
                target = log.path
            else:
                text.seek(start)
                with target.open("wb") as copy:
                    copy.writelines(_chunks(text, size - start))
        with target.open("r+b" if log.is_open else "rb") as copy:
            end = copy.seek(0, os.SEEK_END)
            if not self._reading:
                end -= _torn_bytes(copy, end)
            if log.is_open:
                copy.truncate(end)
            copy.seek(0)
            line = copy.readline(_CHUNK)
            copy.seek(0)
            content = _hash(copy, end)
            digest = self._digest(content, log.name)
        source = Source(log.name, digest, end, LineCounts(), start, _head(line))
        bare = self._query and content.hexdigest()
        source = replace(source, content=bare, reading=self._query)
        is_empty = start and not end
        return source if not is_empty and self._is_new(source, line) else None

    def _is_new(self, source: Source, line: bytes) -> bool:
        """Compare a source with others that have the same first line.

        Raises:
            AnalysisError: Another goes on otherwise, or was read by another query.
        """
        rivals = self._known[source.head]
        if any(source.digest == rival.digest for rival in rivals):
            return False
        for rival in rivals if self._reading else ():
            if rival.content == source.content and rival.reading != source.reading:
                raise AnalysisError(
                    f"{source.name}: the store has read it by another query, so its plays "
                    "would count twice; ingest it into a new store"
                )
        if self._reading or not rivals or not line.startswith(b"{"):
            return True
        if any(self._is_cut(source, rival) for rival in rivals):
            return False
        raise AnalysisError(
            f"{source.name}: begins like {rivals[0].name}, which was read before, and goes on "
            "otherwise, so events would count twice; leave one of them out"
        )

    def _longest_known(
        self, log: LogFile, text: IO[bytes], start: int
    ) -> Source | None:
        """Find the longest source that a file contains from a byte on."""
        text.seek(start)
        rivals = self._known[_head(text.readline(_CHUNK))]
        text.seek(start)
        content = hashlib.sha256()
        longest = None
        for source in sorted(rivals, key=attrgetter("bytes")):
            end = start + source.bytes
            _hash(text, end - text.tell(), content)
            is_source = self._digest(content, log.name) == source.digest
            if start < text.tell() == end and is_source:
                longest = source
        return longest

    def _is_cut(self, source: Source, longer: Source) -> bool:
        """Check whether a source begins a longer source whose file is still there."""
        log = LogFile(Path(longer.name), longer.name)
        with suppress(AnalysisError), _open_content(log, self.scratch) as text:
            text.seek(longer.start)
            content = _hash(text, source.bytes)
            is_beginning = self._digest(content, log.name) == source.digest
            _hash(text, longer.bytes - source.bytes, content)
            return is_beginning and self._digest(content, log.name) == longer.digest
        return False

    def _digest(self, content: "hashlib._Hash", name: str) -> str:
        """Compute the digest of a source; a table that is read otherwise has another."""
        digest = content.hexdigest()
        if self._reading:
            reading = self._reading(name)
            digest = json_digest([digest, reading])
        return digest


def in_batches(files: Iterable[LogFile]) -> Iterator[list[LogFile]]:
    """Put consecutive small files together."""
    batch: list[LogFile] = []
    batch_bytes = 0
    for file in files:
        size = file.size_bytes
        if batch and (batch_bytes + size > _LARGEST_BATCH or len(batch) == _MOST_FILES):
            yield batch
            batch = []
            batch_bytes = 0
        batch.append(file)
        batch_bytes += size
    if batch:
        yield batch


@contextmanager
def _open_content(log: LogFile, scratch: Path) -> Iterator[IO[bytes]]:
    """Open the content of a file; unpack a packed file, and check it to its end."""
    with log.check().open() as text:
        if not log.is_gzipped:
            yield text
            return
        with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as unpacked:
            try:
                shutil.copyfileobj(text, unpacked, _CHUNK)
                yield unpacked
            finally:
                Path(unpacked.name).unlink(missing_ok=True)


def _chunks(text: IO[bytes], length: int) -> Iterator[bytes]:
    """Yield the next bytes, at most `length`."""
    while chunk := text.read(max(min(length, _PIECE), 0)):
        length -= len(chunk)
        yield chunk


def _hash(
    text: IO[bytes], length: int, content: "hashlib._Hash | None" = None
) -> "hashlib._Hash":
    """Hash the next bytes, after earlier content if there is some."""
    content = content or hashlib.sha256()
    for chunk in _chunks(text, length):
        content.update(chunk)
    return content


def _torn_bytes(text: IO[bytes], size: int) -> int:
    """Count the bytes of a last line that is not whole yet."""
    text.seek(max(size - _CHUNK, 0))
    line = text.read().rpartition(b"\n")[2]
    with suppress(orjson.JSONDecodeError):
        orjson.loads(line)
        return 0
    return len(line)


def _is_marked(text: IO[bytes]) -> bool:
    text.seek(0)
    return text.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK


def _head(line: bytes) -> str:
    return hashlib.sha256(line.rstrip(b"\r\n")).hexdigest()
