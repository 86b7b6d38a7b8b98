"""Read event logs, ours and the original course service's: plain or gzipped, any size, any number.

DuckDB reads the lines of a log. Lines with a value that is missing or not allowed, or with a key
that may be there twice, go to `lines.parse_line`, which returns the event or the reason.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import compress, islice, pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.field_types import (
    EVENT_SCHEMA,
    LARGEST_ID,
    NUMBERS,
    TRACK_KEYS,
    Id,
    IdKinds,
    TextId,
    database_types,
    event_condition,
    integers,
)
from analysis.logs.files import LogFile
from analysis.logs.lines import (
    BYTE_ORDER_MARK,
    KEPT_OF_A_REJECT,
    LineCounts,
    Reject,
    canonical_arms,
    event_row,
    parse_line,
    repeated_key,
)
from analysis.store import number_of
from looplib.arrays import column_values

_ROWS_AT_ONCE = 100_000
_ALL_ROWS = 2**62
_LINES_LOOKED_AT = 100
_LONGEST_LOOKED_AT = 2**20
_TEXT_IDS = pa.schema(
    {
        "user": pa.string(),
        "user_number": pa.int64(),
        "track": pa.string(),
        "track_number": pa.int64(),
        "reason": pa.string(),
    }
)
_cached_number = lru_cache(maxsize=2**17)(number_of)
_cached_canonical = lru_cache(maxsize=2**10)(canonical_arms)


class _Ids(msgspec.Struct):
    user: Id | TextId
    track: Id | TextId


_decode_ids = msgspec.json.Decoder(_Ids).decode


@dataclass(frozen=True)
class ReadLines:
    """The events and rejects of some lines of a log."""

    file: LogFile
    # columns of `EVENT_SCHEMA`, or some, in the order of the lines; text ids became numbers
    events: pa.Table
    text_ids: pa.Table  # and their numbers, as in `sql/interactions/verified_rows.sql`
    rejects: list[Reject]

    @property
    def lines(self) -> LineCounts:
        """How many lines there are."""
        good = len(self.events)
        rejected = len(self.rejects)
        return LineCounts(good + rejected, good, rejected)


def read(
    batches: Iterable[Sequence[LogFile]],
    kinds: IdKinds = NUMBERS,
    largest_track: int = LARGEST_ID,
    fields: Sequence[str] = EVENT_SCHEMA.names,
) -> Iterator[ReadLines]:
    """Read logs.

    Args:
        batches: Logs that are read together, as `sources.NewFiles` yields them: unpacked and
            checked. An iterator is asked for the next batch when it is its turn.
        kinds: Which ids are text; they become the numbers that stand for them in stores.
        largest_track: The catalogue's last id; a line with a larger id is rejected.
        fields: Fields to return; the others are checked alone.

    Yields:
        The events and rejects of some lines, in the order of the files and the lines.

    Raises:
        AnalysisError: A log cannot be read.
    """
    with queries.connect() as connection:
        for files in batches:
            yield from _read_files(connection, files, kinds, largest_track, fields)


def ahead(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield tables, while a thread computes the next."""
    iterator = iter(tables)
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(next, iterator, None)
        while (table := upcoming.result()) is not None:
            upcoming = pool.submit(next, iterator, None)
            yield table


def gather(
    tables: Iterable[pa.Table], rows: int, schema: pa.Schema = EVENT_SCHEMA
) -> Iterator[pa.Table]:
    """Join consecutive tables until they have at least `rows` rows, or no table is left.

    If there are no rows, the only table is empty.
    """
    gathered = [pa.Table.from_batches([], schema)]
    for table in tables:
        gathered.append(table)
        if sum(len(part) for part in gathered) >= rows:
            yield pa.concat_tables(gathered)
            gathered = []
    if gathered:
        yield pa.concat_tables(gathered)


def kinds_of(files: Iterable[LogFile]) -> IdKinds:
    """Detect the kinds of ids of some logs by most lines of the first log that has events."""
    for file in files:
        counts: Counter[IdKinds] = Counter()
        with file.open() as text:
            for _ in range(_LINES_LOOKED_AT):
                line = text.readline(_LONGEST_LOOKED_AT).removeprefix(BYTE_ORDER_MARK)
                with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    ids = _decode_ids(line)
                    kinds = IdKinds(type(ids.user) is str, type(ids.track) is str)
                    counts[kinds] += 1
        if counts:
            return counts.most_common(1)[0][0]
    return NUMBERS


def read_rejects(file: Path) -> list[Reject]:
    """Return the rejects of a file that an ingest wrote.

    Raises:
        AnalysisError: It is damaged.
    """
    with file.open("rb") as lines:
        try:
            return [msgspec.json.decode(line, type=Reject) for line in lines]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise AnalysisError(
                f"{file}: damaged ({error}); restore it, or delete it to read on without it"
            ) from None


