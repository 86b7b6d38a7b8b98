"""The reader of event logs alone, every line checked, against DuckDB's bare `read_json` of the same files.

python -m benchmarks.reader
"""

import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from analysis import queries
from analysis.logs import reader
from benchmarks.harness import SEED_LOG, measure, median_ratio, python, show, show_machine, take_turns

COLUMNS = {
    "message": "VARCHAR",
    "timestamp": "BIGINT",
    "user": "BIGINT",
    "track": "BIGINT",
    "time": "DOUBLE",
    "latency": "FLOAT",
    "recommendation": "BIGINT",
    "experiments": "JSON",
    "session": "VARCHAR",
    "recommender": "VARCHAR",
    "propensity": "DOUBLE",
}
Times = dict[str, float]
app = typer.Typer(add_completion=False)


@app.command()
def compare(log: Path = SEED_LOG, repeats: Annotated[int, typer.Option(min=1)] = 5) -> None:
    """Read in turns, each time in a new process that says how long the reading alone took."""
    kinds: dict[str, Callable[[], Times]] = {name: partial(_in_process, log, name) for name in ("bare", "ours")}
    results = take_turns(kinds, repeats)
    rows = []
    for key in ("wall_s", "cpu_s"):
        bare, ours = ([run[key] for run in results[name]] for name in ("bare", "ours"))
        rows.append((key, f"{min(bare):.2f}", f"{min(ours):.2f}", f"{median_ratio(bare, ours):.2f}"))
    show(f"{results['ours'][0]['events']:,.0f} events; fastest runs", ("", "bare", "ours", "bare / ours"), rows)
    show_machine("duckdb", "numpy")


@app.command()
def once(log: Path, name: str) -> None:
    """Read once, by name, and print what it took."""
    read = {"bare": _read_bare, "ours": _read_ours}[name]
    began, cpu_began = time.perf_counter(), time.process_time()
    events = read(log)
    took = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu_began}
    print(json.dumps({"events": events, **took}))


def _in_process(log: Path, name: str) -> Times:
    times: Times = json.loads(measure(python("-m", "benchmarks.reader", "once", log, name)).output)
    return times


def _read_bare(log: Path) -> int:
    files = [str(file.path) for file in reader.discover([log])]
    with queries.connect(keep_order=False) as connection:
        connection.read_json(files, format="newline_delimited", columns=COLUMNS).create("kept")
        return len(connection.table("kept"))


def _read_ours(log: Path) -> int:
    with tempfile.TemporaryDirectory() as scratch, queries.connect(keep_order=False) as connection:

        def keep(number: int) -> int:
            before = len(connection.table("kept")) if number else 0
            queries.append(connection, "kept", "events/all_events")
            queries.alias(connection, "events", "kept")
            return len(connection.table("kept")) - before

        for _ in reader.read(connection, reader.discover([log]), keep, scratch=Path(scratch)):
            pass
        return len(connection.table("kept"))


if __name__ == "__main__":
    app()
