"""Ten times the sessions: how the time and memory of each step grow.

    python -m benchmarks.scale            # both steps, about ten minutes
    python -m benchmarks.scale ingest     # one of them
    python -m benchmarks.scale search

The larger log is the full-size one, so many times, by other listeners. Both are ingested and searched by the commands
that users run. The search is one trial of five sweeps, cold, so that it ends in minutes.
"""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.data import enlarge
from benchmarks.harness import SEED_CONFIG, SEED_LOG, console, measure, python, show, show_machine

ONE_TRIAL = ("search.space={factors: [64], regularization: [10.0], alpha: [10.0]}", "search.sweeps=5", "context=null")


def main(
    steps: Annotated[list[str] | None, typer.Argument(help="Of ingest and search; both where none is named.")] = None,
    times: Annotated[int, typer.Option(min=2, help="How many times the sessions.")] = 10,
    log: Path = SEED_LOG,
    config: Annotated[Path, typer.Option(help="What to search.")] = SEED_CONFIG,
    out: Annotated[Path, typer.Option(help="Scratch folder; takes so many times 2.5 GB.")] = Path("out/scale"),
) -> None:
    """Run each step at both sizes and print the table."""
    larger, rows = out / f"log-{times}", []
    if not larger.exists():
        shutil.copy(log / "collection.json", enlarge(log, larger, times))  # names the catalogue, which is the same
    for step in steps or ["ingest", "search"]:
        found = [measure(_command(step, config, *where)) for where in ((log, out / "1"), (larger, out / str(times)))]
        pairs = ([run.wall_s for run in found], [run.cpu_s for run in found], [run.peak_mib for run in found])
        cells = (f"{one:,.1f}|{many:,.1f}|{many / one:.1f}".split("|") for one, many in pairs)
        rows.append((step, *(cell for pair in cells for cell in pair)))
    header = ("step", *(name for unit in ("s", "CPU s", "MiB") for name in (unit, f"{unit}, {times} x", "ratio")))
    show(f"{log} and {times} x as many sessions; memory of all processes together", header, rows)
    if "search" in (steps or ["search"]):
        few, most = (_interactions(out / name) for name in ("1", str(times)))
        console.print(f"training interactions: {few:,} and {most:,}, {most / few:.1f} x")
    show_machine("implicit", "dask", "duckdb", "numpy")


def _command(step: str, config: Path, log: Path, out: Path) -> list[str]:
    """Return the command of a step, which begins without what an earlier run left."""
    made = {"ingest": out / "store", "search": out / "store" / "cache"}[step]
    for folder in (made, out / "run"):
        shutil.rmtree(folder, ignore_errors=True)
    if step == "ingest":
        return python("-m", "recsys.ingest", log, "--store", out / "store")
    sets = [word for setting in ONE_TRIAL for word in ("--set", setting)]
    where = ("--config", config, "--store", out / "store", "--run", out / "run", "--no-export")
    return python("-m", "recsys.search", *where, *sets)


def _interactions(out: Path) -> int:
    facts = json.loads(next((out / "store" / "cache").glob("*/dataset.json")).read_text())
    return int(facts["interactions"])


if __name__ == "__main__":
    typer.run(main)
