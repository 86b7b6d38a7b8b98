"""Finding event logs, and what can be said of one without reading its events: its digest, lines, anything odd."""

import glob
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import xxhash

from analysis.errors import EventLogError
from analysis.logs import fast_path as event_shape
from looplib.arrays import BoolArray, ByteArray

SUFFIXES = (".jsonl", ".json", ".log")
# A line this long may be nested more deeply than the exact reader follows; shorter ones never are.
LONGEST_PLAIN_LINE = 1024
_CHUNK = 1 << 18  # bytes; what the checks below compute on stays in the cache

_VALUE_COMES_NEXT = np.frombuffer(b" \t\r\n:", np.uint8)


@dataclass(frozen=True)
class LogFile:
    """An event log; `name` is how it was found, for messages."""

    path: Path
    name: str

    @property
    def is_gzipped(self) -> bool:
        """Whether its name says so."""
        return self.path.suffix == ".gz"

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size

    def open(self) -> IO[bytes]:
        """Opens the log's text, unpacked."""
        return gzip.open(self.path) if self.is_gzipped else self.path.open("rb")  # type: ignore[return-value]


@dataclass(frozen=True)
class Inspection:
    """What a log's bytes say of its lines.

    Attributes:
        file: The log.
        lines: Number of lines; a last one without line end counts.
        is_shaped: Whether every line is in the form of `analysis.logs.fast_path`; such a log is plain, too.
        is_plain: Whether nothing was seen that DuckDB's reader passes over in silence and the exact reader would not:
            a comma before a closing brace, NaN and Infinity, an array (which may hold them), or a line over
            `LONGEST_PLAIN_LINE`. A plain log may still be full of bad lines.
    """

    file: LogFile
    lines: int
    is_shaped: bool
    is_plain: bool


def discover(places: Iterable[str | Path]) -> list[LogFile]:
    """The logs that files, folders and glob patterns stand for, each once, sorted by name.

    Of a folder, every `*.jsonl`, `*.json` and `*.log`, and these with `.gz`, at any depth; names that start with a dot
    are skipped, and so is `collection.json`, which describes a log.

    Raises:
        EventLogError: A place holds no log.
    """
    found: dict[Path, LogFile] = {}
    for place in places:
        files = list(_logs_of(str(place)))
        if not files:
            raise EventLogError(f"{place}: no event log here; logs are files named {_NAMES}")
        for file in files:
            found.setdefault(file.resolve(), LogFile(file, str(file)))
    return sorted(found.values(), key=lambda log: log.name)


def digest(file: LogFile) -> str:
    """The xxh3_128 of a log's bytes as they are on the disk, in hex.

    Raises:
        EventLogError: The file cannot be read.
    """
    state = xxhash.xxh3_128()
    try:
        with file.path.open("rb") as packed:
            while chunk := packed.read(1 << 20):
                state.update(chunk)
    except OSError as error:
        raise EventLogError(f"{file.name}: cannot be read ({error.strerror})") from None
    return str(state.hexdigest())


def inspect(file: LogFile) -> Inspection:
    """Looks at a log's bytes.

    Raises:
        EventLogError: The file cannot be read, or is not the gzip file that its name says.
    """
    with _opened(file) as text:
        lines = event_shape.count_lines(text)
    if lines is not None:
        return Inspection(file, lines, is_shaped=True, is_plain=True)
    scan = _Scan()
    with _opened(file) as text:
        scan.read(text)
    return Inspection(file, scan.lines, is_shaped=False, is_plain=scan.is_plain)


def looks_shaped(file: LogFile) -> bool:
    """Whether the first lines of a log are in the form of `analysis.logs.fast_path`.

    Raises:
        EventLogError: The file cannot be read, or is not the gzip file that its name says.
    """
    with _opened(file) as text:
        return event_shape.starts_in_form(text)


@contextmanager
def _opened(file: LogFile) -> Iterator[IO[bytes]]:
    try:
        with file.open() as text:
            yield text
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise EventLogError(f"{file.name}: a damaged gzip file ({error})") from None
    except OSError as error:
        raise EventLogError(f"{file.name}: cannot be read ({error.strerror})") from None


_NAMES = ", ".join(f"*{suffix}" for suffix in SUFFIXES) + ", also with .gz"
_DESCRIPTION = "collection.json"


