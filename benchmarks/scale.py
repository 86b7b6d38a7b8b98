"""Many times the listeners: how the time and memory of ingest and search grow.

    python -m benchmarks.scale --times 10

The full-size log (`python -m benchmarks.data` makes it once) and so many copies of it under other
listener ids, so that listeners, events and interactions grow alike, through the commands that users
run. The search is one trial of five iterations, cold, so that it ends in minutes.
"""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.data import enlarge
from benchmarks.harness import (
    SEED_CONFIG,
    SEED_LOG,
    Measured,
    console,
    measure_module,
    show,
    show_machine,
)

# of 20 GB of files, which are deleted once they are in the store
COPIES_A_LOAD = 10
ONE_TRIAL = (
    "models.als={factors: 64, regularization: 10.0, alpha: 10.0}",
    "search.iterations=5",
)


def main(
    times: Annotated[int, typer.Option(min=2, help="How many copies.")] = 10,
    log: Annotated[Path, typer.Option(help="The log that is copied.")] = SEED_LOG,
    out: Annotated[
        Path, typer.Option(help="Scratch folder; takes up to 25 GB.")
    ] = Path("out/scale"),
) -> None:
    """Run each step at both sizes and print the table."""
    shutil.rmtree(out, ignore_errors=True)
    steps: list[list[Measured]] = []
    interactions = []
    for copies in (1, times):
        store, run = out / f"store-{copies}", out / f"run-{copies}"
        steps.append([ingest(log, copies, store), search(store, run)])
        file = next((store / "cache").glob("*/dataset.json"))
        interactions.append(int(json.loads(file.read_text())["interactions"]))
    rows = []
    for name, small, large in zip(("ingest", "search"), *steps, strict=True):
        for unit in ("wall_s", "cpu_s", "peak_mib"):
            pair = getattr(small, unit), getattr(large, unit)
            ratio = f"{pair[1] / pair[0]:.1f}"
            rows.append((name, unit, *(f"{value:,.1f}" for value in pair), ratio))
    header = ("", "", "1 x", f"{times} x", "ratio")
    show("memory is that of all processes", header, rows)
    console.print("training interactions: {:,} and {:,}".format(*interactions))
    show_machine("dask", "duckdb", "numpy")


def ingest(log: Path, copies: int, store: Path) -> Measured:
    """Ingest the copies, some at a time.

    Returns:
        The sum of the loads, of memory the largest.
    """
    loads = []
    for first in range(0, copies, COPIES_A_LOAD):
        last = min(first + COPIES_A_LOAD, copies)
        folder = enlarge(log, store.with_name("log"), range(first, last))
        loads.append(measure_module("recsys.ingest", folder, store=store))
        shutil.rmtree(folder)
    wall_s = sum(load.wall_s for load in loads)
    cpu_s = sum(load.cpu_s for load in loads)
    return Measured(wall_s, cpu_s, max(load.peak_mib for load in loads), "")


def search(store: Path, run: Path) -> Measured:
    """Search one trial."""
    sets = [f"--set={setting}" for setting in ONE_TRIAL]
    return measure_module(
        "recsys.search", "--no-export", *sets, config=SEED_CONFIG, store=store, run=run
    )


if __name__ == "__main__":
    typer.run(main)
