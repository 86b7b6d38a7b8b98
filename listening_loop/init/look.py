"""Look at the first rows of files, write the query that reads them, and read them by it."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from analysis import queries
from analysis.errors import AnalysisError
from analysis.plays.check import attach_checked
from analysis.plays.columns import ALIASES, stored_columns
from analysis.plays.query import PlaysQuery
from analysis.plays.source import FirstRows
from listening_loop.init.features import propose_features
from listening_loop.init.guess import draft_query
from recsys.ingest.presets import EVENT_LOG, preset_query, recognize
from recsys.store.ids import decide_kinds

EXAMPLES = 5  # rows that are shown
_LOOKED_AT = 1_000_000  # rows
_LOGGED = ("listener", "track", "share", "played_at")  # columns of an event log
_REPEATS = 0.05  # share of the rows from which plays count as repeated


@dataclass(frozen=True)
class Guess:
    """A query of plays, how sure it is, and figures of its first rows."""

    query: PlaysQuery
    preset: str | None = None  # the published data set that it is
    unused: Sequence[str] = ()  # columns
    questions: Sequence[str] = ()  # columns that could be two things
    features: Mapping[str, str] = field(default_factory=dict)  # kinds by name
    catalogue: str = ""  # the query of the tracks with these, if there are any
    columns: Sequence[str] = _LOGGED  # of the query
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
    examples: Sequence[
        Mapping[str, Any]
    ] = ()  # rows as they are stored, or as they stand there

    @property
    def is_log(self) -> bool:
        """Whether it is an event log, whose rows are not looked at."""
        return self.preset == EVENT_LOG

    @property
    def has_share(self) -> bool:
        """Whether it says how much of a track was heard."""
        return "share" in self.columns

    @property
    def has_times(self) -> bool:
        """Whether a store of it has times, or positions in their place."""
        return not {"timestamp", "position"}.isdisjoint(stored_columns(self.columns))

    @property
    def is_ordered(self) -> bool:
        """Whether the plays of a listener have an order."""
        return self.has_times or self.has_share

    @property
    def repeated(self) -> float:
        """Share of the rows that repeat a pair."""
        return 1 - self.pairs / (self.rows - self.rejected) if self.pairs else 0.0

    @property
    def is_heard_again(self) -> bool:
        """Whether listeners repeat tracks, which is assumed of an event log."""
        return self.is_log or self.repeated >= _REPEATS


def show(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write rows as texts."""
    return [
        ", ".join(f"{name} {value}" for name, value in row.items() if value)
        for row in rows
    ]


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
            guess = Guess(PlaysQuery.read(path))
        elif preset:
            guess = Guess(preset_query(preset, [path], folder), preset)
        else:
            rows = FirstRows(stack, [path], table, folder, scratch)
            guess = _guess(rows, path, folder, roles)
        if guess.questions or guess.is_log:
            return guess
        guess = _read(guess, scratch)
    if guess.rejected == guess.rows:
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
        parts = attach_checked(connection, guess.query, Path(folder), _LOOKED_AT)
        figures = queries.fetch_table(connection, "interactions/first_rows")
        examples = queries.fetch_table(
            connection, "interactions/examples", rows=EXAMPLES
        ).to_pylist()
        groups = queries.fetch_table(connection, "interactions/id_kinds").to_pylist()
        decide_kinds(groups, guess.query.name)
    (values,) = figures.to_pylist()
    left_out = sum(part.left_out for part in parts)
    malformed = sum(len(lines) for part in parts for lines in part.malformed.values())
    values["rows"] += malformed
    values["rejected"] += malformed
    return replace(
        guess, **values, columns=parts[0].columns, left_out=left_out, examples=examples
    )


def _guess(
    rows: FirstRows, path: Path, folder: Path, named: Mapping[str, str]
) -> Guess:
    """Guess the query of files by the first file."""
    names = [column.name for column in rows.columns]
    tops = {name.partition("[]")[0] for name in names}
    preset = None if named else recognize({*names, *tops}, rows.first_line)
    if preset:
        return Guess(preset_query(preset, [path], folder), preset)
    draft = draft_query(rows, named, str(path))
    features: dict[str, str] = {}
    catalogue = ""
    if not draft.questions:
        features, catalogue = propose_features(draft)
    return Guess(
        PlaysQuery(draft.sql(), folder, str(path)),
        unused=[c.name for c in rows.columns if c.name not in draft.used],
        questions=draft.questions,
        features=features,
        catalogue=catalogue,
        examples=rows.first(EXAMPLES),
    )
