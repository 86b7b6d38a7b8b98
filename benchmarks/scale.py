"""Ten times the sessions: how the time and memory of each step grow.

    python -m benchmarks.scale

Collects, ingests and searches the full-size log and one of so many times its sessions, through the
commands that users run. The search is one trial of five sweeps, cold, so that it ends in minutes.
"""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.harness import (
    SEED_CONFIG,
    Measured,
    console,
    measure_module,
    show,
    show_machine,
)
from looplib.config import load_config
from sim.collect import CollectConfig

COLLECT = Path("configs/collect/seed.yaml")
ONE_TRIAL = (
    "search.space={factors: [64], regularization: [10.0], alpha: [10.0]}",
    "search.sweeps=5",
)


def main(
    times: Annotated[
        int, typer.Option(min=2, help="How many times the sessions.")
    ] = 10,
    out: Annotated[
        Path, typer.Option(help="Scratch folder; takes 2 GB and as many times 2 GB.")
    ] = Path("out/scale"),
) -> None:
    """Run each step at both sizes and print the table."""
    sessions = load_config(CollectConfig, COLLECT).episodes
    folders = (out / "1", out / str(times))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    rows = []
    for step in ("collect", "ingest", "search"):
        small, large = (
            _run(step, folder, sessions * size)
            for folder, size in zip(folders, (1, times), strict=True)
        )
        pairs = ((small.wall_s, large.wall_s), (small.peak_mib, large.peak_mib))
        cells = (
            cell
            for one, many in pairs
            for cell in (f"{one:,.1f}", f"{many:,.1f}", f"{many / one:.1f}")
        )
        rows.append((step, *cells))
    header = ("step", "s", f"s, {times} x", "ratio", "MiB", f"MiB, {times} x", "ratio")
    show(
        f"{sessions:,} sessions and {times} x as many; memory of all processes together",
        header,
        rows,
    )
    few, many = (_interactions(folder) for folder in folders)
    console.print(f"training interactions: {few:,} and {many:,}, {many / few:.1f} x")
    show_machine("implicit", "dask", "duckdb", "numpy")


def _run(step: str, folder: Path, sessions: int) -> Measured:
    log, store = folder / "log", folder / "store"
    if step == "collect":
        return measure_module("sim.run", config=COLLECT, episodes=sessions, log=log)
    if step == "ingest":
        return measure_module("recsys.ingest", log, store=store)
    sets = [f"--set={setting}" for setting in ONE_TRIAL]
    run = folder / "run"
    return measure_module(
        "recsys.search", "--no-export", *sets, config=SEED_CONFIG, store=store, run=run
    )


def _interactions(folder: Path) -> int:
    file = next((folder / "store" / "cache").glob("*/dataset.json"))
    return int(json.loads(file.read_text())["interactions"])


if __name__ == "__main__":
    typer.run(main)
