"""The reader of event logs alone: every line checked, into a table, against DuckDB's bare `read_json` of the files.

    python -m benchmarks.reader compare out/seed/log --repeats 5

Bare reads the columns that it is told, as the types that it is told, and checks nothing. Each reading is a process of
its own, timed inside it without the start of Python, and the two take turns. CPU seconds are those of all threads.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from analysis import queries
from analysis.logs import reader as event_log
from benchmarks.ingest import COLUMNS
from benchmarks.measure import machine, measure, python

TABLE = "kept"
app = typer.Typer(add_completion=False)


@app.command()
def compare(log: Path, repeats: Annotated[int, typer.Option(min=1)] = 5) -> None:
    """Reads in turns and prints the table."""
    runs: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
    for _ in range(repeats):
        for name, found in runs.items():
            found.append(json.loads(measure(python("-m", "benchmarks.reader", "once", log, name)).output))
    table = Table("", "events/s", "wall s", "CPU s")
    for name, found in runs.items():
        wall, cpu = (statistics.median(run[key] for run in found) for key in ("wall_s", "cpu_s"))
        table.add_row(name, f"{found[0]['events'] / wall:,.0f}", f"{wall:.2f}", f"{cpu:.2f}")
    Console().print(table)
    for key in ("wall_s", "cpu_s"):
        ratios = [bare[key] / ours[key] for bare, ours in zip(runs["bare"], runs["ours"], strict=True)]
        print(f"bare / ours, {key}: {statistics.median(ratios):.2f} (median of {repeats} pairs)")
    print(machine("duckdb", "numpy"))


@app.command()
def once(log: Path, name: str) -> None:
    """Reads once, by name, and prints what it took."""
    read: dict[str, Callable[[Path], int]] = {"bare": _read_bare, "ours": _read_ours}
    began, cpu_began = time.perf_counter(), time.process_time()
    events = read[name](log)
    print(
        json.dumps({"events": events, "wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu_began})
    )


def _read_bare(log: Path) -> int:
    files = [str(file.path) for file in event_log.discover([log])]
    with queries.connect(keep_order=False) as connection:
        connection.read_json(files, format="newline_delimited", columns=COLUMNS).create(TABLE)
        return len(connection.table(TABLE))


def _read_ours(log: Path) -> int:
    with tempfile.TemporaryDirectory() as scratch, queries.connect(keep_order=False) as connection:

        def consume(_number: int) -> int:
            before = len(connection.table(TABLE)) if _number else 0
            queries.append(connection, TABLE, "events/events")
            queries.alias(connection, "events", TABLE)
            for text in queries.fetch_table(connection, "events/assignments")["experiments"].to_pylist():
                event_log.canonical_assignments(text)
            return len(connection.table(TABLE)) - before

        batches = list(event_log.read(connection, event_log.discover([log]), consume, scratch=Path(scratch)))
        if any(file.lines.rejected for batch in batches for file in batch.files):
            raise ValueError("the log is not clean, so a batch may have been read twice")
        return len(connection.table(TABLE))


if __name__ == "__main__":
    app()
