"""Look at the first rows of a file, and read them as an ingest would."""

import codecs
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.files import LogFile
from analysis.tables.columns import Columns, Reading, columns_by_name
from analysis.tables.reader import (
    AMOUNTS,
    PARQUET,
    check_file,
    decoded,
    find_tables,
    open_rows,
)
from listening_loop.init.guess import (
    EVENT,
    NAMES,
    PLAYS,
    Column,
    date_forms,
    find,
    guess_roles,
    is_time_heard,
)
from recsys.ingest.pipeline import DEFAULT_MEMORY
from recsys.ingest.presets import make_reading, recognize

EXAMPLES = 3  # rows that are shown
_LOOKED_AT = 1_000_000  # rows
_DECODED = 16 * 2**20  # bytes from which the encoding is guessed
_UNKNOWN = Columns("user", "item")
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
    preset: str | None = None  # the published data set that it is
    other_dates: str | None = None  # a further form in which its times can be read
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
    def has_seconds(self) -> bool:
        """Whether the weights are the time that was heard."""
        weight = self.reading.columns.weight if self.reading else None
        return weight is not None and is_time_heard(weight)

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


def look_at(
    path: Path,
    columns: Mapping[str, str],
    preset: str | None = None,
    **options: Any,  # noqa: ANN401  values of several types
) -> Guess:
    """Guess the columns of a file, or of the files of a folder, from the first rows.

    Args:
        path: The file or folder.
        columns: The columns that the owner names, by what they hold; the rest is guessed.
        preset: The published data set that it is, where it is one.
        options: Fields of a `Reading` that the owner decides, such as `where`.

    Raises:
        AnalysisError: A file cannot be read, or no columns of listeners and tracks can be
            guessed.
    """
    logs = find_tables([path])
    log = logs[0]
    if not log.size_bytes:
        raise AnalysisError(f"{log.name}: empty; at least one row is expected")
    try:
        guess = _guess(logs, columns, preset, options)
    except queries.DatabaseError as error:
        reason = queries.one_line(error)
        raise AnalysisError(f"{log.name}: {_UNREADABLE} ({reason})") from None
    if guess.reading and guess.rejected == guess.rows:
        raise AnalysisError(f"{log.name}: no good row; {guess.why}")
    return guess


def _guess(
    logs: Sequence[LogFile],
    named: Mapping[str, str],
    preset: str | None,
    options: Mapping[str, Any],
) -> Guess:
    """Guess how tables are read from the first one, and read their first rows so."""
    # SQL may name any key of JSON, so all of them are there
    start = Reading(_UNKNOWN, where="true", encoding=_guess_encoding(logs[0]))
    start = replace(start, **options)
    with (
        tempfile.TemporaryDirectory() as folder,
        decoded(logs[0], start, Path(folder)) as log,
        queries.connect() as connection,
    ):
        reading = make_reading(preset, None, options) if preset else None
        names = open_rows(connection, log, reading or start)[1]
        if not (preset or named or options) and (preset := recognize(names)):
            reading = make_reading(preset, None, {})
        if reading:
            return replace(_read(logs, reading, names), preset=preset)
        folders = {Path(log.name).parent for log in logs}
        places = {"user": "@folder"} if len(folders) > 1 else {}
        plan = _plan(connection, log, start, named, places)
    if plan.reading is None:
        return plan
    decided = {name: value for name, value in options.items() if name != "where"}
    reading = replace(plan.reading, **decided)  # the plan has the condition
    guess = _read(logs, reading, plan.names)
    roles = reading.columns
    if guess.titles > guess.tracks and "item" not in named:
        roles = replace(roles, item=f"{roles.artist}+{roles.item}")
        guess = _read(logs, replace(reading, columns=roles), plan.names)
    other_dates = None if "date_format" in options else plan.other_dates
    return replace(guess, other_dates=other_dates)


def _guess_encoding(log: LogFile) -> str | None:
    """Guess how the text of a file is encoded; None is UTF-8, or no text."""
    if log.suffix in PARQUET:
        return None
    with log.open() as file:
        first = file.read(_DECODED)
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(first)
    except UnicodeDecodeError:
        return "cp1252"
    return None


def _plan(
    connection: queries.Connection,
    log: LogFile,
    start: Reading,
    named: Mapping[str, str],
    places: Mapping[str, str],
) -> Guess:
    """Plan how a file is read, without figures of its rows.

    `places` says what is taken from the path where no column has it.
    """
    reading = start
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
        return Guess(None, names)
    where = None if start.where == "true" else start.where
    where = where or _find_plays(connection, log, reading, columns)
    if where:
        plays = replace(reading, where=where)
        _, columns = _profile(connection, log, plays)
    forms = _find_date_forms(connection, columns)
    columns = [
        replace(column, is_time=column.is_time or column.name in forms)
        for column in columns
    ]
    roles = {**places, **guess_roles(columns, named, has_names=reading.header)}
    _check_roles(log, names, roles)
    date_forms = forms.get(roles.get("timestamp", ""), [])
    weight = next((c for c in columns if c.name == roles.get("weight")), None)
    if weight and weight.is_rating and "weight" not in named:
        del roles["weight"]
        liked = f'CAST("{weight.name}" AS DOUBLE) >= {weight.liked_from:g}'
        where = f"({where}) AND {liked}" if where else liked
    amounts = [c for c in columns if c.name in {roles.get(role) for role in AMOUNTS}]
    reading = replace(
        reading,
        columns=columns_by_name(roles),
        where=where,
        percent=any(
            c.name == roles.get("share") and (c.largest or 0) > 1 for c in amounts
        ),
        decimal=next((c.decimal for c in amounts if c.decimal), None),
        date_format=date_forms[0] if date_forms else None,
        weight_scale=weight.scale if weight else 1.0,
    )
    other_dates = date_forms[1] if date_forms[1:] else None
    return Guess(reading, names, other_dates=other_dates)


def _check_roles(log: LogFile, names: Sequence[str], roles: Mapping[str, str]) -> None:
    """Refuse a file of which no column is that of the listeners, or of the tracks."""
    if missing := [role for role in ("user", "item") if role not in roles]:
        guessed = ",".join(map("=".join, roles.items()))
        raise AnalysisError(
            f"{log.name}: which column is the {' and which the '.join(missing)}? Found are "
            f"{', '.join(names)[:200]}; say it with --columns {'=…,'.join(missing)}=…; an item "
            "may be of several, item=artist+track, and a user be the file or its folder, "
            f"user=@file; guessed so far: {guessed or 'nothing'}"
        )


def _find_date_forms(
    connection: queries.Connection, columns: Sequence[Column]
) -> dict[str, list[str]]:
    """Find the forms of dates in which the values of columns are written, by their names."""
    forms: dict[str, list[str]] = {}
    unread = [column for column in columns if not column.is_time]
    for form in date_forms(unread):
        fitting = queries.fetch_table(connection, "interactions/date_forms", form=form)
        for name in fitting["name"].to_pylist():
            forms.setdefault(name, []).append(form)
    return forms


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
