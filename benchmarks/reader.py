"""The reader of event logs alone, every line checked, against DuckDB's bare `read_json` of the same files.

    python -m benchmarks.reader

Each reads in a process of its own, which says how long the reading alone took.
"""

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from analysis import queries
from analysis.logs import reader
from analysis.logs.files import discover
from benchmarks.harness import SEED_LOG, measure, python, seconds, show_machine, show_turns, take_turns

app = typer.Typer(add_completion=False)


@app.callback(invoke_without_command=True)
def compare(context: typer.Context, log: Path = SEED_LOG, repeats: Annotated[int, typer.Option(min=1)] = 5) -> None:
    """Read in turns."""
    if context.invoked_subcommand is not None:
        return
    kinds = {name: partial(_in_process, log, name) for name in ("bare", "ours")}
    results = take_turns(kinds, repeats)
    for column, name in enumerate(("seconds", "CPU seconds")):
        show_turns(name, {kind: [run[column] for run in runs] for kind, runs in results.items()}, "bare")
    show_machine("duckdb", "numpy")


@app.command()
def once(log: Path, name: str) -> None:
    """Read once, by name, and print the wall and CPU seconds."""
    read = {"bare": _read_bare, "ours": _read_ours}[name]
    print(json.dumps(seconds(partial(read, log))))


def _in_process(log: Path, name: str) -> list[float]:
    times: list[float] = json.loads(measure(python("-m", "benchmarks.reader", "once", log, name)).output)
    return times


def _read_bare(log: Path) -> None:
    files = [str(file.path) for file in discover([log])]
    with queries.connect(keep_order=False) as connection:
        connection.read_json(files, format="newline_delimited", columns=reader.TYPES).create("kept")


def _read_ours(log: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch, queries.connect(keep_order=False) as connection:

        def keep(number: int) -> int:
            before = len(connection.table("kept")) if number else 0
            queries.append(connection, "kept", "events/events")
            return len(connection.table("kept")) - before

        for _ in reader.read(connection, discover([log]), keep, scratch=Path(scratch)):
            pass


if __name__ == "__main__":
    app()
