"""Find event logs, take their digests, and count lines that are safe to read as typed JSON."""

import glob
import gzip
import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, TypeVar

import xxhash

from analysis.errors import AnalysisError, EventLogError
from analysis.logs.lines import NUMBERS, Event, IdKinds, id_kinds, parse_line
from looplib.checksums import check_name, unnamed
from looplib.untrusted import open_untrusted

T = TypeVar("T")

SUFFIXES = (".jsonl", ".json", ".log")
DESCRIPTION = "collection.json"  # describes a log, and is none
# begins the names of segments that a service still writes to; closed, they lose the dot
OPEN = ".events-"
CHUNK = 1 << 16  # bytes; a chunk's lines stay in the cache while they are compared
MOST_KINDS = 10_000
_HEXADECIMAL = b"0123456789abcdfABCDF"  # without e, which makes a whole number a float
_KEYS = {name.encode() for name in Event.__struct_fields__}
_BARE_KEYS = {key.translate(None, _HEXADECIMAL) for key in _KEYS}
_NAMES = ", ".join(f"*{suffix}" for suffix in SUFFIXES) + ", also with .gz"


@dataclass(frozen=True)
class LogFile:
    """An event log; `name` is how it was found, for messages; of a segment that still grows, that of the closed one.

    Opening one raises an EventLogError where it cannot be read, or is not the gzip file that its
    name says.
    """

    path: Path
    name: str

    @property
    def is_open(self) -> bool:
        """Whether a service still writes to it, so that `snapshot` must be read in its place."""
        return self.path.name.startswith(OPEN)

    @property
    def is_gzipped(self) -> bool:
        """Whether its name says so."""
        return self.path.suffix == ".gz"

    @property
    def size_bytes(self) -> int:
        """Size of the file."""
        with self.open_packed() as packed:
            return os.fstat(packed.fileno()).st_size

    @property
    def text_bytes(self) -> int:
        """About the size of its text: a gzipped log is about an eighth of that."""
        return self.size_bytes * (8 if self.is_gzipped else 1)

    def open_packed(self) -> BufferedReader:
        """Open its bytes; those of a segment that has been closed meanwhile, too."""
        try:
            return open_untrusted(self.path, error=EventLogError)
        except EventLogError:
            if not self.is_open:
                raise
            closed = self.path.with_name(self.path.name.removeprefix("."))
            named = (
                path
                for path in closed.parent.glob(f"{closed.stem}-*")
                if unnamed(path) == closed
            )
            return open_untrusted(next(named, closed), error=EventLogError)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the log's text, unpacked."""
        with self.open_packed() as text:
            try:
                yield gzip.GzipFile(fileobj=text) if self.is_gzipped else text  # type: ignore[misc]  # a binary file, too
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise EventLogError(
                    f"{self.name}: a damaged gzip file ({error})"
                ) from None

    def check(self) -> "LogFile":
        """Return the log, once its content has the checksum in its name, if it has one."""
        try:
            check_name(self.path)
        except OSError as error:
            raise EventLogError(
                f"{self.name}: cannot be read ({error.strerror})"
            ) from None
        except ValueError as error:
            advice = (
                "restore it, or take -crc… out of its name to read what is left of it"
            )
            raise EventLogError(f"{self.name}: damaged ({error}); {advice}") from None
        return self


