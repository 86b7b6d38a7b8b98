"""Read event logs, ours and the original course service's: plain or gzipped, any size, any number.

`read` cuts logs into chunks of whole lines and returns what each of them is, in order. A line is
parsed once: DuckDB parses the usual ones (`usual`), and `lines.parse_line` the others, of which it
returns an event or says what is wrong.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.logs.fields import (
    EVENT_SCHEMA,
    LARGEST_ID,
    NUMBERS,
    TRACK_KEYS,
    USER_KEYS,
    IdKinds,
    keep_allowed,
)
from analysis.logs.files import LogFile, snapshot
from analysis.logs.lines import (
    BYTE_ORDER_MARK,
    LONGEST_LINE,
    TORN,
    LineCounts,
    Reject,
    canonical_experiments,
    event_row,
    id_kinds,
    is_json,
    make_reject,
    parse_line,
)
from analysis.logs.usual import read_usual
from analysis.store import number_of
from looplib.arrays import IntArray

T = TypeVar("T")
S = TypeVar("S")

CHUNK_BYTES = 8 * 2**20
ROWS_OF_A_FILE = 1_000_000
_MOST_WORKERS = 4
_LINES_LOOKED_AT = 100
_cached_number = lru_cache(maxsize=2**17)(number_of)
_cached_canonical = lru_cache(maxsize=2**10)(canonical_experiments)


@dataclass(frozen=True)
class LogChunk:
    """Whole lines of a log."""

    file: LogFile
    first: int  # number of the first line, from 1
    content: bytes
    left_out: int = 0  # bytes at the end of the last line, which is too long
    is_whole: bool = True  # whether a line end follows the last line


@dataclass(frozen=True)
class ReadLines:
    """What some lines of a log are."""

    file: LogFile
    # columns of `EVENT_SCHEMA`, in the order of the lines; text ids became numbers
    events: pa.Table
    lines: LineCounts
    rejects: list[Reject]
    text_ids: pa.Table  # the distinct ones: user, track


def read(
    files: Iterable[LogFile],
    kinds: IdKinds = NUMBERS,
    largest_track: int = LARGEST_ID,
) -> Iterator[ReadLines]:
    """Read logs.

    Args:
        files: The logs; an iterator is asked for the next one when it is its turn.
        kinds: Which ids are text; they become the numbers that stand for them in stores.
        largest_track: The catalogue's last id; a line with one beyond is rejected.

    Yields:
        What the lines of each chunk are, in the order of the files and the lines.

    Raises:
        EventLogError: A log cannot be read.
    """
    workers = min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
    with (
        queries.connect(threads=1) as database,
        ThreadPoolExecutor(workers) as pool,
    ):

        def parse(chunk: LogChunk) -> ReadLines:
            with database.cursor() as connection:
                return _parse_chunk(connection, chunk, kinds, largest_track)

        chunks = (chunk for file in files for chunk in _cut(file.check()))
        yield from _map_in_order(pool, parse, chunks, workers)


def write_events(files: Iterable[LogFile], folder: Path) -> list[Path]:
    """Write the events of logs to Parquet files in a folder, and return these."""
    copies = [snapshot(file, folder) for file in files]
    written: list[Path] = []
    tables = (chunk.events for chunk in read(copies, kinds_of(copies)))
    for table in gather(tables, ROWS_OF_A_FILE):
        written.append(folder / f"events-{len(written):06}.parquet")
        pq.write_table(table, written[-1])
    return written


def gather(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Join consecutive tables until there are at least so many rows, or no more tables.

    There is at least one, which may be empty.
    """
    gathered = [EVENT_SCHEMA.empty_table()]
    for table in tables:
        gathered.append(table)
        if sum(len(part) for part in gathered) >= rows:
            yield pa.concat_tables(gathered)
            gathered = []
    if gathered:
        yield pa.concat_tables(gathered)


def kinds_of(files: Iterable[LogFile]) -> IdKinds:
    """Return which ids of some logs are text, by the first log that has events."""
    for file in files:
        with file.open() as text:
            lines = (text.readline(LONGEST_LINE) for _ in range(_LINES_LOOKED_AT))
            kinds = id_kinds(lines)
        if kinds is not None:
            return kinds
    return NUMBERS


def read_rejects(file: Path, limit: int) -> list[Reject]:
    """Return the first rejects of a file."""
    with file.open("rb") as lines:
        first = islice(lines, limit)
        return [msgspec.json.decode(line, type=Reject) for line in first]