def _read_files(
    connection: queries.Connection,
    files: Sequence[LogFile],
    kinds: IdKinds,
    largest_track: int,
    fields: Sequence[str],
) -> Iterator[ReadLines]:
    read_rows = partial(_read_rows, connection, files, kinds, largest_track, fields)
    done = 0
    names = dict.fromkeys([files[0].name, files[-1].name])
    problem = f"{' … '.join(names)}: cannot be read"
    with queries.naming(problem, queries.DatabaseError):
        try:
            for chunk in read_rows():
                yield chunk
                done += chunk.lines.read
        except queries.DatabaseError:  # a line is not sound
            yield from read_rows(done)


def _read_rows(
    connection: queries.Connection,
    files: Sequence[LogFile],
    kinds: IdKinds,
    largest_track: int,
    fields: Sequence[str],
    done: int | None = None,
) -> Iterator[ReadLines]:
    """Read lines in bulk if all are sound, else after the first `done` lines."""
    types = database_types(kinds)
    condition = event_condition(kinds, largest_track)
    is_sound = done is None
    log = queries.open_log(
        connection,
        [file.path for file in files],
        types,
        condition,
        skip_errors=not is_sound,
    )
    log = log.select(*map(queries.Column, (*fields, "is_event", "file_index")))
    if done:
        log = log.limit(_ALL_ROWS, done)
    lines = islice(_filled_lines(files), done, None)
    passed = 0
    for batch in queries.batches(log, _ROWS_AT_ONCE):
        rows = _canonical(pa.Table.from_batches([batch]))
        numbers = column_values(rows["file_index"])
        starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(rows)]
        for start, end in pairwise(starts):
            part = rows.slice(start, end - start)
            file = files[numbers[start]]
            is_event = column_values(part["is_event"].cast("int8")) > 0
            passed += len(part)
            refused: list[tuple[int, bytes]] = []
            if not (is_sound and is_event.all()):
                part_lines = list(islice(lines, passed - len(part), passed))
                passed = 0
                if not is_sound:
                    is_event &= [repeated_key(line) is None for _, line in part_lines]
                refused = list(compress(part_lines, ~is_event))
            events = part.select(fields)
            read, rejects = _parse(
                file, events, is_event, refused, kinds, largest_track
            )
            yield ReadLines(file, *_number_ids(read, kinds), rejects)


def _filled_lines(files: Iterable[LogFile]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of files that are not blank, with their numbers from 1."""
    for file in files:
        with file.open() as text:
            for number, line in enumerate(text, start=1):
                content = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
                if content.strip():
                    yield number, content


def _canonical(rows: pa.Table) -> pa.Table:
    """Return rows with experiments as canonical JSON; a row that has refused is no event."""
    logged = rows["experiments"].combine_chunks()
    encoded = logged.dictionary_encode()
    canonical = pa.lib.StringBuilder()  # `pa.array` imports pandas, for a second
    canonical.append_values(map(_cached_canonical, encoded.dictionary.to_pylist()))
    arms = canonical.finish().take(encoded.indices)
    is_sound = pc.equal(pc.is_null(arms), pc.is_null(logged))
    rows = _with_column(rows, "experiments", arms)
    return _with_column(rows, "is_event", pc.and_(rows["is_event"], is_sound))


def _parse(
    file: LogFile,
    events: pa.Table,
    is_event: npt.NDArray[np.bool_],
    refused: Sequence[tuple[int, bytes]],
    kinds: IdKinds,
    largest_track: int,
) -> tuple[pa.Table, list[Reject]]:
    """Return the events of rows, and of the refused lines among them, and the rejects."""
    if not refused:
        return events, []
    positions = np.flatnonzero(is_event).tolist()
    parsed: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    for position, (number, line) in zip(
        np.flatnonzero(~is_event).tolist(), refused, strict=True
    ):
        content = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            event = parse_line(content, largest_track, kinds)
        except ValueError as error:
            text = content[:KEPT_OF_A_REJECT].decode(errors="backslashreplace")
            reject = Reject(file.name, number, str(error), len(content), text)
            rejects.append(reject)
        else:
            parsed.append(event_row(event))
            positions.append(position)
    events = events.filter(pa.array(is_event))
    if parsed:
        events = pa.concat_tables([events, pa.Table.from_pylist(parsed, events.schema)])
        events = events.take(np.argsort(positions))
    return events, rejects


def _number_ids(events: pa.Table, kinds: IdKinds) -> tuple[pa.Table, pa.Table]:
    """Return events with the numbers that stand for text ids, and these ids."""
    text_ids = [pa.Table.from_batches([], _TEXT_IDS)]
    columns = {"user": "user"} if kinds.users else {}
    if kinds.tracks:
        columns |= dict.fromkeys(TRACK_KEYS, "track")
    for key, column in columns.items():
        encoded = events[key].combine_chunks().dictionary_encode()
        texts = encoded.dictionary
        numbers = integers(
            np.array([*map(_cached_number, texts.to_pylist())], np.int64)
        )
        events = _with_column(events, key, numbers.take(encoded.indices))
        text_ids.append(pa.table({column: texts, f"{column}_number": numbers}))
    return events, pa.concat_tables(text_ids, promote_options="default")


def _with_column(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), name, values)
