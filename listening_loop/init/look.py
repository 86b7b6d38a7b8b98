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
    CSV,
    JSON_LINES,
    USUAL_DATES,
    attach_checked,
    decoded,
    find_tables,
    open_rows,
)
from listening_loop.init.guess import (
    ACTIONS,
    EVENT,
    NAMES,
    PLAYS,
    Column,
    date_forms,
    explain_unused,
    find,
    guess_roles,
    is_time_heard,
    is_value,
    recognize_rows,
)
from listening_loop.init.plan import EVENT_LOG, Guess
from recsys.ingest.presets import make_reading, recognize
from recsys.store.ids import decide_kinds

EXAMPLES = 3  # rows that are shown
_LOOKED_AT = 1_000_000  # rows
_DECODED = 16 * 2**20  # bytes from which the encoding is guessed
# All keys of JSON are read.
_NO_COLUMNS = Columns("@file", "@folder")
_GUESSED_FROM = 20_000  # rows of the first file
_LISTENED = 30.0  # seconds from which a play counts
_EVENT = {"message", "user", "track", "time"}  # fields of an event log
_UNREADABLE = "no row can be read; UTF-8, objects of JSON or Parquet are expected, as its name says"


@dataclass(frozen=True)
class FirstRows:
    """The first rows of a file, with all values as text."""

    connection: queries.Connection
    log: LogFile

    def attach(self, reading: Reading, **roles: str) -> list[str]:
        """Make them readable as a table, all columns or some by their roles.

        Returns:
            The names of all columns.
        """
        rows = open_rows(self.connection, {self.log.name: self.log}, reading)
        shown = [name for name in rows.columns if not name.startswith("(")]
        roles = roles or {name: name for name in shown}
        values = {role: queries.Column(name) for role, name in roles.items()}
        where = queries.Sql(reading.where or "true")
        first = rows.limit(_GUESSED_FROM).filter(where.cast("BOOLEAN"))
        queries.attach_columns("first_rows", first, values)
        return shown

    def profile(self, reading: Reading) -> tuple[list[str], list[Column]]:
        """Profile the values.

        Returns:
            The names of all columns, and the profiles of those with values.
        """
        names = self.attach(reading)
        rows = self.fetch("interactions/column_values", usual_dates=USUAL_DATES)
        profiles = {row["name"]: Column(**row) for row in rows}
        return names, [profiles[name] for name in names if name in profiles]

    def fetch(self, name: str, **values: object) -> list[dict[str, Any]]:
        """Run a SQL file on the table."""
        return list(queries.fetch_table(self.connection, name, **values).to_pylist())


def look_at(
    path: Path,
    columns: Mapping[str, str],
    preset: str | None = None,
    **options: Any,  # noqa: ANN401  values of several types
) -> Guess:
    """Guess the columns of a file, or of the files of a folder, from the first rows.

    Args:
        path: The file or folder.
        columns: The columns that the owner names, by role; the rest is guessed.
        preset: The name of the published data set, if it is known.
        options: Fields of a `Reading` that the owner decides, such as `where`.

    Raises:
        AnalysisError: A file cannot be read, or no column of listeners or tracks can be guessed.
    """
    logs = find_tables([path])
    log = logs[0]
    try:
        guess = _guess(logs, columns, preset, options)
    except queries.DatabaseError as error:
        reason = queries.one_line(error)
        raise AnalysisError(f"{log.name}: {_UNREADABLE} ({reason})") from None
    if guess.is_log:
        return guess
    if guess.rejected == guess.rows:
        why = guess.why or (
            f"none of {guess.left_out:,} rows is one with {guess.taken}; "
            "name the column of weights for all, as in --columns weight=seconds"
        )
        raise AnalysisError(f"{log.name}: no good row; {why}")
    if guess.listeners == 1:
        raise AnalysisError(
            f"{log.name}: all plays are of one listener, as user={guess.reading.columns.user} "
            "says; two are expected: name another column with --columns user=…, or put each "
            "listener's files into a folder of their own, user=@folder"
        )
    return guess


