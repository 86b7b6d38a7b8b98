"""Find event logs, and open them."""

import glob
import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO

from analysis.errors import AnalysisError
from looplib.checksums import check_name, unnamed
from looplib.untrusted import open_untrusted

SUFFIXES = (".jsonl", ".json", ".log")
DESCRIPTION = "collection.json"  # describes a log, and is no log
# Segments that a service still writes to begin with a dot; a closed segment loses it.
OPEN = ".events-"
_NAMES = ", ".join(f"*{suffix}" for suffix in SUFFIXES) + ", also numbered or with .gz"
# logrotate adds .1, .2.gz, -20260131
_ROTATED = re.compile(r"([.-]\d+)?(\.gz)?$")


@dataclass(frozen=True)
class LogFile:
    """An event log.

    `name` is the path as it was found, for messages. A segment that still grows has the name that
    it will have when it is closed.

    Opening a log raises an AnalysisError if the file cannot be read, or is no gzip file in spite
    of its name.
    """

    path: Path
    name: str

    @property
    def is_open(self) -> bool:
        """Whether a service still writes to it."""
        return self.path.name.startswith(OPEN)

    @property
    def is_gzipped(self) -> bool:
        """Whether its name says so."""
        return self.path.suffix.lower() == ".gz"

    @property
    def suffix(self) -> str:
        """The suffix that says how it is to be read."""
        return Path(_ROTATED.sub("", self.path.name.lower())).suffix

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
                if self.is_gzipped and not self.size_bytes:
                    raise EOFError("it is empty")
                # a binary file, too
                yield gzip.GzipFile(fileobj=text) if self.is_gzipped else text  # type: ignore[misc]
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise AnalysisError(
                    f"{self.name}: a damaged gzip file ({error})"
                ) from None

    def check(self) -> "LogFile":
        """Check the content by the checksum in the name, if there is any, and return the log.

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

    A folder stands for all its files with a suffix of `suffixes`, at any depth, also numbered or
    with `.gz`. `collection.json` and names that start with a dot are skipped, except segments
    that a service still writes to.

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
        if LogFile(file, file.name).suffix in suffixes
        and file.name != DESCRIPTION
        and not any(
            part.startswith(".") for part in file.relative_to(path).parent.parts
        )
        and (file.name.startswith(OPEN) or not file.name.startswith("."))
        and file.is_file()
    ]


def _distinct(paths: Iterable[Path]) -> list[LogFile]:
    logs: dict[Path, LogFile] = {}
    for path in paths:
        is_open = path.name.startswith(OPEN)
        closed = path.with_name(path.name.removeprefix("."))
        log = LogFile(path, str(closed if is_open else path))
        try:
            log.open_packed().close()
        except AnalysisError:
            if is_open:  # closed meanwhile, and without an event
                continue
            raise
        if not str(path).isprintable():
            raise AnalysisError(
                f"{str(path)!r}: a name that is not printable UTF-8; rename it"
            )
        logs.setdefault(path.resolve(), log)
    return sorted(logs.values(), key=lambda log: log.name)
