"""`listening-loop init FILE`: look at plays and write a commented configuration for them."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from analysis import queries
from analysis.errors import InteractionFileError
from analysis.logs.columns import Columns, Reading, parse_columns
from analysis.logs.interactions import discover, find_columns, open_rows
from looplib.cli import make_app
from looplib.files import atomic_write_text
from recsys.ingest.presets import PRESETS, Preset

PROG = "listening-loop init"
app = make_app("Look at a file of plays and write a commented configuration for it.")
_LOOKED_AT = 100_000  # rows
_MAGNITUDES = 100  # weights that span so much are counted by their logarithm
_EVENT = {"message", "user", "track", "time"}  # fields of an event log
# the split of a published pair
_PAIR = """files # a share of the training file chooses, the test file nothing
  train: {file}"""
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
    names: Sequence[str]  # of all columns
    # of `sql/interactions/first_rows.sql`
    rows: int
    median: float | None = None
    spread: float | None = None
    days: float | None = None


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
    folder = f"out/{target.stem}"
    ingest = ["listening-loop", "ingest", str(file), "--store", f"{folder}/store"]
    if preset:
        ingest += ["--preset", preset]
    elif guess.reading:
        named = asdict(guess.reading.columns).items()
        pairs = ",".join(f"{role}={column}" for role, column in named if column)
        ingest += ["--columns", pairs]
    search = ["listening-loop", "search", "--config", str(target)]
    steps = [shlex.join(ingest), shlex.join(search)]
    atomic_write_text(target, describe(guess, file, folder, steps))
    typer.echo(f"{target}: {guess.rows:,} rows looked at. Read it, then:")
    for line in steps:
        typer.echo(f"  {line}")


def look_at(
    file: Path, columns: Columns | None = None, preset: Preset | None = None
) -> Guess:
    """Look at the first rows of a file.

    Raises:
        InteractionFileError: The file cannot be read, or no columns of listeners and tracks can be
            guessed.
    """
    (log,) = discover([file])
    # the condition has all keys of JSON lines read
    any_columns = Reading(Columns("user", "item"), where="true")
    reading = PRESETS[preset] if preset else any_columns
    try:
        with queries.connect() as connection:
            rows, names = open_rows(connection, log, reading)
            rows = rows.limit(_LOOKED_AT)
            if not (columns or preset) and set(names) >= _EVENT:
                return Guess(None, names, len(rows))
            if not preset:
                reading = Reading(columns or _guess_columns(file, names))
            values = find_columns(log, reading, rows, names)
            queries.attach_columns("plays", rows, values, where=None)
            facts = queries.fetch_row(connection, "interactions/first_rows")
    except (queries.DatabaseError, pa.ArrowInvalid) as error:
        reason = str(error).splitlines()[0]
        raise InteractionFileError(f"{log.name}: cannot be read ({reason})") from None
    return Guess(reading, names, **facts)


def describe(guess: Guess, file: Path, folder: str, steps: Sequence[str]) -> str:
    """Return the configuration of a search, with the reason of each guess beside it."""
    numbered = [f"# {number}. {line}" for number, line in enumerate(steps, start=1)]
    about = f"# Written by {PROG} {file}, which looked at {guess.rows:,} rows"
    is_pair = guess.reading is not None and guess.reading.lists is not None
    return _TEMPLATE.format(
        about=f"{about}; columns: {', '.join(guess.names)}",
        steps="\n".join(numbered),
        folder=folder,
        split=_PAIR.format(file=file.name) if is_pair else _describe_split(guess),
        scale=_describe_scale(guess),
        least=_describe_least(guess),
        unheard=str(is_pair).lower(),
    )


def _describe_split(guess: Guess) -> str:
    if (guess.days or 0) < 3:
        return "session_hash # a share of all sessions; with timestamps also last_session, or time"
    why = f"plays on {guess.days:.1f} days a listener"
    return f"last_session # {why}: each listener's last session is held out"


def _describe_scale(guess: Guess) -> str:
    if guess.spread is None:
        return "linear # every row counts 1"
    scale = "log" if guess.spread >= _MAGNITUDES else "linear"
    return f"{scale} # large weights are {guess.spread:,.0f} times the small ones"


def _describe_least(guess: Guess) -> str:
    text = "a held-out track of at least this is relevant"
    if guess.reading is None or guess.reading.columns.has_share:
        return f"0.5 # {text}"
    if guess.median is None:
        return f"1 # {text}"
    return f"{guess.median:g} # {text}: the median weight"


def _guess_columns(file: Path, found: Sequence[str]) -> Columns:
    plain = {
        "".join(letter for letter in name.lower() if letter.isalnum()): name
        for name in reversed(found)
    }
    guessed: dict[str, Any] = {}
    for role, names in _NAMES.items():
        known = [plain[name] for name in names.split() if name in plain]
        if known:
            guessed[role] = known[0]
    if guessed.keys() >= {"user", "item"}:
        return Columns(**guessed)
    raise InteractionFileError(
        f"{file}: which columns are the user and the item? Found are "
        f"{', '.join(found)[:200]}; say it with --columns user=…,item=…"
    )
