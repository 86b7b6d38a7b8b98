"""`listening-loop bench PLAYS`: train and replay entrants, and compare them in a table."""

from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import typer

from analysis.page import numbers
from analysis.page.index import renew_index
from listening_loop.bench.entrant import FILE, Entrant, measure
from listening_loop.errors import LoopError
from listening_loop.processes import locked_folder
from listening_loop.replay.command import After, read_query
from listening_loop.replay.plays import select_plays
from listening_loop.replay.report import write_report
from listening_loop.replay.score import COMPARED
from listening_loop.replay.traffic import LENGTH
from looplib.cli import make_app
from looplib.config import load_config
from looplib.progress import say
from recsys.ingest.__main__ import Columns, Preset, Sql

PROG = "listening-loop bench"
app = make_app(
    "Find out which recommender is best on your plays: train and replay all."
)
# where the entrants of this project are: in its package, or in its repository
_SHIPPED = (
    Path(__file__).parents[1] / "entrants",
    Path(__file__).parents[2] / "benchmarks" / "entrants",
)
# columns of the table: a metric of a group, or a cost
_SCORES = {
    "P@20": (COMPARED, "all"),
    "P@1": ("precision@1", "all"),
    "MRR": ("mrr", "all"),
    "rest@20": ("rest@20", "all"),
    "repeat": (COMPARED, "repeat"),
    "new": (COMPARED, "new"),
    "new listeners": (COMPARED, "new listeners"),
}
_COSTS = {
    "p50 ms": "p50_ms",
    "p99 ms": "p99_ms",
    "plays/s": "plays_per_s",
    "MiB": "mib",
    "CPU s": "cpu_s",
}
_HEADER = ("entrant", *_SCORES, *_COSTS, "lines")


@app.command(epilog=f"Example: {PROG} plays.sql --entrant mine.yaml")
def main(
    file: Annotated[
        Path | None, typer.Argument(metavar="PLAYS", help="plays.sql, or other files.")
    ] = None,
    entrant: Annotated[
        list[Path] | None,
        typer.Option(help="Its folder or YAML file; repeatable. By default, ours."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the table.")] = Path("out/bench"),
    after: After = 0.8,
    columns: Columns = None,
    preset: Preset = None,
    sql: Sql = None,
    budget: Annotated[
        int, typer.Option(min=1, help="CPU seconds in which an entrant learns.")
    ] = 1800,
    connections: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 8,
    random_futures: Annotated[
        bool,
        typer.Option(help="Replay tracks drawn at random, which nobody can predict."),
    ] = False,
) -> None:
    """Fill the table; the same command continues with the entrants that lack a row."""
    entrants: dict[str, tuple[Entrant, Path]] = {}
    for path in find_entrants(entrant or [next(filter(Path.exists, _SHIPPED))]):
        values = load_config(Entrant, path)
        if values.name in entrants:
            raise LoopError(f"{path}: a second entrant is named {values.name}")
        entrants[values.name] = values, path
    query = read_query(file, columns, preset, sql)
    limits = {"budget_s": budget, "connections": connections}
    with locked_folder(out):
        options = {"repeat_after": 1, "random_futures": random_futures}
        plays = select_plays(query, None, None, options, out, after)
        answers, cells, sentences = {}, [], []
        for number, (name, (values, path)) in enumerate(entrants.items(), start=1):
            say(f"{name}, {number} of {len(entrants)}")
            row = measure(values, path, plays, out, limits)
            if row["failure"]:
                sentences.append(f"{name} failed: {row['failure']}")
                continue
            answers[name] = out / "answers" / f"{name}.jsonl"
            cells.append(list_cells(row))
            if random_futures:
                sentences.append(compare_with_chance(row))
        if not answers:
            raise LoopError("; ".join(sentences))
        cells.sort(key=itemgetter(1), reverse=True)
        write_report(plays, answers, out, (_HEADER, cells), sentences)
    typer.echo(f"report  {out / 'report.html'}")
    typer.echo(f"all     {renew_index(out)}")


def find_entrants(paths: Iterable[Path]) -> Iterator[Path]:
    """Find the YAML files of entrants: each path is such a file, or a folder.

    Raises:
        LoopError: A path has none.
    """
    for path in paths:
        files = [path] if path.is_file() else sorted(path.glob("*.yaml"))
        alone = [file for file in files if file.name == FILE]
        if not files:
            raise LoopError(f"--entrant {path}: a YAML file is expected, or a folder")
        yield from alone or files


def list_cells(row: Mapping[str, Any]) -> list[str]:
    """List the cells of an entrant's row in the table."""
    scores = {
        (score["metric"], score["group"]): score["value"] for score in row["scores"]
    }
    values = [
        *map(scores.get, _SCORES.values()),
        *map(row["cost"].get, _COSTS.values()),
    ]
    lines = numbers.count(row["lines"])
    return [row["entrant"]["name"], *map(numbers.number, values), lines]


def compare_with_chance(row: Mapping[str, Any]) -> str:
    """Compare the score of tracks drawn at random with a guess."""
    (score,) = (
        score
        for score in row["scores"]
        if (score["metric"], score["group"]) == (COMPARED, "all")
    )
    chance = LENGTH / (row["replay"]["catalogue"] - 1)
    word = "above" if score["lower"] > chance else "at"
    limits = numbers.limits(score["lower"], score["upper"])
    return f"{row['entrant']['name']} is {word} chance, {chance:.5f}: {limits}."
