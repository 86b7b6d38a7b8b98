"""The one reader of event logs: ours and the original course service's, plain or gzipped, any size, any number.

For a report, which wants the events of some logs under a table's name::

    files = event_log.load(connection, event_log.discover(["log/", "more/*.jsonl.gz"]), scratch=folder)
    # the connection now has the table `events`; `files` says what became of every line

For whoever makes something of the events as they come, `read` hands them over in batches: it calls `consume(number)`
with the events of some logs attached as the table `events` (columns in `sql/events/events.sql`). `consume` runs one
statement over all of that table, gives every distinct text of `experiments` to `canonical_assignments`, and returns
how many events there were.

Every event comes by one of three paths, and all give the same:

- Lines in the form that our service and simulator write (`event_shape`) are read by DuckDB's JSON reader as types.
- Of other lines it reads the values as JSON text, for a type would be cast in silence.
- A log that is not good throughout is read line by line (`event_lines`): good lines go to a clean file for DuckDB, bad
  ones to the rejects.

On the first two paths a log's bytes are inspected while DuckDB reads it, and checks in SQL fail on a line that breaks a
rule, or might. If they fail, or the inspection saw something that DuckDB reads over, or there are not as many events as
lines, the next path is taken. So `consume` may be called again with the number it was called with before; what it made
of the first call must then be replaced.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from analysis import queries
from analysis.logs.files import Inspection, LogFile, digest, discover, inspect, looks_shaped
from analysis.logs.lines import LARGEST_ID, LineCounts, OddLineError, Reject, canonical_assignments, split_lines

__all__ = [
    "LARGEST_ID",
    "Batch",
    "FileLines",
    "LineCounts",
    "LogFile",
    "OddLineError",
    "Reject",
    "canonical_assignments",
    "digest",
    "discover",
    "load",
    "read",
    "read_rejects",
]

BATCH_BYTES = 256 * 2**20
_PACKED = 8  # a gzipped log is about so much smaller than its text
_AS_TEXT = ("timestamp", "user", "track", "time", "latency", "recommendation", "experiments", "session", "recommender")
# Keys that DuckDB reads; as JSON text, so that nothing is cast before it is checked. Of `message` the text is enough.
COLUMNS = {"message": "VARCHAR"} | dict.fromkeys((*_AS_TEXT, "propensity"), "JSON")
# The same as types, where each value is known to be of its key's kind.
TYPES = (
    dict.fromkeys(("message", "experiments", "session", "recommender"), "VARCHAR")
    | dict.fromkeys(("timestamp", "user", "track", "recommendation"), "BIGINT")
    | dict.fromkeys(("time", "latency", "propensity"), "DOUBLE")
)

Consume = Callable[[int], int]


@dataclass(frozen=True)
class FileLines:
    """What became of a log's lines.

    Attributes:
        file: The log.
        lines: Its lines, counted.
        rejects: A file of `Reject`, one JSON a line, in the scratch folder; None without rejects.
    """

    file: LogFile
    lines: LineCounts
    rejects: Path | None


@dataclass(frozen=True)
class Batch:
    """Logs whose events were consumed together, under one number; numbers run from 0."""

    number: int
    files: tuple[FileLines, ...]


def load(connection: queries.Connection, files: Iterable[LogFile], *, scratch: Path) -> list[FileLines]:
    """Makes the events of logs readable as the table `events`; the scratch folder must live as long as the table.

    Raises:
        EventLogError: A file cannot be read.
    """
    folder = Path(tempfile.mkdtemp(prefix="events-", dir=scratch))

    def consume(number: int) -> int:
        part = folder / f"{number:06}.parquet"
        events = queries.copy_to_parquet(connection, "events/all_events", part)
        queries.attach_parquet(connection, "events", [part])
        for text in queries.fetch_table(connection, "events/assignments")["experiments"].to_pylist():
            canonical_assignments(text)
        return events

    batches = list(read(connection, files, consume, scratch=scratch))
    parts = [folder / f"{batch.number:06}.parquet" for batch in batches]
    queries.attach_parquet(connection, "events", parts)
    return [file for batch in batches for file in batch.files]


def read(
    connection: queries.Connection,
    files: Iterable[LogFile],
    consume: Consume,
    *,
    scratch: Path,
    largest_track: int = LARGEST_ID,
) -> Iterator[Batch]:
    """Reads logs, a batch of files at a time; see the module's words.

    Args:
        connection: Has the table `events` for the time of each call of `consume`.
        files: The logs; each is taken when it is its turn.
        consume: Makes something of the table `events` under the batch's number.
        scratch: A folder for clean files, which are removed after use, and for rejects.
        largest_track: The catalogue's last id; a line with one beyond is rejected. `consume` must refuse such ids
            too, by an `OddLineError`.

    Raises:
        EventLogError: A file cannot be read.
        DatabaseError: `consume` failed for another reason than the lines, such as a full disk.
    """
    with ThreadPoolExecutor(max_workers=1) as inspector:
        reader = _Reader(connection, consume, scratch, largest_track, inspector)
        for group in _grouped(files):
            yield from reader.read_group(group)


def read_rejects(file: Path, limit: int) -> list[Reject]:
    """The first rejects of a file."""
    with file.open("rb") as lines:
        return [msgspec.json.decode(line, type=Reject) for line, _ in zip(lines, range(limit), strict=False)]


def _grouped(files: Iterable[LogFile]) -> Iterator[list[LogFile]]:
    """Consecutive logs up to a batch's size together, gzipped ones apart from the others."""
    group: list[LogFile] = []
    size = 0
    for file in files:
        text_bytes = file.size_bytes * (_PACKED if file.is_gzipped else 1)
        is_other = bool(group) and file.is_gzipped != group[0].is_gzipped
        if group and (is_other or size + text_bytes > BATCH_BYTES):
            yield group
            group, size = [], 0
        group.append(file)
        size += text_bytes
    if group:
        yield group


