"""Where a report's events come from: event logs, read line by line or as a whole, and session stores.

A session store has the events that an ingest made of the lines, and counts of the lines, so both give the same report.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis import queries
from analysis.logs import reader as event_log
from analysis.logs.reader import FileLines, LineCounts, LogFile
from analysis.store import MANIFEST, Store, open_store
from looplib.progress import Report as Progress

SHOWN_REJECTS = 5
_ROWS_AT_ONCE = 1_000_000
_BYTES_OF_AN_EVENT = 200  # a line of a log; only to guess how many there are


@dataclass(frozen=True)
class Places:
    """The logs and stores that a report is of."""

    logs: tuple[LogFile, ...]
    stores: tuple[Store, ...]

    @property
    def events(self) -> int:
        """About how many events there are."""
        of_logs = sum(log.size_bytes * (8 if log.is_gzipped else 1) for log in self.logs) // _BYTES_OF_AN_EVENT
        return of_logs + sum(store.events for store in self.stores)

    @property
    def megabytes(self) -> float:
        """Their size on the disk."""
        return (sum(log.size_bytes for log in self.logs) + sum(store.bytes for store in self.stores)) / 1e6

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        return (*(str(store.path) for store in self.stores), *(log.name for log in self.logs))


@dataclass(frozen=True)
class Lines:
    """Lines of the logs; read = good + rejected + blank."""

    read: int
    good: int
    rejected: int
    blank: int


@dataclass(frozen=True)
class RejectedLine:
    """One of the first lines that were no event."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class ReadLines:
    """Counts of the lines read, and the first rejected ones."""

    lines: Lines
    rejected: tuple[RejectedLine, ...]


def find(places: Sequence[str | Path]) -> Places:
    """The logs and stores that files, folders and patterns stand for.

    Raises:
        EventLogError: A path holds neither.
        StoreError: A store is damaged.
    """
    stores = {Path(place).resolve(): Path(place) for place in places if (Path(place) / MANIFEST).is_file()}
    logs = [place for place in places if Path(place).resolve() not in stores]
    return Places(tuple(event_log.discover(logs)), tuple(open_store(path) for path in stores.values()))


def read(
    connection: queries.Connection,
    places: Places,
    consume: Callable[[int], int],
    keep: Callable[[], None],
    *,
    scratch: Path,
    report: Progress,
) -> ReadLines:
    """Reads everything in batches.

    Args:
        connection: Has the table `events` for each call of `consume`.
        places: What to read.
        consume: Makes something of the table `events`, and returns the number of events. It may be called again for
            the same batch, and must then replace what it made.
        keep: Called when what was last consumed is final.
        scratch: A folder for temporary files.
        report: Shows the megabytes read so far.
    """
    lines = LineCounts(0, 0, 0, 0)
    done = 0.0
    rejected: list[RejectedLine] = []
    for files in _parts_of(places.stores):
        queries.attach_parquet(connection, "events", files)
        consume(0)
        keep()
        done += sum(file.stat().st_size for file in files) / 1e6
        report(done)
    for store in places.stores:
        lines += sum((source.lines for source in store.manifest.sources), LineCounts(0, 0, 0, 0))
        rejected += _rejects_of(store)
    for batch in event_log.read(connection, places.logs, consume, scratch=scratch):
        keep()
        lines += sum((file.lines for file in batch), LineCounts(0, 0, 0, 0))
        rejected += _rejects_in(batch)
        done += sum(file.file.size_bytes for file in batch) / 1e6
        report(done, f"{lines.good:,} events")
    first = tuple(sorted(rejected, key=lambda one: (one.file, one.line))[:SHOWN_REJECTS])
    return ReadLines(Lines(lines.read, lines.good, lines.rejected, lines.blank), first)


def _parts_of(stores: Iterable[Store]) -> Iterator[list[Path]]:
    """The stores' files, as many at a time as hold about a million events."""
    files: list[Path] = []
    rows = 0
    for store in stores:
        for part in store.manifest.parts:
            if files and rows + part.rows > _ROWS_AT_ONCE:
                yield files
                files, rows = [], 0
            files += store.files([part])
            rows += part.rows
    if files:
        yield files


def _rejects_of(store: Store) -> Iterator[RejectedLine]:
    for source in store.manifest.sources:
        if source.lines.rejected:
            yield from _shown(store.path / source.rejects)


def _rejects_in(files: Iterable[FileLines]) -> Iterator[RejectedLine]:
    for file in files:
        if file.rejects:
            yield from _shown(file.rejects)


def _shown(file: Path) -> Iterator[RejectedLine]:
    if file.is_file():
        for one in event_log.read_rejects(file, SHOWN_REJECTS):
            yield RejectedLine(one.file, one.line, one.reason)
