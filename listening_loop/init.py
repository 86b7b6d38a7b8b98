"""`listening-loop init FILE`: look at a file of plays and write a commented configuration for it."""

import itertools
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from analysis import queries
from analysis.errors import InteractionFileError
from analysis.logs.files import LogFile
from analysis.logs.interactions import CSV, PARQUET, Columns, discover, parse_columns
from looplib.cli import make_app
from looplib.files import atomic_write_text

PROG = "listening-loop init"
app = make_app("Looks at a file of plays and writes a commented configuration for it.")
_LOOKED_AT = 100_000  # rows
_MAGNITUDES = 100  # the largest weights over the smallest, from which on their logarithm counts
# Names of columns by what they hold, without case and punctuation; the first that is there is guessed.
_NAMES = {
    "user": ("user", "userid", "uid", "listener", "listenerid", "customer", "customerid", "msno", "account"),
    "item": ("item", "itemid", "track", "trackid", "song", "songid", "videoid", "movieid", "artistid", "product"),
    "weight": (
        "weight",
        "seconds",
        "playtimems",
        "msplayed",
        "playedratiopct",
        "plays",
        "playcount",
        "count",
        "rating",
    ),
    "timestamp": ("timestamp", "ts", "time", "timems", "playedat", "date", "datetime", "unixtime"),
    "session": ("session", "sessionid", "visit", "visitid"),
}
_TEMPLATE = """{about}
{steps}
seed: 42
store: {folder}/store
run: {folder}/run # the report, the leaderboard and the export go here
split:
  kind: {split}
  holdout: 0.15 # the share of session_hash and time
feedback:
  scale: {scale}; log counts a sum r as log(1 + r)
search:
  strategy: halving # all combinations begin, and the best third goes on; grid: all go on to the end
  space: # the axes that matter most, on logarithmic scales; the report says when the winner is at the edge
    factors: [32, 64]
    regularization: [0.0003, 0.001, 0.003, 0.01]
    unobserved_weight: [0.003, 0.01, 0.03, 0.1] # confidence of a pair without interaction
    alpha: [1.0] # confidence that a unit of weight adds
    nu: [1.0] # regularize a listener or track by how much is known of it
  sweeps: 15
validation:
  min_time: {least}
  filter_seen: false # true: lists of tracks that the listener has not heard, for catalogues heard once
  select: ndcg@30
export:
  top: 30
  filter_seen: false # as in validation, so that what is scored is published
"""


@dataclass(frozen=True)
class Guess:
    """What a file seems to hold."""

    columns: Columns | None  # None of an event log
    found: tuple[str, ...]  # the names of all columns
    rows: int  # that were looked at
    weights: tuple[float, float, float] | None  # small, median and large, where there is a column of weights
    sessions: float  # mean number of days with a play of a listener; 0 without timestamps


@app.command(epilog=f"Example: {PROG} plays.csv --out plays.yaml")
def main(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, JSON lines or Parquet: plays, or an event log.")],
    out: Annotated[Path | None, typer.Option(help="The YAML file; by default named as FILE, in this folder.")] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns where the guess is wrong, such as user=uid,item=song,weight=seconds.")
    ] = None,
) -> None:
    """Look at a file of plays and write a commented configuration for it."""
    target = out or Path(f"{file.name.partition('.')[0]}.yaml")
    if target.exists():
        raise InteractionFileError(f"{target}: there already; choose another --out")
    guess = look_at(file, parse_columns(columns) if columns else None)
    atomic_write_text(target, describe(guess, file, target))
    typer.echo(f"{target}: {guess.rows:,} rows looked at. Read it, then:")
    for line in steps(guess, file, target):
        typer.echo(f"  {line}")


def look_at(file: Path, columns: Columns | None = None) -> Guess:
    """Guess what the first rows of a file hold.

    Raises:
        InteractionFileError: The file cannot be read, or no columns of listeners and tracks can be guessed.
    """
    (log,) = discover([file])
    table = _first_rows(log)
    if columns is None and {"message", "user", "track", "time"} <= set(table.column_names):
        return Guess(None, tuple(table.column_names), table.num_rows, None, 0)
    columns = columns or _guess_columns(file, table.column_names)
    weights = sessions = None
    if columns.weight:
        found = _numbers(table, columns.weight)
        found = found[found > 0]
        weights = tuple(np.quantile(found, [0.01, 0.5, 0.99]).tolist()) if len(found) else None
    if columns.timestamp:
        days = (
            str(moment)[:10] if not _is_number(moment) else _day(float(moment))
            for moment in _values(table, columns.timestamp)
        )
        users = _values(table, columns.user)
        sessions = len(set(zip(users, days, strict=True))) / max(1, len(set(users)))
    return Guess(columns, tuple(table.column_names), table.num_rows, weights, sessions or 0)