def _guess(
    logs: Sequence[LogFile],
    named: Mapping[str, str],
    preset: str | None,
    options: Mapping[str, Any],
) -> Guess:
    """Guess how tables are read from the first one, and read their first rows so."""
    # SQL may name any key of JSON, so all of them are there
    start = Reading(_NO_COLUMNS, where="true", encoding=_guess_encoding(logs[0]))
    reading = replace(start, **options)
    if preset:
        reading = make_reading(preset, None, options, logs[0].name) or start
    with (
        tempfile.TemporaryDirectory() as folder,
        decoded(logs[0], reading, Path(folder)) as log,
        queries.connect() as connection,
    ):
        first = FirstRows(connection, log)
        if not preset:
            reading = _find_format(first, reading, options)
        names, columns = first.profile(reading)
        if not (preset or named or options):
            preset = recognize(names) or recognize_rows(columns)
        if not preset:
            plan = _plan(first, logs, reading, named)
        else:
            reading = make_reading(preset, None, options, log.name) or reading
            names_by_role = {**reading.columns.by_role, **named}
            user = find("user", columns)
            if user and names_by_role["user"].startswith("@"):
                names_by_role["user"] = user.name
            reading = replace(reading, columns=columns_by_name(names_by_role))
            unused = explain_unused(names, columns, reading)
            plan = Guess(reading, names, preset, unused)
    if plan.is_log:
        return plan
    decided = {} if preset else {k: v for k, v in options.items() if k != "where"}
    reading = replace(plan.reading, **decided)  # the plan has the condition
    plan = _read(logs, replace(plan, reading=reading))
    roles = reading.columns
    if plan.titles > plan.tracks and not (preset or "item" in named):
        roles = replace(roles, item=f"{roles.artist}+{roles.item}")
        plan = _read(logs, replace(plan, reading=replace(reading, columns=roles)))
    return plan


def _guess_encoding(log: LogFile) -> str | None:
    """Guess how the text of a file is encoded; None is UTF-8, or no text."""
    if log.suffix not in (*CSV, *JSON_LINES):
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


def _find_format(
    first: FirstRows, reading: Reading, options: Mapping[str, Any]
) -> Reading:
    """Find the delimiter that is not detected, and whether the first line is a row."""
    names, columns = first.profile(reading)
    if len(names) == 1 and "::" in names[0]:
        reading = replace(reading, delimiter="::")
        names, columns = first.profile(reading)
    joined = "".join(names)
    if not (columns or "[]" in joined) or "\0" in joined:
        raise AnalysisError(f"{first.log.name}: {_UNREADABLE}")
    if (
        first.log.suffix in CSV
        and "header" not in options
        and any(map(is_value, names))
    ):
        return replace(reading, header=False)
    return reading


def _plan(
    first: FirstRows,
    logs: Sequence[LogFile],
    start: Reading,
    named: Mapping[str, str],
) -> Guess:
    """Plan how files are read by the first one, without figures of its rows."""
    reading = start
    names, columns = first.profile(reading)
    if not named and set(names) >= _EVENT:
        return Guess(EVENT_LOG, names)
    item = find("item", columns)
    lists = [name for name in names if "[]" in name]
    if lists and (item is None or item.name in lists):
        # an item of each list is a row
        listed = replace(_NO_COLUMNS, session="+".join(lists))
        reading = replace(reading, columns=listed)
        names, columns = first.profile(reading)
    where = None if start.where == "true" else start.where
    event: dict[str, str] = {}
    if not where and "event" not in named:
        where, event = _find_plays(first, reading, columns)
    if where:
        _, columns = first.profile(replace(reading, where=where))
    forms: dict[str, list[str]] = {}  # forms of dates, by column
    for form in date_forms(column for column in columns if not column.is_time):
        for row in first.fetch("interactions/date_forms", form=form):
            forms.setdefault(row["name"], []).append(form)
    columns = [
        replace(column, is_time=column.is_time or column.name in forms)
        for column in columns
    ]
    folders = {Path(file.name).parent for file in logs}
    place = "@folder" if len(folders) > 1 else "@file"
    # a folder of several tables has no listener in each
    last = replace(first, log=logs[-1])
    is_alike = (
        last.log.suffix not in CSV or reading.encoding or last.attach(reading) == names
    )
    roles = {"user": place} if len(logs) > 1 and is_alike else {}
    roles |= guess_roles(columns, {**event, **named}, has_names=reading.header)
    _check_roles(first.log, names, roles)
    date, _, clock = roles.get("timestamp", "").partition("+")
    time = " %H:%M:%S" if clock else ""
    dates = [form + time for form in forms.get(date, [])]
    weight = next((c for c in columns if c.name == roles.get("weight")), None)
    if weight and not {"weight", "played"} & {*named}:
        where = _add_condition(where, weight)
        if weight.is_rating:
            del roles["weight"]
    amounts = [c for c in columns if c.name in {roles.get(role) for role in AMOUNTS}]
    reading = replace(
        reading,
        columns=columns_by_name(roles),
        where=where,
        percent=any(
            c.name == roles.get("share") and (c.largest or 0) > 1 for c in amounts
        ),
        decimal=next((c.decimal for c in amounts if c.decimal), None),
        date_format=dates[0] if dates else None,
        weight_scale=weight.scale if weight else 1.0,
    )
    unused = explain_unused(names, columns, reading)
    other_dates = dates[1] if dates[1:] and not start.date_format else None
    return Guess(reading, names, unused=unused, other_dates=other_dates)


