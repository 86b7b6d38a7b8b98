"""Collection of the full-size log, through the command that users run.

    python -m benchmarks.collect --repeats 3

Each run makes the log anew, beside the world of its configuration, which is made first where there is none.
"""

import resource
import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import machine, measure, python
from looplib.config import load_config
from sim.collect.collection import CollectConfig

_READ_BYTES = 1 << 24
app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Collection:
    """One measured run."""

    wall_s: float
    cpu_s: float  # user and system time of all processes together
    peak_mib: float  # memory of all processes together
    events: int
    size_mib: float  # of the log


@app.command()
def compare(
    config: Annotated[Path, typer.Option(help="What to collect.")] = Path("configs/collect/seed.yaml"),
    world_config: Annotated[Path, typer.Option(help="The world, if it is to be made.")] = Path(
        "configs/world/seed.yaml"
    ),
    processes: Annotated[list[int] | None, typer.Option(help="Repeatable: numbers of processes to compare.")] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    log: Annotated[Path, typer.Option(help="Where the logs go; removed afterwards.")] = Path("out/benchmark/log"),
) -> None:
    """Runs every number of processes in turn and prints the table."""
    settings = load_config(CollectConfig, config)
    if not settings.world.exists():
        measure(python("-m", "sim.world", "--config", world_config, "--out", settings.world))
    counts = processes or [1, 2]
    runs: dict[int, list[Collection]] = {count: [] for count in counts}
    for _ in range(repeats):
        for count in counts:
            runs[count].append(_collect(config, log, count))
    _show(settings, runs)


def _collect(config: Path, log: Path, processes: int) -> Collection:
    shutil.rmtree(log, ignore_errors=True)
    before = _children_cpu_s()
    measured = measure(python("-m", "sim.run", "--config", config, "--log", log, "--processes", processes))
    cpu_s = _children_cpu_s() - before
    segments = sorted(log.glob("events-*.jsonl"))
    result = Collection(
        wall_s=measured.wall_s,
        cpu_s=cpu_s,
        peak_mib=measured.peak_mib,
        events=sum(_count_lines(segment) for segment in segments),
        size_mib=sum(segment.stat().st_size for segment in segments) / 2**20,
    )
    shutil.rmtree(log)
    return result


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _count_lines(path: Path) -> int:
    lines = 0
    with path.open("rb") as file:
        while block := file.read(_READ_BYTES):
            lines += block.count(b"\n")
    return lines


def _show(settings: CollectConfig, runs: dict[int, list[Collection]]) -> None:
    some = next(iter(runs.values()))[0]
    title = f"{settings.episodes:,} sessions, {some.events:,} events, {some.size_mib:,.0f} MiB; medians"
    table = Table("processes", "wall, s", "runs, s", "sessions/s", "CPU, s", "peak memory, MiB", title=title)
    for count, results in runs.items():
        wall_s = statistics.median(run.wall_s for run in results)
        table.add_row(
            str(count),
            f"{wall_s:.1f}",
            ", ".join(f"{run.wall_s:.1f}" for run in results),
            f"{settings.episodes / wall_s:,.0f}",
            f"{statistics.median(run.cpu_s for run in results):.1f}",
            f"{max(run.peak_mib for run in results):,.0f}",
        )
    console = Console(width=120)
    console.print(table)
    console.print(machine("numpy", "orjson"))


if __name__ == "__main__":
    app()