def _logs_of(place: str) -> Iterator[Path]:
    path = Path(place)
    if path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if _is_log(file, path))
    elif path.exists():
        yield path
    else:
        for match in sorted(glob.glob(place, recursive=True)):  # noqa: PTH207  the pattern may be absolute
            if Path(match).is_dir():
                yield from _logs_of(match)
            else:
                yield Path(match)


def _is_log(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts
    return (
        file.name.removesuffix(".gz").endswith(SUFFIXES)
        and file.name != _DESCRIPTION
        and not any(part.startswith(".") for part in parts)
        and file.is_file()
    )


class _Scan:
    """What a pass over a log's bytes gathers."""

    def __init__(self) -> None:
        self.lines = 0
        self.is_plain = True
        self._size = 0
        self._line_start = 0  # of the line that the next chunk goes on with

    def read(self, text: IO[bytes]) -> None:
        """Takes the whole text in chunks; the two bytes before each are looked at again with it."""
        buffer = bytearray(b"\n" * (_CHUNK + 2))
        window, free = np.frombuffer(buffer, np.uint8), memoryview(buffer)[2:]
        detector = _OddJson()
        while taken := _readinto(text, free):
            self._count_lines(window[2 : taken + 2])
            self.is_plain = self.is_plain and not detector.found_in(window[: taken + 2])
            self._size += taken
            buffer[:2] = buffer[taken : taken + 2]
        self._close(self._size)
        self.lines += self._line_start < self._size

    def _count_lines(self, chunk: ByteArray) -> None:
        ends = np.flatnonzero(chunk == ord("\n"))
        if not len(ends):
            return
        self._close(self._size + int(ends[0]))
        if len(ends) > 1 and int(np.diff(ends).max()) > LONGEST_PLAIN_LINE:
            self.is_plain = False
        self.lines += len(ends)
        self._line_start = self._size + int(ends[-1]) + 1

    def _close(self, end: int) -> None:
        if end - self._line_start > LONGEST_PLAIN_LINE:
            self.is_plain = False


def _readinto(file: IO[bytes], buffer: memoryview) -> int:
    return int(file.readinto(buffer))  # type: ignore[attr-defined]  # every binary file has it


class _OddJson:
    """Looks for what may be NaN, Infinity, an array, or a comma before a brace; within strings they count too.

    Works in buffers of its own, and with as few passes as possible: every byte of every log goes through here.
    """

    def __init__(self) -> None:
        self._flags = np.empty((3, _CHUNK + 2), bool)
        self._bytes = np.empty(_CHUNK + 2, np.uint8)

    def found_in(self, window: ByteArray) -> bool:
        """Whether a text of up to a chunk and two bytes may hold any."""
        size = len(window)
        gaps, first, second = (flags[:size] for flags in self._flags)
        np.less_equal(window, ord(" "), out=gaps)
        np.equal(window, ord(","), out=first)
        np.logical_or(first, gaps, out=first)
        np.equal(window, ord("}"), out=second)
        np.logical_and(first[:-1], second[1:], out=first[:-1])
        if first[:-1].any() or np.equal(window, ord("["), out=second).any():
            return True
        return self._holds_odd_literal(window, gaps, first, second)

    def _holds_odd_literal(self, window: ByteArray, gaps: BoolArray, first: BoolArray, second: BoolArray) -> bool:
        """Whether a value starts with a letter, or a minus and a letter, and is not null."""
        np.equal(window, ord(":"), out=first)
        np.logical_or(first, gaps, out=first)
        shifted = np.subtract(window, ord(":"), out=self._bytes[: len(window)])
        np.less(shifted, ord("{") - ord(":"), out=second)  # from ':' to 'z', letters among them
        np.logical_and(first[:-2], second[1:-1], out=gaps[:-2])
        starts = np.flatnonzero(gaps[:-2])
        if bool((window[starts + 1] != ord("n")).any() or (window[starts + 2] != ord("u")).any()):
            return True
        np.equal(window, ord("-"), out=first)
        np.logical_and(first[:-1], second[1:], out=first[:-1])
        if not first[:-1].any():
            return False
        minus = np.flatnonzero(first[:-1])
        return bool(np.isin(window[np.maximum(minus, 1) - 1], _VALUE_COMES_NEXT).any())
