"""Look at the first rows of files, write the query that reads them, and read them by it."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis import queries
from analysis.errors import AnalysisError
from analysis.plays.check import attach_checked
from analysis.plays.columns import ALIASES
from analysis.plays.draft import Draft
from analysis.plays.files import CSV, table_paths
from analysis.plays.query import PlaysQuery, quoted
from analysis.plays.source import Column, Sample, Source
from listening_loop.init.guess import (
    ACTIONS,
    EVENT,
    NAMES,
    PLAYS,
    SKIPPED,
    explain_unused,
    find,
    guess_roles,
    is_rating,
    liked_from,
    scale,
)
from recsys.ingest.presets import EVENT_LOG, preset_query, recognize
from recsys.store.ids import decide_kinds

EXAMPLES = 5  # rows that are shown
_LOOKED_AT = 1_000_000  # rows
_LISTENED = 30.0  # seconds from which a play counts
_LOGGED = ("listener", "track", "share", "played_at")  # columns of an event log
_REPEATS = 0.05  # share of the rows from which plays count as repeated


@dataclass(frozen=True)
class Guess:
    """A query of plays, how sure it is, and figures of its first rows."""

    query: PlaysQuery
    names: Sequence[str] = ()  # of all columns of the file
    preset: str | None = None  # the published data set that it is
    unused: Sequence[str] = ()  # columns, those that look of use with the reason
    questions: Sequence[str] = ()  # columns that could be two things
    columns: Sequence[str] = ()  # of the query
    left_out: int = 0  # rows for which the condition does not hold
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
    examples: Sequence[Mapping[str, Any]] = ()  # rows as they are stored

    @property
    def is_log(self) -> bool:
        """Whether it is an event log, whose rows are not looked at."""
        return self.preset == EVENT_LOG

    @property
    def has_share(self) -> bool:
        """Whether it says how much of a track was heard."""
        return "share" in self.columns

    @property
    def can_replay(self) -> bool:
        """Whether the newest plays can be told from older ones."""
        has_order = "position" in self.columns and not self.has_share
        return "played_at" in self.columns or has_order

    @property
    def has_sessions(self) -> bool:
        """Whether it has times, or positions."""
        return bool({"played_at", "position"} & {*self.columns})

    @property
    def is_ordered(self) -> bool:
        """Whether the plays of a listener have an order."""
        return self.has_sessions or self.has_share

    @property
    def repeated(self) -> float:
        """Share of the rows that repeat a pair."""
        return 1 - self.pairs / (self.rows - self.rejected) if self.pairs else 0.0

    @property
    def is_heard_again(self) -> bool:
        """Whether listeners repeat tracks, which is assumed of an event log."""
        return self.is_log or self.repeated >= _REPEATS

    def shown(self) -> str:
        """Write the examples, a line each."""
        return "\n".join(
            "  " + ", ".join(f"{name} {value}" for name, value in row.items() if value)
            for row in self.examples
        )


def look_at(
    path: Path,
    named: Mapping[str, str],
    preset: str | None = None,
    table: str | None = None,
    folder: Path = Path(),
) -> Guess:
    """Guess the query of a file, or of the files of a folder, from the first rows.

    Args:
        path: The file or folder, or a query, which is read as it is.
        named: Columns that the owner names, by the columns of the result; the rest is guessed.
        preset: The name of the published data set, if it is known.
        table: The table of a database that has several.
        folder: The folder of the query, to which its paths are relative.

    Raises:
        AnalysisError: A file cannot be read, or no column of listeners or tracks can be guessed.
    """
    roles = {ALIASES.get(role, role): column for role, column in named.items()}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if path.suffix == ".sql":
            guess = _read(Guess(PlaysQuery.read(path)), scratch)
        elif preset:
            query = preset_query(preset, [path], folder)
            guess = _read(Guess(query, preset=preset), scratch)
        else:
            names = table_paths([path], folder)
            sample = Sample(stack, [path], names, table, scratch)
            guess = _guess(sample, path, folder, roles, scratch)
    if not guess.is_log and guess.rejected == guess.rows:
        why = guess.why or f"the condition leaves out all {guess.left_out:,} rows"
        raise AnalysisError(f"{path}: no good row; {why}")
    if guess.listeners == 1:
        raise AnalysisError(
            f"{path}: all plays are of one listener, {guess.examples[0]['listener']}; two are "
            "expected: name another column with --columns listener=…, or put each listener's "
            "files into a folder of their own, --columns listener=@folder"
        )
    return guess


def _read(guess: Guess, scratch: Path) -> Guess:
    """Read the first rows as an ingest does, and add their figures to a guess."""
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        queries.connect() as connection,
    ):
        files = attach_checked(connection, guess.query, Path(folder), _LOOKED_AT)
        figures = queries.fetch_table(connection, "interactions/first_rows")
        examples = queries.fetch_table(
            connection, "interactions/examples", rows=EXAMPLES
        ).to_pylist()
        decide_kinds(connection, guess.query.name)
    (values,) = figures.to_pylist()
    left_out = sum(file.left_out for file in files)
    malformed = sum(len(file.malformed) for file in files)
    values["rows"] += malformed
    values["rejected"] += malformed
    return replace(
        guess, **values, columns=files[0].columns, left_out=left_out, examples=examples
    )


def _guess(
    sample: Sample, path: Path, folder: Path, named: Mapping[str, str], scratch: Path
) -> Guess:
    """Guess the query of files by the first one, and read their first rows so."""
    source = sample.profile(sample.source)
    names = [column.name for column in source.columns]
    preset = None if named else recognize(names, sample.first_line)
    if preset:
        query = preset_query(preset, [path], folder)
        if preset == EVENT_LOG:
            return Guess(query, names, preset, columns=_LOGGED)
        return _read(Guess(query, names, preset), scratch)
    draft = _draft(sample, source, named)
    columns = draft.source.columns
    used = {part for name in draft.roles.values() for part in name.split("+")}
    used |= {*draft.types}
    unused = explain_unused(columns, used, draft.roles)
    time = draft.source.column(draft.roles.get("played_at", "").partition("+")[0])
    forms = time.forms[:2] if time and not time.is_time else ()
    questions = [
        f"{time.name} {time.example} is a date of the form {' or '.join(forms)}"
        for _ in forms[1:]
        if time
    ]
    guess = Guess(
        PlaysQuery(draft.sql(), folder, str(path)), names, None, unused, questions
    )
    guess = _read(guess, scratch)
    if guess.titles > guess.tracks and "track" not in named:
        shared = guess.titles - guess.tracks
        draft.comments["track"] = f"{shared:,} share a name with another artist's"
        roles = {
            **draft.roles,
            "track": f"{draft.roles['artist']}+{draft.roles['track']}",
        }
        sql = replace(draft, roles=roles).sql()
        guess = _read(replace(guess, query=replace(guess.query, sql=sql)), scratch)
    return guess


def _draft(sample: Sample, source: Source, named: Mapping[str, str]) -> Draft:
    """Draft the query of files by the columns of the first one."""
    while not ("track" in named or find("track", _values(source))):
        deeper = sample.unnest(source)
        if deeper is source:
            break
        source = sample.profile(deeper)
    draft = Draft(source, {})
    roles = dict(named)
    where = _take_plays(sample, draft, roles)
    if where:
        draft.source = source = sample.profile(source, where)
    logs = sample.logs
    folders = {Path(file.name).parent for file in logs}
    place = "@folder" if len(folders) > 1 else "@file"
    # a folder of several tables has no listener in each
    alike = len(logs) > 1 and (sample.log.suffix not in CSV or sample.is_like(logs[-1]))
    has_names = "header" not in source.options
    guessed = guess_roles(_values(source), roles, has_names=has_names)
    roles = ({"listener": place} if alike else {}) | guessed
    missing = [role for role in ("listener", "track") if role not in roles]
    if missing:
        so_far = ",".join(map("=".join, roles.items()))
        raise AnalysisError(
            f"{sample.log.name}: which column is the {' and which the '.join(missing)}? Found are "
            f"{', '.join(column.name for column in source.columns)[:200]}; say it with --columns "
            f"{'=…,'.join(missing)}=…; a listener may be the file or its folder, listener=@file; "
            "of a folder of several tables, name the file of plays; what is inside of a value is "
            f"for a query of yours; guessed so far: {so_far or 'nothing'}; the first rows:\n"
            + sample.shown(source, EXAMPLES)
        )
    amount = source.column(roles.get("seconds") or roles.get("weight", ""))
    if amount and not {"seconds", "weight"} & named.keys():
        if is_rating(amount):
            condition = f"{draft.number(amount)} >= {liked_from(amount):g}"
            draft.conditions.append((condition, "liked"))
            del roles["weight"]
        elif "seconds" in roles:
            least = f"{_LISTENED / scale(amount):g}"
            condition = f"{draft.number(amount)} >= {least}"
            draft.conditions.append((condition, "shorter plays are left out"))
    if amount:
        draft.scales["seconds"] = scale(amount)
    draft.roles = roles
    return draft


def _values(source: Source) -> list[Column]:
    """List the columns that are no lists."""
    return [column for column in source.columns if not column.kind.endswith("[]")]


def _take_plays(sample: Sample, draft: Draft, roles: dict[str, str]) -> str | None:
    """Find the rows that are plays, where a column has types of events.

    Their condition, or the weights of events that are no plays, is added to the draft, and the
    column of weights to the roles.

    Returns:
        The SQL of the condition; None without.
    """
    columns = _values(draft.source)
    amounts = [find(role, columns, check=False) for role in ("played", "share")]
    amount = next(filter(None, amounts), None)
    event = find(EVENT, columns)
    if event is None:
        skipped = None if amount else find(SKIPPED, columns)
        if skipped is None:
            return None
        draft.types[skipped.name] = "VARCHAR"
        text = f"lower(CAST({skipped.sql} AS VARCHAR))"
        sql = f"({text} IN ('true', '1', '1.0')) IS NOT TRUE"
        draft.conditions.append((sql, "tracks that were not skipped"))
        return sql
    sample.attach(draft.source, {"kind": event, "amount": amount or event})
    values = {"plays": NAMES[PLAYS], "has_amount": amount is not None}
    kinds = sample.fetch("interactions/event_kinds", **values)
    weights: dict[str, float] = {}
    comment = "rows that are plays"
    taken = [row["kind"] for row in kinds if row["is_play"]]
    if not taken:
        weights = {
            row["kind"]: ACTIONS[word]
            for row in kinds
            for word in ACTIONS
            if word in "".join(filter(str.isalpha, row["kind"].lower()))
        }
        if len(weights) < 2 or {"weight", "seconds"} & roles.keys():
            return None
        roles["weight"] = event.name
        draft.weights = weights
        taken, comment = [*weights], "events that have a weight"
    draft.types[event.name] = "VARCHAR"
    sql = f"{event.sql} IN ({', '.join(map(quoted, taken))})"
    draft.conditions.append((sql, comment))
    return sql
