"""`listening-loop init FILE`: look at a file of plays and write a commented configuration for it."""

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
from analysis.logs.files import LogFile
from analysis.logs.interactions import (
    JSON_LINES,
    Columns,
    Reading,
    discover,
    open_rows,
    parse_columns,
    suffix_of,
)
from looplib.cli import make_app
from looplib.files import atomic_write_text
from recsys.ingest.presets import PRESETS, Preset

PROG = "listening-loop init"
app = make_app("Look at a file of plays and write a commented configuration for it.")
_LOOKED_AT = 100_000  # rows
_MAGNITUDES = (
    100  # the largest weights over the smallest, from which on their logarithm counts
)
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
  strategy: halving # all combinations begin, and the best third goes on; grid: all go on to the end
  space: # the axes that matter most, on logarithmic scales; the report says when the winner is at the edge
    factors: [32, 64]
    regularization: [0.0003, 0.001, 0.003, 0.01, 0.03]
    unobserved_weight: [0.003, 0.01, 0.03, 0.1] # confidence of a pair without interaction
    alpha: [1.0] # confidence that a unit of weight adds
    nu: [1.0] # regularize a listener or track by how much is known of it
  sweeps: 15
validation:
  min_time: {least}
  filter_seen: {unheard} # true: lists of tracks that the listener has not heard, for catalogues heard once
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
    weights: tuple[float, float, float] | None
    sessions: (
        float  # mean number of days with a play of a listener; 0 without timestamps
    )


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
    if not (columns or preset) and {"message", "user", "track", "time"} <= set(names):
        return Guess(None, None, names, table.num_rows, None, 0)
    if reading is None or columns:
        reading = Reading(columns or _guess_columns(file, names))
    columns, weights, sessions = reading.columns, None, 0.0
    if columns.weight:
        found = np.array([_number(value) for value in _values(table, columns.weight)])
        found = found[np.isfinite(found) & (found > 0)]
        weights = (
            tuple(np.quantile(found, [0.01, 0.5, 0.99]).tolist())
            if len(found)
            else None
        )
    if columns.timestamp and columns.timestamp not in reading.computed:
        users = _values(table, columns.user)
        days = map(_day, _values(table, columns.timestamp))
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
    folder, weights, reading = f"out/{target.stem}", guess.weights, guess.reading
    is_list = reading is not None and reading.lists is not None
    split = (
        "files"
        if is_list
        else "last_session"
        if guess.sessions >= 3
        else "session_hash"
    )
    why = {
        "last_session": f"plays on {guess.sessions:.1f} days a listener: each listener's last session is held out",
        "session_hash": "a share of all sessions is held out; with timestamps also last_session, or time",
        "files": f"a published pair: a share of the training file chooses, the test file nothing\n  train: {file.name}",
    }
    is_log = weights is not None and weights[2] >= _MAGNITUDES * weights[0]
    relevant = (
        0.5
        if reading is None or reading.columns.has_share
        else weights[1]
        if weights
        else 1
    )
    least = f"{relevant:g} # a held-out track of at least this is relevant" + (
        ": the median weight" if weights else ""
    )
    reason = (
        "weights span {:g} … {:g}".format(*weights[::2])
        if weights
        else "every row counts 1"
    )
    numbered = "\n".join(
        f"# {number}. {line}"
        for number, line in enumerate(steps(guess, file, target), start=1)
    )
    return _TEMPLATE.format(
        about=f"# Written by {PROG} {file}, which looked at {guess.rows:,} rows; columns: {', '.join(guess.found)}",
        steps=numbered,
        folder=folder,
        split=f"{split} # {why[split]}",
        scale=f"{'log' if is_log else 'linear'} # {reason}",
        least=least,
        unheard=str(is_list).lower(),
    )


def _first_rows(log: LogFile, reading: Reading) -> pa.Table:
    try:
        with queries.connect() as connection:
            if reading.lists or suffix_of(log) not in JSON_LINES:
                rows, names = open_rows(connection, log, reading)
                return (
                    rows.limit(_LOOKED_AT).to_arrow_table().rename_columns(list(names))
                )
            queries.attach_lines(connection, "lines", log.path, gzipped=log.is_gzipped)
            lines = connection.table("lines").limit(_LOOKED_AT).fetchall()
        return pa.json.read_json(
            io.BytesIO("\n".join(line for (line,) in lines if line).encode())
        )
    except (queries.DatabaseError, pa.ArrowInvalid) as error:
        raise InteractionFileError(
            f"{log.name}: cannot be read ({str(error).splitlines()[0]})"
        ) from None


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
        missing = " and which the ".join(
            role for role, name in (("user", user), ("item", item)) if name is None
        )
        raise InteractionFileError(
            f"{file}: which column is the {missing}? Found are {', '.join(found)[:200]}; "
            "say it with --columns user=…,item=…"
        )
    return Columns(user, item, **guessed)


def _values(table: pa.Table, column: str) -> list[Any]:
    if column not in table.column_names:
        raise InteractionFileError(
            f"no column {column}; found are {', '.join(table.column_names)}"
        )
    values: list[Any] = table[column].to_pylist()
    return values


def _number(value: Any) -> float:  # noqa: ANN401  of any column
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _day(moment: Any) -> int | str:  # noqa: ANN401
    """Return the day of a moment: a text, or seconds, or milliseconds where seconds would be far in the future."""
    seconds = _number(moment)
    return (
        str(moment)[:10]
        if not math.isfinite(seconds)
        else int(seconds // (86_400 if seconds < 1e11 else 86_400_000))
    )