def steps(guess: Guess, file: Path, target: Path) -> list[str]:
    """Return the commands from the file to a service."""
    folder = f"out/{target.stem}"
    ingest = f"listening-loop ingest {file} --store {folder}/store"
    if guess.columns:
        pairs = ",".join(f"{name}={column}" for name, column in asdict(guess.columns).items() if column)
        ingest += f" --columns '{pairs}'"
    return [ingest, f"listening-loop search --config {target}"]


def describe(guess: Guess, file: Path, target: Path) -> str:
    """Return the configuration of a search, with the reason of each guess beside it."""
    folder, weights = f"out/{target.stem}", guess.weights
    split = "last_session" if guess.sessions >= 3 else "session_hash"
    why = {
        "last_session": f"plays on {guess.sessions:.1f} days a listener: each listener's last session is held out",
        "session_hash": "a share of all sessions is held out; with timestamps also last_session, or time",
    }
    is_log = weights is not None and weights[2] >= _MAGNITUDES * weights[0]
    relevant = 0.5 if guess.columns is None else weights[1] if weights else 1
    least = f"{relevant:g} # a held-out track of at least this is relevant" + (": the median weight" if weights else "")
    reason = "weights span {:g} … {:g}".format(*weights[::2]) if weights else "every row counts 1"
    numbered = "\n".join(f"# {number}. {line}" for number, line in enumerate(steps(guess, file, target), start=1))
    return _TEMPLATE.format(
        about=f"# Written by {PROG} {file}, which looked at {guess.rows:,} rows; columns: {', '.join(guess.found)}",
        steps=numbered,
        folder=folder,
        split=f"{split} # {why[split]}",
        scale=f"{'log' if is_log else 'linear'} # {reason}",
        least=least,
    )


def _first_rows(log: LogFile) -> pa.Table:
    name = log.path.name.removesuffix(".gz").lower()
    try:
        if name.endswith(PARQUET):
            return next(pq.ParquetFile(log.path).iter_batches(_LOOKED_AT), None) or pa.table({})
        with queries.connect() as connection:
            if name.endswith(CSV):
                rows = queries.open_csv(connection, log.path, gzipped=log.is_gzipped, header=True, delimiter=None)
                return rows.limit(_LOOKED_AT).to_arrow_table()
            queries.attach_lines(connection, "lines", log.path, gzipped=log.is_gzipped)
            lines = connection.table("lines").limit(_LOOKED_AT).fetchall()
    except (queries.DatabaseError, pa.ArrowInvalid) as error:
        raise InteractionFileError(f"{log.name}: cannot be read ({str(error).splitlines()[0]})") from None
    try:
        records = [orjson.loads(line) for (line,) in lines if line]
        return pa.table(
            {key: [record.get(key) for record in records] for key in dict.fromkeys(itertools.chain(*records))}
        )
    except (orjson.JSONDecodeError, ValueError, AttributeError) as error:
        raise InteractionFileError(f"{log.name}: not one JSON object a line ({error})") from None


def _guess_columns(file: Path, found: list[str]) -> Columns:
    plain = {"".join(letter for letter in name.lower() if letter.isalnum()): name for name in reversed(found)}
    guessed = {role: next((plain[name] for name in names if name in plain), None) for role, names in _NAMES.items()}
    if missing := [role for role in ("user", "item") if guessed[role] is None]:
        raise InteractionFileError(
            f"{file}: which column is the {' and which the '.join(missing)}? Found are {', '.join(found)[:200]}; "
            "say it with --columns user=…,item=…"
        )
    return Columns(guessed["user"] or "", guessed["item"] or "", *(guessed[role] for role in list(_NAMES)[2:]))


def _values(table: pa.Table, column: str) -> list[Any]:
    if column not in table.column_names:
        raise InteractionFileError(f"no column {column}; found are {', '.join(table.column_names)}")
    values: list[Any] = table[column].to_pylist()
    return values


def _numbers(table: pa.Table, column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(value) for value in _values(table, column) if _is_number(value)])


def _is_number(value: Any) -> bool:  # noqa: ANN401  of any column
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _day(moment: float) -> int:
    """Return the day of a moment in seconds, or in milliseconds where seconds would be far in the future."""
    return int(moment // (86_400 if moment < 1e11 else 86_400_000))