def _add_condition(where: str | None, weight: Column) -> str | None:
    """Add to an SQL condition that of rows that count, by a rating or the time heard."""
    if weight.is_rating:
        condition = f'CAST("{weight.name}" AS DOUBLE) >= {weight.liked_from:g}'
    elif is_time_heard(weight.name):
        least = f"{_LISTENED / weight.scale:g}"
        condition = f"TRY_CAST({weight.plain_number} AS DOUBLE) >= {least}"
    else:
        return where
    return f"({where}) AND {condition}" if where else condition


def _check_roles(log: LogFile, names: Sequence[str], roles: Mapping[str, str]) -> None:
    """Refuse a file of which no column is that of the listeners, or of the tracks."""
    if missing := [role for role in ("user", "item") if role not in roles]:
        guessed = ",".join(map("=".join, roles.items()))
        raise AnalysisError(
            f"{log.name}: which column is the {' and which the '.join(missing)}? Found are "
            f"{', '.join(names)[:200]}; say it with --columns {'=…,'.join(missing)}=…; an item "
            "may be of several, item=artist+track, and a user be the file or its folder, "
            "user=@file; where it is inside of a value, select it with --sql; "
            "of a folder of several tables, name the file of plays; "
            f"guessed so far: {guessed or 'nothing'}"
        )


def _find_plays(
    first: FirstRows, reading: Reading, columns: Sequence[Column]
) -> tuple[str | None, dict[str, str]]:
    """Find the rows that are plays, where a column has types of events.

    Returns:
        Their SQL condition, and the role of events by weight, where none is a play.
    """
    amounts = [find(role, columns, check=False) for role in ("played", "share")]
    amount = next(filter(None, amounts), None)
    event = find(EVENT, columns)
    if event is None:
        skipped = None if amount else find("skipped", columns)
        if skipped is None:
            return None, {}
        is_skip = f"lower(\"{skipped.name}\") IN ('true', '1', '1.0')"
        return f"({is_skip}) IS NOT TRUE", {}
    roles = {"kind": event.name, "amount": (amount or event).name}
    first.attach(reading, **roles)
    values = {"plays": NAMES[PLAYS], "has_amount": amount is not None}
    kinds = first.fetch("interactions/event_kinds", **values)
    if texts := [str(queries.Constant(row["kind"])) for row in kinds if row["is_play"]]:
        return f'"{event.name}" IN ({", ".join(texts)})', {}
    weights = {
        row["kind"]: ACTIONS[word]
        for row in kinds
        for word in ACTIONS
        if word in "".join(filter(str.isalpha, row["kind"].lower()))
    }
    if len(weights) < 2:
        return None, {}
    pairs = ",".join(f"{kind}={weight}" for kind, weight in weights.items())
    return None, {"event": f"{event.name}:{pairs}"}


def _read(logs: Sequence[LogFile], plan: Guess) -> Guess:
    """Read the first rows as an ingest does, and add their figures to a plan."""
    with tempfile.TemporaryDirectory() as folder, queries.connect() as connection:
        tables = attach_checked(
            connection, logs, plan.reading, Path(folder), _LOOKED_AT
        )
        left_out = sum(table.left_out for table in tables)
        figures = queries.fetch_table(connection, "interactions/first_rows")
        examples = queries.fetch_table(
            connection, "interactions/examples", rows=EXAMPLES
        ).to_pylist()
        decide_kinds(connection)
    (values,) = figures.to_pylist()
    return replace(plan, **values, left_out=left_out, examples=examples)
