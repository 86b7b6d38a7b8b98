"""Look at the first rows of a file, and read them as an ingest would."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.files import LogFile
from analysis.tables.columns import Columns, Reading, columns_by_name
from analysis.tables.reader import check_file, find_tables, open_rows
from listening_loop.init.guess import EVENT, NAMES, PLAYS, Column, find, guess_roles
from recsys.ingest.pipeline import DEFAULT_MEMORY
from recsys.ingest.presets import make_reading

EXAMPLES = 3  # rows that are shown
_LOOKED_AT = 1_000_000  # rows
_GUESSED_FROM = 20_000  # rows of the first file
_REPEATS = 0.05  # share of the rows from which plays count as repeated
_EVENT = {"message", "user", "track", "time"}  # fields of an event log
_UNREADABLE = (
    "no row can be read; UTF-8 is expected, or JSON or Parquet as its name says"
)


@dataclass(frozen=True)
class Guess:
    """The columns of a file by what they seem to hold, and figures of its first rows."""

    reading: Reading | None  # None of an event log
    names: Sequence[str]  # of all columns
    # of `sql/interactions/first_rows.sql`
    rows: int = 0
    rejected: int = 0
    why: str | None = None
    median: float | None = None
    spread: float | None = None
    listeners: int = 0
    tracks: int = 0
    titles: int = 0  # of artist and track, distinct
    pairs: int = 0  # of listener and track, distinct
    examples: Sequence[Mapping[str, Any]] = ()  # rows as they are read

    @property
    def is_pair(self) -> bool:
        """Whether it is one of two files of a published split."""
        return self.reading is not None and self.reading.lists is not None

    @property
    def is_ordered(self) -> bool:
        """Whether the plays of a listener have an order."""
        if self.reading is None:
            return True
        columns = self.reading.columns
        return columns.has_share or bool(columns.timestamp or columns.position)

    @property
    def has_sessions(self) -> bool:
        """Whether it has times, or positions."""
        if self.reading is None or self.is_pair:
            return False
        columns = self.reading.columns
        return bool(columns.timestamp or columns.position)

    @property
    def can_replay(self) -> bool:
        """Whether the newest plays can be told from older ones."""
        if self.reading is None or self.is_pair:
            return False
        columns = self.reading.columns
        return bool(columns.timestamp) or columns.orders_by_position

    @property
    def repeated(self) -> float:
        """Share of the rows that repeat a pair."""
        return 1 - self.pairs / (self.rows - self.rejected) if self.pairs else 0.0

    @property
    def is_heard_again(self) -> bool:
        """Whether listeners repeat tracks, which is assumed of an event log."""
        return self.reading is None or self.repeated >= _REPEATS


def look_at(path: Path, columns: Mapping[str, str], preset: str | None = None) -> Guess:
    """Guess the columns of a file, or of the files of a folder, from the first rows.

    Args:
        path: The file or folder.
        columns: The columns that the owner names, by what they hold; the rest is guessed.
        preset: The published data set that it is, where it is one.

    Raises:
        AnalysisError: A file cannot be read, or no columns of listeners and tracks can be
            guessed.
    """
    logs = find_tables([path])
    log = logs[0]
    if not log.size_bytes:
        raise AnalysisError(f"{log.name}: empty; at least one row is expected")
    try:
        with queries.connect() as connection:
            reading = make_reading(preset, None, {})
            if reading:
                names: Sequence[str] = open_rows(connection, log, reading)[1]
            else:
                reading, names = _plan_reading(connection, log, columns)
        if reading is None:
            return Guess(None, names)
        guess = _read(logs, reading, names)
        roles = reading.columns
        if guess.titles > guess.tracks and "item" not in columns and not preset:
            roles = replace(roles, item=f"{roles.artist}+{roles.item}")
            guess = _read(logs, replace(reading, columns=roles), names)
        if guess.rejected == guess.rows:
            raise AnalysisError(f"{log.name}: no good row; {guess.why}")
        return guess
    except queries.DatabaseError as error:
        reason = queries.one_line(error)
        raise AnalysisError(f"{log.name}: {_UNREADABLE} ({reason})") from None


def _plan_reading(
    connection: queries.Connection, log: LogFile, named: Mapping[str, str]
) -> tuple[Reading | None, Sequence[str]]:
    """Plan how a file is read, None of an event log, and list the names of its columns."""
    reading = Reading(Columns("user", "item"), where="true")  # all keys of JSON
    names, columns = _profile(connection, log, reading)
    if len(names) == 1 and "::" in names[0]:
        reading = replace(reading, delimiter="::")
        names, columns = _profile(connection, log, reading)
    if any(name.replace(".", "", 1).isdigit() for name in names):  # a row of values
        reading = replace(reading, header=False)
        names, columns = _profile(connection, log, reading)
    if not columns or "\0" in "".join(names):
        raise AnalysisError(f"{log.name}: {_UNREADABLE}")
    if not named and set(names) >= _EVENT:
        return None, names
    where = _find_plays(connection, log, reading, columns)
    if where:
        plays = replace(reading, where=where)
        _, columns = _profile(connection, log, plays)
    roles = guess_roles(columns, named, has_names=reading.header)
    if missing := [role for role in ("user", "item") if role not in roles]:
        guessed = ",".join(map("=".join, roles.items()))
        raise AnalysisError(
            f"{log.name}: which column is the {' and which the '.join(missing)}? Found are "
            f"{', '.join(names)[:200]}; say it with --columns {'=…,'.join(missing)}=…; an item "
            f"may be of several, item=artist+track; guessed so far: {guessed or 'nothing'}"
        )
    largest = {column.name: column.largest or 0 for column in columns}
    percent = largest.get(roles.get("share", ""), 0) > 1
    columns_of = columns_by_name(roles)
    return replace(reading, columns=columns_of, where=where, percent=percent), names


def _attach_first(
    connection: queries.Connection, log: LogFile, reading: Reading, **roles: str
) -> list[str]:
    """Make the first rows of a file readable as text, all columns or some by their roles.

    Returns:
        The names of all columns.
    """
    rows, names = open_rows(connection, log, reading)
    columns = dict(zip(names, rows.columns, strict=True))
    shown = [name for name in names if not name.startswith("(")]
    roles = roles or {name: name for name in shown}
    values = {role: queries.Column(columns[name]) for role, name in roles.items()}
    first = rows.limit(_GUESSED_FROM)
    queries.attach_columns("first_rows", first, values, reading.where)
    return shown


def _profile(
    connection: queries.Connection, log: LogFile, reading: Reading
) -> tuple[list[str], list[Column]]:
    """Profile the values of the first rows.

    Returns:
        The names of all columns, and the profiles of those with values.
    """
    names = _attach_first(connection, log, reading)
    rows = queries.fetch_table(connection, "interactions/column_values").to_pylist()
    profiles = {row["name"]: Column(**row) for row in rows}
    return names, [profiles[name] for name in names if name in profiles]


def _find_plays(
    connection: queries.Connection,
    log: LogFile,
    reading: Reading,
    columns: Sequence[Column],
) -> str | None:
    """Write the SQL condition of the rows that are plays, where a column has types of events."""
    event = find(EVENT, columns)
    if event is None:
        return None
    amounts = [find(role, columns, check=False) for role in ("played", "share")]
    amount = next(filter(None, amounts), None)
    roles = {"kind": event.name, "amount": (amount or event).name}
    _attach_first(connection, log, reading, **roles)
    values = {"plays": NAMES[PLAYS], "has_amount": amount is not None}
    kinds = queries.fetch_table(connection, "interactions/event_kinds", **values)
    texts = ", ".join(kinds["kind"].to_pylist())
    return f'"{event.name}" IN ({texts})' if texts else None


def _read(logs: Sequence[LogFile], reading: Reading, names: Sequence[str]) -> Guess:
    """Read the first rows as an ingest does, and compute their figures."""
    with tempfile.TemporaryDirectory() as folder, queries.connect() as connection:
        files: list[Path] = []
        left = _LOOKED_AT
        for log in logs:
            file = Path(folder, f"{len(files)}.parquet")
            rows, _ = check_file(log, reading, log.name, file, DEFAULT_MEMORY, left)
            files.append(file)
            left -= rows
            if left <= 0:
                break
        queries.attach_parquet(connection, "checked", files)
        figures = queries.fetch_table(connection, "interactions/first_rows")
        examples = queries.fetch_table(
            connection, "interactions/examples", rows=EXAMPLES
        ).to_pylist()
    return Guess(reading, names, **figures.to_pylist()[0], examples=examples)