def _cut(file: LogFile) -> Iterator[LogChunk]:
    """Cut a log into chunks of whole lines; of a line that is too long comes the start."""
    first = 1
    with file.open() as text:
        while content := text.read(CHUNK_BYTES):
            content += text.readline(LONGEST_LINE + 2)
            is_whole, left_out = content.endswith(b"\n"), 0
            if not is_whole:
                is_whole, left_out = _skip_line(text)
            if first == 1:
                content = content.removeprefix(BYTE_ORDER_MARK)
            yield LogChunk(file, first, content, left_out, is_whole)
            first += content.count(b"\n") + (not content.endswith(b"\n"))


def _skip_line(text: IO[bytes]) -> tuple[bool, int]:
    """Read to the end of a line; return whether there is one, and the bytes before it."""
    skipped = 0
    while rest := text.readline(CHUNK_BYTES):
        skipped += len(rest)
        if rest.endswith(b"\n"):
            return True, skipped - 1
    return False, skipped


def _parse_chunk(
    connection: queries.Connection,
    chunk: LogChunk,
    kinds: IdKinds,
    largest_track: int,
) -> ReadLines:
    starts = _line_starts(chunk.content)
    usual = read_usual(connection, chunk.content, starts, kinds)
    usual = _canonical(keep_allowed(usual, kinds, largest_track))
    is_other = np.ones(len(starts) - 1, dtype=bool)
    is_other[usual["position"].to_numpy()] = False
    rows: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    blank = 0
    for position in np.flatnonzero(is_other).tolist():
        line = chunk.content[starts[position] : starts[position + 1]]
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if not line.strip():
            blank += 1
            continue
        is_last = position == len(is_other) - 1
        size = len(line) + (chunk.left_out if is_last else 0)
        try:
            if size > LONGEST_LINE:
                raise ValueError(f"{size} bytes long; a line may have {LONGEST_LINE}")
            event = parse_line(line, largest_track, kinds)
        except ValueError as error:
            is_torn = is_last and not chunk.is_whole and not is_json(line)
            reason = TORN if is_torn else str(error)
            number = chunk.first + position
            rejects.append(make_reject(chunk.file.name, number, reason, line, size))
        else:
            rows.append(event_row(event) | {"position": position})
    events = usual
    if rows:
        others = pa.Table.from_pylist(rows, usual.schema)
        events = pa.concat_tables([usual, others]).sort_by("position")
    counts = LineCounts(len(is_other), len(events), len(rejects), blank)
    events, text_ids = _number_ids(events.drop_columns("position"), kinds)
    return ReadLines(chunk.file, events, counts, rejects, text_ids)


def _line_starts(content: bytes) -> IntArray:
    """Return where each line starts, and where the last one ends."""
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == ord("\n")) + 1
    starts = np.concatenate([[0], ends])
    if content and not content.endswith(b"\n"):
        starts = np.append(starts, len(content))
    return starts


def _canonical(events: pa.Table) -> pa.Table:
    """Return events with experiments as canonical JSON."""
    encoded = events["experiments"].combine_chunks().dictionary_encode()
    texts = [_cached_canonical(text) for text in encoded.dictionary.to_pylist()]
    if texts == encoded.dictionary.to_pylist():
        return events
    canonical = pa.array(texts, pa.string()).take(encoded.indices)
    position = events.schema.get_field_index("experiments")
    return events.set_column(position, "experiments", canonical)


def _number_ids(events: pa.Table, kinds: IdKinds) -> tuple[pa.Table, pa.Table]:
    """Return events with the numbers that stand for text ids, and these ids."""
    users: list[str] = []
    tracks: list[str] = []
    of_users = [(key, users) for key in USER_KEYS if kinds.users]
    of_tracks = [(key, tracks) for key in TRACK_KEYS if kinds.tracks]
    for key, texts in of_users + of_tracks:
        encoded = events[key].combine_chunks().dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        numbers = pa.array(map(_cached_number, distinct), pa.int64())
        position = events.schema.get_field_index(key)
        events = events.set_column(position, key, numbers.take(encoded.indices))
        texts += distinct
    return events, pa.table(_as_columns(user=users, track=tracks))


def _as_columns(user: list[str], track: list[str]) -> dict[str, pa.Array]:
    """Return lists one below the other, as columns with nulls for each other's rows."""
    return {
        "user": pa.array([*user, *[None] * len(track)], pa.string()),
        "track": pa.array([*[None] * len(user), *track], pa.string()),
        "reason": pa.nulls(len(user) + len(track), pa.string()),
    }


def _map_in_order(
    pool: ThreadPoolExecutor,
    function: Callable[[S], T],
    items: Iterable[S],
    ahead: int,
) -> Iterator[T]:
    """Yield what a function returns of each item, in order, some of them computed ahead."""
    waiting: deque[Future[T]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
