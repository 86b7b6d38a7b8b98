"""`listening-loop init FILE`: look at plays, write configurations of a search and an experiment."""

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
_LOOKED_AT = 1_000_000  # rows
_REPEATS = 0.05  # share of the rows from which plays count as heard again
# The factors that are tried from so many pairs of listener and track on. A model has no more than
# half as many as there are listeners or tracks.
_FACTORS = {0: (16, 32, 64), 30_000: (32, 64, 128), 150_000: (64, 128, 256)}
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
    "position": "position pos order sequence",
    "title": "title trackname songname tracktitle",
    "artist": "artist artistname artistid performer",
}
_TEMPLATE = """{about}
{steps}
seed: 42
store: {folder}/store
run: {folder}/run # the report, the leaderboard and the export go here
split:
  kind: {split}
  holdout: {holdout} # the share of session_hash, newest, time and files
feedback:
  scale: {scale}; log counts a sum r as log(1 + r)
search:
  strategy: halving # gives up what cannot win; grid: all combinations go to the end
  widen: true # go on in the direction of an edge at which the winner is
  space: # of ALS, the axes that matter most
    factors: {factors} # {pairs}
    regularization: [0.001, 0.003, 0.01]
    unobserved_weight: [0.01, 0.03, 0.1] # confidence of a pair without interaction
    alpha: [1.0] # confidence that a unit of weight adds
    nu: [1.0] # regularize a listener or track by how much is known of it
{models}
  sweeps: 15
validation:
  min_time: {least}
  filter_seen: {unheard} # {repeats}
  select: ndcg@30
export:
  top: 30
  filter_seen: {unheard} # as in validation, so that what is scored is published
{next_track}"""

_EXPERIMENT = """\
# An experiment of what the export has against popular tracks. The service reads this file
# (experiments: [{file}]), and so do `listening-loop power` and
# `listening-loop ab`: --experiment {file}
name: "{name}"
owner: "" # who answers for it
hypothesis: "" # such as: lists of the model are heard longer than popular tracks are
arms: # control first. While it runs, leave weights as they are and add a line to changes
  - {{name: C, weight: 1, recommender: top_pop}}
  - {{name: T1, weight: 1, recommender: in_order}}
changes: [] # {{T1: 0}} stops T1, {{T1: 3}} gives it weight 3; nobody moves who need not
metrics: [mean_time_per_session] # decide
guardrails: # must surely not get worse by more than the margin
  - {{metric: latency_p99, margin: 50}} # ms
  - {{metric: sessions, margin_pct: 10}} # of a listener: whether they come back
planned_listeners: null # at which it ends; null: it may be stopped at any time
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
    listeners: int = 0
    tracks: int = 0
    pairs: int = 0  # of listener and track, distinct

    @property
    def is_pair(self) -> bool:
        """Whether it is one of two files of a published split."""
        return self.reading is not None and self.reading.lists is not None

    @property
    def is_ordered(self) -> bool:
        """Whether the order of a listener's plays is known."""
        if self.reading is None:
            return True
        columns = self.reading.columns
        return columns.has_share or bool(columns.timestamp or columns.position)

    @property
    def has_sessions(self) -> bool:
        """Whether it has sessions as people have them: times, or sessions with positions."""
        if self.reading is None or self.is_pair:
            return False
        columns = self.reading.columns
        return bool(columns.timestamp or (columns.session and columns.position))

    @property
    def repeated(self) -> float:
        """Share of the rows that repeat a pair."""
        return 1 - self.pairs / self.rows if self.pairs else 0.0

    @property
    def is_heard_again(self) -> bool:
        """Whether listeners play a track again; an event log is taken to say so."""
        return self.reading is None or self.repeated >= _REPEATS


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
    experiment = target.with_name(f"{target.stem}-experiment.yaml")
    if not experiment.exists():
        name = target.stem.upper()
        text = _EXPERIMENT.format(file=experiment.name, name=name)
        atomic_write_text(experiment, text)
    typer.echo(f"{target}: {guess.rows:,} rows looked at. Read it, then:")
    for line in steps:
        typer.echo(f"  {line}")
    typer.echo(f"{experiment}: an experiment of what comes out")


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
    return _TEMPLATE.format(
        about=f"{about}; columns: {', '.join(guess.names)}",
        steps="\n".join(numbered),
        folder=folder,
        split=_PAIR.format(file=file.name) if guess.is_pair else _describe_split(guess),
        holdout=0.2 if _is_newest(guess) else 0.15,
        factors=_factors(guess),
        pairs=f"{guess.pairs:,} pairs of {guess.listeners:,} listeners and {guess.tracks:,} tracks",
        models=_describe_models(guess),
        scale=_describe_scale(guess),
        least=_describe_least(guess),
        unheard=str(not guess.is_heard_again).lower(),
        repeats=_describe_repeats(guess),
        next_track="next_track: {} # of a session; null: none\n"
        if guess.has_sessions
        else "",
    )


def _is_newest(guess: Guess) -> bool:
    return guess.reading is not None and guess.is_ordered


def _describe_split(guess: Guess) -> str:
    if _is_newest(guess):
        return "newest # of each listener; also last_session, time or session_hash"
    return "session_hash # a share of all sessions; with timestamps also newest"


def _describe_repeats(guess: Guess) -> str:
    if guess.reading is None:
        return "true: no tracks that the listener has heard before"
    heard = (
        "again" if guess.is_heard_again else "once: no list has what was heard before"
    )
    return f"{guess.repeated:.0%} of the rows repeat a pair; tracks are heard {heard}"


def _factors(guess: Guess) -> list[int]:
    """Return how many factors are tried, by how much is known of listeners and tracks."""
    known = guess.pairs or guess.rows
    tried = _FACTORS[max(least for least in _FACTORS if least <= known)]
    fewest = min(guess.listeners, guess.tracks) or known
    return [factors for factors in tried if factors <= max(tried[0], fewest // 2)]


def _describe_models(guess: Guess) -> str:
    """Return the kinds of model that are tried beside ALS."""
    if guess.reading is None:
        return ""
    lines = ["  models: # beside ALS"]
    if guess.is_ordered and guess.is_heard_again:
        lines.append("    activation: {decay: [0.3, 0.4, 0.5, 0.7]} # often and lately")
    lines.append("    item_knn: {} # near to what was heard")
    if guess.is_ordered:
        lines.append("    blend: {} # what is heard again and what is new")
    return "\n".join(lines)


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
        unused = [name for name in known if name not in guessed.values()]
        if unused:
            guessed[role] = unused[0]
    if "timestamp" in guessed:
        guessed.pop("position", None)
    if guessed.keys() >= {"user", "item"}:
        return Columns(**guessed)
    raise InteractionFileError(
        f"{file}: which columns are the user and the item? Found are "
        f"{', '.join(found)[:200]}; say it with --columns user=…,item=…"
    )
