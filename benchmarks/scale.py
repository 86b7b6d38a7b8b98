"""Ten times the sessions: how time, store and memory grow.

    python -m benchmarks.scale --times 10

Collects, ingests and searches the full-size log (`configs/collect/seed.yaml`) and one of so many times its sessions in
turn, through the commands that users run. The search is one trial of five sweeps, cold, so that it ends in minutes;
its memory is compared with the growth of the training matrix.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Measured, machine, measure, python
from looplib.config import load_config
from sim.collect.collection import CollectConfig

COLLECT = Path("configs/collect/seed.yaml")
SEARCH = Path("configs/seed.yaml")
ONE_TRIAL = ("search.space={factors: [64], regularization: [10.0], alpha: [10.0]}", "search.sweeps=5")
app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Step:
    """A step at both sizes; `bytes` is what it left."""

    name: str
    small: Measured
    large: Measured
    small_bytes: int
    large_bytes: int


@app.command()
def compare(
    times: Annotated[int, typer.Option(min=2, help="How many times the sessions.")] = 10,
    out: Annotated[Path, typer.Option(help="Scratch folder; takes 2 GB and as many times 2 GB.")] = Path("out/scale"),
) -> None:
    """Runs each step at both sizes and prints the table."""
    episodes = load_config(CollectConfig, COLLECT).episodes
    folders = (out / "1", out / str(times))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    collect = [_collect_argv(folder, episodes * n) for folder, n in zip(folders, (1, times), strict=True)]
    steps = [
        _step("collect", collect, [folder / "log" for folder in folders]),
        _step("ingest", [_ingest_argv(folder) for folder in folders], [folder / "store" for folder in folders]),
        _step("search", [_search_argv(folder) for folder in folders], [folder / "store/cache" for folder in folders]),
    ]
    console = Console(width=120)
    console.print(_table(steps, times))
    interactions = [_interactions(folder) for folder in folders]
    console.print(f"training interactions: {interactions[0]:,} and {interactions[1]:,}", highlight=False)
    console.print(machine("implicit", "dask", "duckdb", "numpy"), highlight=False)


def _step(name: str, argvs: list[list[str]], results: list[Path]) -> Step:
    small, large = (measure(argv) for argv in argvs)
    small_bytes, large_bytes = (_size(folder) for folder in results)
    return Step(name, small, large, small_bytes, large_bytes)


def _collect_argv(folder: Path, episodes: int) -> list[str]:
    return python("-m", "sim.run", "--config", COLLECT, "--episodes", episodes, "--log", folder / "log")


def _ingest_argv(folder: Path) -> list[str]:
    return python("-m", "recsys.ingest", folder / "log", "--store", folder / "store")


def _search_argv(folder: Path) -> list[str]:
    sets = [word for setting in ONE_TRIAL for word in ("--set", setting)]
    places = ("--store", folder / "store", "--run", folder / "run")
    return python("-m", "recsys.search", "--config", SEARCH, *places, "--no-export", *sets)


def _table(steps: list[Step], times: int) -> Table:
    headings = (
        "step",
        "s",
        f"s, {times} x",
        "ratio",
        "MiB",
        f"MiB, {times} x",
        "ratio",
        "left MB",
        f"left MB, {times} x",
        "ratio",
    )
    table = Table(*headings, title=f"{times} x the sessions; memory of all processes together")
    for step in steps:
        cells = [step.name]
        for small, large in (
            (step.small.wall_s, step.large.wall_s),
            (step.small.peak_mib, step.large.peak_mib),
            (step.small_bytes / 1e6, step.large_bytes / 1e6),
        ):
            cells += [f"{small:,.1f}", f"{large:,.1f}", f"{large / small:.1f}"]
        table.add_row(*cells)
    return table


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _interactions(folder: Path) -> int:
    facts = json.loads(next((folder / "store" / "cache").glob("*/dataset.json")).read_text())
    return int(facts["interactions"])


if __name__ == "__main__":
    app()