def discover(
    paths: Iterable[str | Path],
    suffixes: tuple[str, ...] = SUFFIXES,
    missing: str = f"no event log here; logs are files named {_NAMES}",
    error: type[AnalysisError] = EventLogError,
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
    found: list[Path] = []
    for path in map(str, paths):
        matches = glob.glob(path, recursive=True)  # noqa: PTH207  the pattern may be absolute
        existing = [Path(path)] if Path(path).exists() else sorted(map(Path, matches))
        logs = [log for match in existing for log in _files_of(match, suffixes)]
        if not logs:
            raise error(f"{path}: {missing if existing else 'no such file or folder'}")
        found += logs
    return _distinct(found)


def _files_of(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [
        file
        for file in sorted(path.rglob("*"))
        if file.name.removesuffix(".gz").endswith(suffixes)
        and file.name != DESCRIPTION
        and not any(
            part.startswith(".")
            for part in file.relative_to(path).with_name(file.name.lstrip(".")).parts
        )
        and (_is_open(file) or not file.name.startswith("."))
        and file.is_file()
    ]


def _distinct(paths: Iterable[Path]) -> list[LogFile]:
    found: dict[Path, LogFile] = {}
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
        except EventLogError:
            if log.is_open:  # closed meanwhile, and without an event
                continue
            raise
        if not str(path).isprintable():
            raise EventLogError(
                f"{str(path)!r}: a name that is not printable UTF-8; rename it"
            )
        found.setdefault(unnamed(closed.resolve()), log)
    return sorted(found.values(), key=lambda file: file.name)


def _is_open(path: Path) -> bool:
    return path.name.startswith(OPEN)


def snapshot(file: LogFile, folder: Path, start: int = 0) -> LogFile:
    """Copy the whole lines that a segment has now, from a byte on; return a log that is read from its start itself."""
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


def kinds_of(files: Iterable[LogFile]) -> IdKinds:
    """Return which ids of some logs are text, by the first log that has events."""
    for file in files:
        with file.open() as text:
            kinds = id_kinds(text)
        if kinds is not None:
            return kinds
    return NUMBERS


def in_batches(
    items: Iterable[T], size: Callable[[T], int], most: int
) -> Iterator[list[T]]:
    """Yield consecutive items in lists whose sizes add up to no more than `most`; a larger item is on its own."""
    batch: list[T] = []
    total = 0
    for item in items:
        if batch and total + size(item) > most:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size(item)
    if batch:
        yield batch


def digest(file: LogFile, start: int = 0, length: int | None = None) -> str:
    """Return the xxh3_128 of a log's bytes as they are on the disk, in hex, or of some of them."""
    with file.open_packed() as packed:
        if length is None:
            return hashlib.file_digest(packed, xxhash.xxh3_128).hexdigest()
        packed.seek(start)
        return str(xxhash.xxh3_128_hexdigest(packed.read(length)))


def count_lines(file: LogFile, kinds_of_ids: IdKinds = NUMBERS) -> int | None:
    r"""Count a log's lines, if DuckDB's typed reader neither casts a value of theirs nor passes over a fault.

    Lines that differ in nothing but hexadecimal digits (`_HEXADECIMAL`) are of one kind, and a log
    has few kinds; one line of each is parsed exactly. If that is an event, any line of its kind has
    the same keys with values of the same types, or else is not JSON, which DuckDB notices, or has a
    value out of its range, which `sql/events/events.sql` notices. Digits could change more than
    that in three cases, so that such a line counts as odd: in an array (`[1,]`), behind a backslash
    (`\u0041`), and in a key, if they make of a line's unknown key a known one.

    Returns:
        The number of lines; None if one is odd or there are many kinds, so that the log must be
            read line by line.
    """
    kinds: set[bytes] = set()
    lines = 0
    with file.open() as text:
        for chunk in _whole_lines(text):
            stripped = chunk.translate(None, _HEXADECIMAL).split(b"\n")
            if new := set(stripped) - kinds:
                kinds |= new
                samples = (
                    line
                    for kind, line in zip(stripped, chunk.split(b"\n"), strict=True)
                    if kind in new
                )
                if len(kinds) > MOST_KINDS or not all(
                    _is_typed(line, kinds_of_ids) for line in samples
                ):
                    return None
            lines += len(stripped)
    return lines


def _whole_lines(text: IO[bytes]) -> Iterator[bytes]:
    """Cut a log into chunks of whole lines, without the last line end; a line over a chunk's size comes in parts."""
    rest = b""
    while taken := text.read(CHUNK):
        chunk, end, after = taken.rpartition(b"\n")
        if end:
            yield rest + chunk
            rest = after
        else:
            rest += taken
        if len(rest) > CHUNK:
            yield rest
            rest = b""
    if rest:
        yield rest


def _is_typed(line: bytes, kinds: IdKinds) -> bool:
    """Return whether a line is an event of a kind that is not odd."""
    if b"[" in line or b"\\" in line:
        return False
    try:
        parse_line(line, kinds=kinds)
    except ValueError:
        return False
    texts = line.split(b'"')  # without backslashes, every second piece is a string
    keys = [
        text
        for text, after in zip(texts[1::2], texts[2::2], strict=True)
        if after.lstrip().startswith(b":")
    ]
    similar = [key for key in keys if key.translate(None, _HEXADECIMAL) in _BARE_KEYS]
    return len(similar) == len(set(similar)) and _KEYS.issuperset(similar)
