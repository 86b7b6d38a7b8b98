"""Find event logs, open them, and take their digests."""

import glob
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO

import xxhash

from analysis.errors import AnalysisError
from looplib.checksums import check_name, unnamed
from looplib.untrusted import open_untrusted

SUFFIXES = (".jsonl", ".json", ".log")
DESCRIPTION = "collection.json"  # describes a log, and is none
# begins the names of segments that a service still writes to; closed, they lose the dot
OPEN = ".events-"
_NAMES = ", ".join(f"*{suffix}" for suffix in SUFFIXES) + ", also with .gz"


@dataclass(frozen=True)
class LogFile:
    """An event log.

    `name` is how it was found, for messages; of a segment that still grows, the name of the closed
    one.

    Opening one raises an AnalysisError where it cannot be read, or is not the gzip file that its
    name says.
    """

    path: Path
    name: str

    @property
    def is_open(self) -> bool:
        """Whether a service still writes to it, so that `snapshot` must be read in its place."""
        return _is_open(self.path)

    @property
    def is_gzipped(self) -> bool:
        """Whether its name says so."""
        return self.path.suffix.lower() == ".gz"

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        with self.open_packed() as packed:
            return os.fstat(packed.fileno()).st_size

    def open_packed(self) -> BufferedReader:
        """Open its bytes, even if the segment has been closed meanwhile."""
        try:
            return open_untrusted(self.path, error=AnalysisError)
        except AnalysisError:
            if not self.is_open:
                raise
            closed = self.path.with_name(self.path.name.removeprefix("."))
            named = (
                path
                for path in closed.parent.glob(f"{closed.stem}-*")
                if unnamed(path) == closed
            )
            return open_untrusted(next(named, closed), error=AnalysisError)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the log's text, unpacked."""
        with self.open_packed() as text:
            try:
                # a binary file, too
                yield gzip.GzipFile(fileobj=text) if self.is_gzipped else text  # type: ignore[misc]
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise AnalysisError(
                    f"{self.name}: a damaged gzip file ({error})"
                ) from None

    def check(self) -> "LogFile":
        """Return the log, once its content has the checksum in its name, if it has one.

        Raises:
            AnalysisError: It has another.
        """
        try:
            check_name(self.path)
        except ValueError as error:
            advice = (
                "restore it, or take -crc… out of its name to read what is left of it"
            )
            raise AnalysisError(f"{self.name}: damaged ({error}); {advice}") from None
        return self


def discover(
    paths: Iterable[str | Path],
    suffixes: tuple[str, ...] = SUFFIXES,
    missing: str = f"no event log here; logs are files named {_NAMES}",
) -> list[LogFile]:
    """Find the logs that files, folders and glob patterns stand for.

    Of a folder, every file with one of the suffixes, also with `.gz`, at any depth; names that
    start with a dot are skipped, but for segments that a service still writes to, and so is
    `collection.json`.

    Returns:
        Each log once, by its first path, sorted by name.

    Raises:
        AnalysisError: A path holds none, or a pipe or a device, or its name is not UTF-8.
    """
    files: list[Path] = []
    for path in map(str, paths):
        matches = glob.glob(path, recursive=True)  # noqa: PTH207  the pattern may be absolute
        existing = [Path(path)] if Path(path).exists() else sorted(map(Path, matches))
        logs = [log for match in existing for log in _files_of(match, suffixes)]
        if not logs:
            raise AnalysisError(
                f"{path}: {missing if existing else 'no such file or folder'}"
            )
        files += logs
    return _distinct(files)


def _files_of(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [
        file
        for file in sorted(path.rglob("*"))
        if file.name.lower().removesuffix(".gz").endswith(suffixes)
        and file.name != DESCRIPTION
        and not any(
            part.startswith(".") for part in file.relative_to(path).parent.parts
        )
        and (_is_open(file) or not file.name.startswith("."))
        and file.is_file()
    ]


def _distinct(paths: Iterable[Path]) -> list[LogFile]:
    logs: dict[Path, LogFile] = {}
    # a segment may have been closed meanwhile, and so be there twice
    for path in sorted(paths, key=_is_open):
        closed = (
            unnamed(path.with_name(path.name.removeprefix(".")))
            if _is_open(path)
            else path
        )
        log = LogFile(path, str(closed))
        try:
            log.open_packed().close()
        except AnalysisError:
            if log.is_open:  # closed meanwhile, and without an event
                continue
            raise
        if not str(path).isprintable():
            raise AnalysisError(
                f"{str(path)!r}: a name that is not printable UTF-8; rename it"
            )
        logs.setdefault(unnamed(closed.resolve()), log)
    return sorted(logs.values(), key=lambda file: file.name)


def _is_open(path: Path) -> bool:
    return path.name.startswith(OPEN)


def snapshot(file: LogFile, folder: Path, start: int = 0) -> LogFile:
    """Copy the whole lines that a segment has now, from a byte on.

    A log that is read from its start is returned as it is.
    """
    if not (file.is_open or start):
        return file
    if not file.is_open:
        file.check()
    copy = folder / f"segment-{len(list(folder.glob('segment-*')))}-{start}.jsonl"
    with file.open_packed() as segment:
        segment.seek(start)
        content = segment.read()
    copy.write_bytes(content[: content.rfind(b"\n") + 1])
    return LogFile(copy, file.name)


def digest(file: LogFile, start: int = 0, length: int | None = None) -> str:
    """Return the xxh3_128 of a log's bytes as they are on the disk, in hex, or of some of them."""
    with file.open_packed() as packed:
        if length is None:
            return hashlib.file_digest(packed, xxhash.xxh3_128).hexdigest()
        packed.seek(start)
        return str(xxhash.xxh3_128_hexdigest(packed.read(length)))
