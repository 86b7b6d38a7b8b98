"""`listening-loop init FILE`: look at plays and write a commented configuration for them."""

import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.json
import typer

from analysis import queries
from analysis.errors import InteractionFileError
from analysis.logs.columns import Columns, Reading, parse_columns
from analysis.logs.files import LogFile
from analysis.logs.interactions import JSON_LINES, discover, open_rows, suffix_of
from looplib.cli import make_app
from looplib.files import atomic_write_text
from recsys.ingest.presets import PRESETS, Preset

PROG = "listening-loop init"
app = make_app("Look at a file of plays and write a commented configuration for it.")
_LOOKED_AT = 100_000  # rows
# the largest weights over the smallest, from which on their logarithm counts
_MAGNITUDES = 100
_EVENT = {"message", "user", "track", "time"}  # fields of an event log
# Names of columns by what they hold, without case and punctuation; the first that is there is
# guessed.
_NAMES = {
    "user": "user userid uid listener listenerid customer customerid msno account",
    "item": "item itemid track trackid song songid videoid movieid artistid product",
    "weight": "weight seconds playtimems msplayed playedratiopct plays playcount count rating",
    "timestamp": "timestamp ts time timems playedat date datetime unixtime",
    "session": "session sessionid visit visitid",
}
_TEMPLATE = """{about}
{steps}
seed: 42
store: {folder}/store
run: {folder}/run # the report, the leaderboard and the export go here
split:
  kind: {split}
  holdout: 0.15 # the share of session_hash, time and files
feedback:
  scale: {scale}; log counts a sum r as log(1 + r)
search:
  strategy: halving # all combinations begin, the best third goes on; grid: all go to the end
  space: # the axes that matter most; the report says when the winner is at the edge
    factors: [32, 64]
    regularization: [0.0003, 0.001, 0.003, 0.01, 0.03]
    unobserved_weight: [0.003, 0.01, 0.03, 0.1] # confidence of a pair without interaction
    alpha: [1.0] # confidence that a unit of weight adds
    nu: [1.0] # regularize a listener or track by how much is known of it
  sweeps: 15
validation:
  min_time: {least}
  filter_seen: {unheard} # true: no tracks that the listener has heard before
  select: ndcg@30
export:
  top: 30
  filter_seen: {unheard} # as in validation, so that what is scored is published
"""


@dataclass(frozen=True)
class Guess:
    """What a file seems to hold."""

    reading: Reading | None  # None of an event log
    preset: Preset | None  # that the reading is of
    found: tuple[str, ...]  # the names of all columns
    rows: int  # that were looked at
    # small, median and large, where there is a column of weights
    weights: tuple[float, float, float] | None = None
    # mean number of days with a play of a listener; 0 without timestamps
    sessions: float = 0.0


@app.command(epilog=f"Example: {PROG} plays.csv --out plays.yaml")
def main(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV, JSON lines or Parquet: plays, or an event log."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="The YAML file; by default named as FILE, in this folder."),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            help="Columns where the guess is wrong, such as user=uid,item=song,weight=seconds."
        ),
    ] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(help="Published data set of FILE, in place of columns."),
    ] = None,
) -> None:
    """Look at a file of plays and write a commented configuration for it."""
    target = out or Path(f"{file.name.partition('.')[0]}.yaml")
    if target.exists():
        raise InteractionFileError(f"{target}: there already; choose another --out")
    guess = look_at(file, parse_columns(columns) if columns else None, preset)
    atomic_write_text(target, describe(guess, file, target))
    typer.echo(f"{target}: {guess.rows:,} rows looked at. Read it, then:")
    for line in steps(guess, file, target):
        typer.echo(f"  {line}")


def look_at(
    file: Path, columns: Columns | None = None, preset: Preset | None = None
) -> Guess:
    """Guess what the first rows of a file hold.

    Raises:
        InteractionFileError: The file cannot be read, or no columns of listeners and tracks can be
            guessed.
    """
    (log,) = discover([file])
    reading = PRESETS[preset] if preset else None
    table = _first_rows(log, reading or Reading(Columns("user", "item")))
    names = tuple(table.column_names)
    if not (columns or preset) and set(names) >= _EVENT:
        return Guess(None, None, names, table.num_rows)
    if reading is None or columns:
        reading = Reading(columns or _guess_columns(file, names))
    weights, sessions = None, 0.0
    if reading.columns.weight:
        found = np.array(list(map(_number, _values(table, reading.columns.weight))))
        found = found[np.isfinite(found) & (found > 0)]
        if len(found):
            weights = tuple(np.quantile(found, [0.01, 0.5, 0.99]).tolist())
    moment = reading.columns.timestamp
    if moment and moment not in reading.computed:
        users = _values(table, reading.columns.user)
        days = map(_day, _values(table, moment))
        sessions = len(set(zip(users, days, strict=True))) / max(1, len(set(users)))
    return Guess(reading, preset, names, table.num_rows, weights, sessions)


