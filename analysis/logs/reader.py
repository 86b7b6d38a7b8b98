"""Read event logs, ours and the original course service's: plain or gzipped, any size, any number.

`read` hands them over in batches: it calls `consume(number)` with the events of some logs attached
as the table `events` (columns in `sql/events/events.sql`). `consume` runs one statement over all of
that table, gives every distinct text of `experiments` to `canonical_assignments`, and returns how
many events there were.

DuckDB reads a log as types, while `files.count_lines` makes sure that no line is odd. A log with an
odd or bad line is read line by line (`lines`): good lines go to a clean file for DuckDB, bad ones
to the rejects. Then `consume` is called again with the same number; it must replace what it made of
the first call.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import msgspec

from analysis import queries
from analysis.logs.files import LogFile, count_lines, in_batches, kinds_of, snapshot
from analysis.logs.lines import (
    LARGEST_ID,
    IdKinds,
    LineCounts,
    OddLineError,
    Reject,
    canonical_assignments,
    split_lines,
)

BATCH_BYTES = 256 * 2**20
# The keys that DuckDB reads; further ones are ignored.
TYPES = (
    dict.fromkeys(("message", "experiments", "session", "recommender"), "VARCHAR")
    | dict.fromkeys(("timestamp", "user", "track", "recommendation"), "BIGINT")
    | dict.fromkeys(("time", "latency", "propensity"), "DOUBLE")
)

Consume = Callable[[int], int]


@dataclass(frozen=True)
class FileLines:
    """Counts of a log's lines, and its rejects."""

    file: LogFile
    lines: LineCounts
    # a file of `Reject`, one JSON a line, in the scratch folder; None without rejects
    rejects: Path | None


def load(
    connection: queries.Connection, files: Iterable[LogFile], *, scratch: Path
) -> list[FileLines]:
    """Make the events of logs readable as the table `events`; the scratch folder must live as long as the table."""
    folder = Path(tempfile.mkdtemp(prefix="events-", dir=scratch))

    def consume(number: int) -> int:
        part = folder / f"{number:06}.parquet"
        events = queries.copy_to_parquet(connection, "events/events", part)
        queries.attach_parquet(connection, "events", [part])
        for (text,) in (
            connection.table("events").select("experiments").distinct().fetchall()
        ):
            canonical_assignments(text or "{}")
        return events

    lines = [
        file
        for batch in read(connection, files, consume, scratch=scratch)
        for file in batch
    ]
    queries.attach_parquet(connection, "events", sorted(folder.iterdir()))
    return lines


def read(
    connection: queries.Connection,
    files: Iterable[LogFile],
    consume: Consume,
    *,
    scratch: Path,
    largest_track: int = LARGEST_ID,
    kinds: IdKinds | None = None,
) -> Iterator[list[FileLines]]:
    """Read logs, a batch of files at a time, as this module's docstring says.

    Args:
        connection: Has the table `events` for the time of each call of `consume`.
        files: The logs; an iterator is asked for the next one when it is its turn.
        consume: Takes the number of a batch, from 0, and returns the number of its events.
        scratch: A folder for temporary files and for rejects.
        largest_track: The catalogue's last id; a line with one beyond is rejected. `consume` must
            raise an `OddLineError` for such ids, too.
        kinds: Which ids are text; they become the numbers that stand for them in stores, and are in
            the table `text_values` while `consume` runs. None: as in the first log.

    Yields the logs of a batch, once their events are final. A DatabaseError says that `consume`
    failed for another reason than the lines, such as a full disk.
    """
    if kinds is None:
        files = [snapshot(file, scratch) for file in files]
        kinds = kinds_of(files)
    with ThreadPoolExecutor(max_workers=1) as inspector:
        reader = _Reader(connection, consume, scratch, largest_track, kinds, inspector)
        for _, alike in groupby(
            map(LogFile.check, files), key=lambda file: file.is_gzipped
        ):
            for group in in_batches(alike, lambda file: file.text_bytes, BATCH_BYTES):
                yield from reader.read_group(group)


def read_rejects(file: Path, limit: int) -> list[Reject]:
    """Return the first rejects of a file."""
    with file.open("rb") as lines:
        return [
            msgspec.json.decode(line, type=Reject)
            for line, _ in zip(lines, range(limit), strict=False)
        ]


@dataclass
class _Reader:
    """Reads logs, typed or exactly, and numbers the batches."""

    connection: queries.Connection
    consume: Consume
    scratch: Path
    largest_track: int
    kinds: IdKinds
    inspector: Executor
    number: int = 0

    def read_group(self, group: Sequence[LogFile]) -> Iterator[list[FileLines]]:
        """Read all logs at once if no line is odd; else each by itself."""
        if together := self._read_typed(group):
            yield together
            self.number += 1
            return
        for file in group:
            alone = self._read_typed([file]) if len(group) > 1 else None
            yield alone or [self._read_exactly(file)]
            self.number += 1

    def _read_typed(self, files: Sequence[LogFile]) -> list[FileLines] | None:
        """Read logs by DuckDB while their lines are counted; None if one is odd."""
        counts = [
            self.inspector.submit(count_lines, file, self.kinds) for file in files
        ]
        events = -1
        try:
            with suppress(*queries.DataErrors, OddLineError):
                events = self._consume_files(
                    [file.path for file in files], gzipped=files[0].is_gzipped
                )
        finally:  # a file that cannot be read has its own error, which says more than DuckDB's
            lines = [count.result() for count in counts]
        # An object ends with its line, or DuckDB's reader fails, and blank lines are skipped: as
        # many events as lines means that every line of every log is one.
        known = [count for count in lines if count is not None]
        if len(known) < len(files) or events != sum(known):
            return None
        return [
            FileLines(file, LineCounts(count, count, 0, 0), None)
            for file, count in zip(files, known, strict=True)
        ]

    def _read_exactly(self, file: LogFile) -> FileLines:
        clean = self.scratch / f"clean-{self.number:06}.jsonl"
        rejects = self.scratch / f"rejects-{self.number:06}.jsonl"
        try:
            with (
                file.open() as log,
                clean.open("wb") as good,
                rejects.open("wb") as bad,
            ):
                lines = split_lines(
                    log, file.name, good, bad, self.largest_track, self.kinds
                )
            events = self._consume_files([clean], gzipped=False)
        finally:
            clean.unlink(missing_ok=True)
        if events != lines.good:
            raise RuntimeError(
                f"{file.name}: {lines.good} good lines, of which DuckDB read {events}"
            )
        if not lines.rejected:
            rejects.unlink()
        return FileLines(file, lines, rejects if lines.rejected else None)

    def _consume_files(self, files: Sequence[Path], *, gzipped: bool) -> int:
        kinds = self.kinds
        types = TYPES | ({"user": "VARCHAR"} if kinds.users else {})
        types |= (
            dict.fromkeys(("track", "recommendation"), "VARCHAR")
            if kinds.tracks
            else {}
        )
        table = "text_values" if any(kinds) else "log_values"
        queries.attach_json_lines(self.connection, table, files, types, gzipped=gzipped)
        if any(kinds):
            text = {"text_users": kinds.users, "text_tracks": kinds.tracks}
            queries.attach_query(
                self.connection, "log_values", "events/numbered_values", **text
            )
        queries.attach_query(self.connection, "events", "events/events")
        return self.consume(self.number)