class _Reader:
    """Chooses a path for each log, and numbers what was consumed."""

    def __init__(
        self, connection: queries.Connection, consume: Consume, scratch: Path, largest_track: int, inspector: Executor
    ) -> None:
        self._connection = connection
        self._consume = consume
        self._scratch = scratch
        self._largest_track = largest_track
        self._inspector = inspector
        self._number = 0

    def read_group(self, group: Sequence[LogFile]) -> Iterator[Batch]:
        """All logs at once if they are good throughout; else each by itself."""
        together = self._read_fast(group)
        if together:
            yield together
            return
        for file in group:
            alone = self._read_fast([file]) if len(group) > 1 else None
            yield alone or self._read_exactly(file)

    def _read_fast(self, files: Sequence[LogFile]) -> Batch | None:
        """Reads logs by DuckDB while their bytes are inspected; None if something is off.

        An object ends with its line, or DuckDB's reader fails; it skips blank lines. So there cannot be more events
        than lines, and if there are as many, every line of every log is one.
        """
        futures = [self._inspector.submit(inspect, file) for file in files]
        typed = False
        try:
            typed = all(looks_shaped(file) for file in files)
            events = self._consume_good(files, typed=typed)
        finally:  # a file that cannot be read has its own error, which says more than DuckDB's
            inspections = [future.result() for future in futures]
        if typed and not all(inspection.is_shaped for inspection in inspections):
            events = self._consume_good(files, typed=False) if _are_plain(inspections) else -1
        if not _are_plain(inspections) or events != sum(inspection.lines for inspection in inspections):
            return None
        return self._close([FileLines(one.file, _all_good(one.lines), None) for one in inspections])

    def _consume_good(self, files: Sequence[LogFile], *, typed: bool) -> int:
        """The number of events; -1 if a line is odd."""
        with suppress(*queries.DataErrors, OddLineError):
            return self._attach_and_consume([file.path for file in files], gzipped=files[0].is_gzipped, typed=typed)
        return -1

    def _read_exactly(self, file: LogFile) -> Batch:
        clean = self._scratch / f"clean-{self._number:06}.jsonl"
        rejects = self._scratch / f"rejects-{self._number:06}.jsonl"
        try:
            with file.open() as log, clean.open("wb") as good, rejects.open("wb") as bad:
                lines = split_lines(log, file.name, good, bad, self._largest_track)
            events = self._attach_and_consume([clean], gzipped=False, typed=True)
        finally:
            clean.unlink(missing_ok=True)
        if events != lines.good:
            raise RuntimeError(f"{file.name}: {lines.good} good lines, of which DuckDB read {events}")
        if not lines.rejected:
            rejects.unlink()
        return self._close([FileLines(file, lines, rejects if lines.rejected else None)])

    def _attach_and_consume(self, files: Sequence[Path], *, gzipped: bool, typed: bool) -> int:
        table, columns = ("log_values", TYPES) if typed else ("log_lines", COLUMNS)
        queries.attach_json_lines(self._connection, table, files, columns, gzipped=gzipped)
        queries.attach_query(self._connection, "events", "events/typed_events" if typed else "events/events")
        return self._consume(self._number)

    def _close(self, files: Sequence[FileLines]) -> Batch:
        batch = Batch(self._number, tuple(files))
        self._number += 1
        return batch


def _are_plain(inspections: Iterable[Inspection]) -> bool:
    return all(inspection.is_plain for inspection in inspections)


def _all_good(lines: int) -> LineCounts:
    return LineCounts(read=lines, good=lines, rejected=0, blank=0)