def steps(guess: Guess, file: Path, target: Path) -> list[str]:
    """Return the commands from the file to a service."""
    folder = f"out/{target.stem}"
    ingest = f"listening-loop ingest {file} --store {folder}/store"
    if guess.preset:
        ingest += f" --preset {guess.preset}"
    elif guess.reading:
        pairs = ",".join(
            f"{name}={column}"
            for name, column in asdict(guess.reading.columns).items()
            if column
        )
        ingest += f" --columns '{pairs}'"
    return [ingest, f"listening-loop search --config {target}"]


def describe(guess: Guess, file: Path, target: Path) -> str:
    """Return the configuration of a search, with the reason of each guess beside it."""
    numbered = "\n".join(
        f"# {number}. {line}"
        for number, line in enumerate(steps(guess, file, target), start=1)
    )
    about = f"# Written by {PROG} {file}, which looked at {guess.rows:,} rows"
    return _TEMPLATE.format(
        about=f"{about}; columns: {', '.join(guess.found)}",
        steps=numbered,
        folder=f"out/{target.stem}",
        split=_describe_split(guess, file),
        scale=_describe_scale(guess),
        least=_describe_least(guess),
        unheard=str(_is_list(guess)).lower(),
    )


def _is_list(guess: Guess) -> bool:
    return guess.reading is not None and guess.reading.lists is not None


def _describe_split(guess: Guess, file: Path) -> str:
    if _is_list(guess):
        why = "a published pair: a share of the training file chooses, the test file nothing"
        return f"files # {why}\n  train: {file.name}"
    if guess.sessions >= 3:
        why = f"plays on {guess.sessions:.1f} days a listener"
        return f"last_session # {why}: each listener's last session is held out"
    return "session_hash # a share of all sessions; with timestamps also last_session, or time"


def _describe_scale(guess: Guess) -> str:
    if guess.weights is None:
        return "linear # every row counts 1"
    small, _, large = guess.weights
    scale = "log" if large >= _MAGNITUDES * small else "linear"
    return f"{scale} # weights span {small:g} … {large:g}"


def _describe_least(guess: Guess) -> str:
    text = "a held-out track of at least this is relevant"
    if guess.reading is None or guess.reading.columns.has_share:
        return f"0.5 # {text}"
    if guess.weights is None:
        return f"1 # {text}"
    return f"{guess.weights[1]:g} # {text}: the median weight"


def _first_rows(log: LogFile, reading: Reading) -> pa.Table:
    try:
        with queries.connect() as connection:
            if reading.lists or suffix_of(log) not in JSON_LINES:
                rows, names = open_rows(connection, log, reading)
                table = rows.limit(_LOOKED_AT).to_arrow_table()
                return table.rename_columns(list(names))
            queries.attach_lines(connection, "lines", log.path, gzipped=log.is_gzipped)
            lines = connection.table("lines").limit(_LOOKED_AT).fetchall()
        text = "\n".join(line for (line,) in lines if line)
        return pa.json.read_json(io.BytesIO(text.encode()))
    except (queries.DatabaseError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise InteractionFileError(f"{log.name}: cannot be read ({reason})") from None


def _guess_columns(file: Path, found: Sequence[str]) -> Columns:
    plain = {
        "".join(letter for letter in name.lower() if letter.isalnum()): name
        for name in reversed(found)
    }
    guessed = {
        role: next((plain[name] for name in names.split() if name in plain), None)
        for role, names in _NAMES.items()
    }
    user, item = guessed.pop("user"), guessed.pop("item")
    if user is None or item is None:
        roles = {"user": user, "item": item}
        missing = " and the ".join(role for role in roles if roles[role] is None)
        raise InteractionFileError(
            f"{file}: which column is the {missing}? Found are {', '.join(found)[:200]}; "
            "say it with --columns user=…,item=…"
        )
    return Columns(user, item, **guessed)


def _values(table: pa.Table, column: str) -> list[Any]:
    if column not in table.column_names:
        found = ", ".join(table.column_names)
        raise InteractionFileError(f"no column {column}; found are {found}")
    values: list[Any] = table[column].to_pylist()
    return values


def _number(value: Any) -> float:  # noqa: ANN401  of any column
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _day(moment: Any) -> int | str:  # noqa: ANN401
    """Return the day of a moment: a text, or seconds, or milliseconds if that large."""
    seconds = _number(moment)
    if not math.isfinite(seconds):
        return str(moment)[:10]
    return int(seconds // (86_400 if seconds < 1e11 else 86_400_000))
