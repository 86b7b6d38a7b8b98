"""`listening-loop bench PLAYS`: train and replay entrants, and compare them in a table."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import orjson
import pyarrow.csv
import typer

from analysis.page import numbers
from analysis.page.index import renew_index
from listening_loop.bench.entrant import FILE, Entrant, find_files, run_entrant
from listening_loop.doctor import facts
from listening_loop.errors import LoopError
from listening_loop.processes import locked_folder
from listening_loop.replay.command import After, read_query
from listening_loop.replay.plays import OLDER, NewestPlays, read_plays, select_plays
from listening_loop.replay.report import write_report
from listening_loop.replay.score import COMPARED
from listening_loop.replay.traffic import LENGTH
from looplib.cli import make_app
from looplib.config import load_config
from looplib.files import atomic_write_json, json_digest, sha256_file
from looplib.progress import say
from looplib.randomness import make_generator
from recsys.ingest.__main__ import Columns, Preset, Sql

PROG = "listening-loop bench"
app = make_app(
    "Find out which recommender is best on your plays: train and replay all."
)
_ENTRANTS = Path(__file__).parents[2] / "benchmarks" / "entrants"
# columns of the table: a metric of a group, or a cost
_SCORES = (
    *(("precision@1", "all"), (COMPARED, "all"), ("mrr", "all"), ("rest@20", "all")),
    *((COMPARED, "repeat"), (COMPARED, "new"), (COMPARED, "new listeners")),
)
_COSTS = ("p50_ms", "p99_ms", "requests_per_s", "mib", "cpu_s")
_HEADER = (
    *("entrant", "P@1", "P@20", "MRR", "rest@20", "repeat", "new", "new listeners"),
    *("p50 ms", "p99 ms", "requests/s", "MiB", "CPU s", "lines"),
)


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
    files = [*find_entrants(entrant or [shipped_entrants()])]
    entrants = {load_config(Entrant, path): path for path in files}
    if len({values.name for values in entrants}) < len(files):
        raise LoopError("--entrant: two entrants have the same name")
    query = read_query(file, columns, preset, sql)
    limits = {"budget_s": budget, "connections": connections}
    with locked_folder(out):
        target = out / "plays.parquet"
        options = {"repeat_after": 1, "random_futures": random_futures}
        select_plays(query, None, None, options, target, after)
        plays = read_plays(target)
        if random_futures:
            plays = draw_futures(plays, out / OLDER)
        rows = []
        for number, (values, path) in enumerate(entrants.items(), start=1):
            say(f"{values.name}, {number} of {len(files)}")
            row = measure(values, path, plays, out, limits)
            rows.append(row)
        done = [row for row in rows if not row["failure"]]
        sentences = [
            f"{row['entrant']['name']} failed: {row['failure']}"
            for row in rows
            if row["failure"]
        ]
        if not done:
            raise LoopError("; ".join(sentences))
        if random_futures:
            chance = LENGTH / (plays.facts["catalogue"] - 1)
            above = [
                score["recommender"]
                for score in chain.from_iterable(row["scores"] for row in done)
                if (score["metric"], score["group"]) == (COMPARED, "all")
                and score["lower"] > chance
            ]
            sentences.append(f"Above chance, {chance:.5f}: {above or 'no entrant'}.")
        names = [row["entrant"]["name"] for row in done]
        answers = {name: out / "answers" / f"{name}.jsonl" for name in names}
        cells = sorted(map(list_cells, done), key=itemgetter(2), reverse=True)
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


def shipped_entrants() -> Path:
    """Locate the entrants of this project, in its package or in its repository."""
    installed = Path(__file__).parents[1] / "entrants"
    return installed if installed.exists() else _ENTRANTS


def draw_futures(plays: NewestPlays, older: Path) -> NewestPlays:
    """Replace the tracks of plays by tracks drawn at random from the catalogue."""
    options = pyarrow.csv.ConvertOptions(column_types={"track": "string"})
    table = pyarrow.csv.read_csv(older, convert_options=options)
    kind, catalogue = type(plays.tracks[0]), table["track"].unique().to_pylist()
    generator = make_generator(0, "random futures")
    drawn = generator.integers(len(catalogue), size=len(plays.tracks)).tolist()
    return replace(plays, tracks=[kind(catalogue[number]) for number in drawn])


def measure(
    entrant: Entrant,
    file: Path,
    plays: NewestPlays,
    folder: Path,
    limits: Mapping[str, int],
) -> dict[str, Any]:
    """Run an entrant unless its row is there, and write its row."""
    files = find_files(entrant, file)
    key = json_digest([plays.facts, [*map(sha256_file, files)], limits])
    target = folder / "rows" / f"{entrant.name}.json"
    row: dict[str, Any] = orjson.loads(target.read_bytes()) if target.exists() else {}
    if row.get("key") != key or row["failure"]:
        lines = [line for path in files for line in path.read_bytes().splitlines()]
        row = {
            "key": key,
            "entrant": entrant.model_dump(),
            "lines": sum(bool(line.strip()) for line in lines),
            "replay": plays.facts,
            **limits,
            "machine": facts(),
            **run_entrant(entrant, file, plays, folder, **limits),
        }
        atomic_write_json(target, row)
    return row


def list_cells(row: Mapping[str, Any]) -> list[str]:
    """List the cells of an entrant's row in the table."""
    scores = {
        (score["metric"], score["group"]): score["value"] for score in row["scores"]
    }
    values = [scores.get(column) for column in _SCORES]
    costs = [row["cost"][name] for name in _COSTS]
    numbered = map(numbers.number, [*values, *costs])
    return [row["entrant"]["name"], *numbered, numbers.count(row["lines"])]
