"""Sessions a second that listeners play against the service: one request at a time, many, and in batches.

    python -m benchmarks.remote --world out/seed/world
    python -m benchmarks.remote --sessions 1000000 --only "batches of 500, 2 processes"    # is the memory flat?

The service runs as users run it, with random lists for the world's listeners: in one process without Redis, or in two
with it. The ways of asking are run in turns. Beside the rate stands what an event costs each side in CPU time; on few
cores the two, and Redis, take it from each other. Needs redis-server for two processes of the service.
"""

import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import machine, python
from sim.worlds.files import load_world
from tests.botify.exports import publish, random_lists
from tests.botify.redis_server import RedisServer
from tests.faults.served import Published, Served, serve

WAYS = {
    "one request at a time": (1, ["--concurrency", "1"]),
    "64 requests at a time": (2, []),
    "batches of 500": (20, ["--batch", "500"]),
    "batches of 500, 2 processes": (20, ["--batch", "500", "--processes", "2", "--concurrency", "2"]),
}
_SAMPLE_S = 0.5
app = typer.Typer(add_completion=False)
console = Console()


@dataclass(frozen=True)
class Traffic:
    """A measured run of `sim.run`.

    Attributes:
        sessions_s: Whole sessions a second; the start of worker processes counts, reading the world does not.
        client_us: CPU time of the client for an event, its start included.
        service_us: CPU time of the service for an event.
        early_mib: Memory of the client's processes when a quarter of the run's time had passed (PSS).
        late_mib: The most of the last quarter.
    """

    sessions_s: float
    client_us: float
    service_us: float
    early_mib: float
    late_mib: float


@app.command()
def compare(
    world: Annotated[Path, typer.Option(help="Folder of the world.")] = Path("out/seed/world"),
    processes: Annotated[int, typer.Option(min=1, max=2, help="Of the service; two need Redis.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Of each process of the service.")] = 1,
    sessions: Annotated[int, typer.Option(min=10, help="One request at a time; more where it is faster.")] = 2000,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    only: Annotated[str | None, typer.Option(help=f"One of: {', '.join(WAYS)}; with exactly so many sessions.")] = None,
) -> None:
    """Runs all ways in turns and prints the table."""
    ways = {only: (1, WAYS[only][1])} if only else WAYS
    runs: dict[str, list[Traffic]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix="remote-benchmark-") as name, _redis(Path(name), processes) as redis_url:
        published = _publish(world, Path(name))
        settings: dict[str, Any] = {"processes": processes, "threads": threads, "redis_url": redis_url}
        with serve(published, Path(name) / "log", **settings) as served:
            for _ in range(repeats):
                for way, (times, words) in ways.items():
                    runs[way].append(_measure(world, served, sessions * times, words, Path(name)))
    _show(f"{processes} process(es) of the service, {threads} thread(s) each", runs)
    console.print(machine("aiohttp", "numpy", "granian"))


def _publish(world: Path, folder: Path) -> Published:
    loaded = load_world(world)
    catalogue = folder / "tracks.json"
    shutil.copy(world / "tracks.json", catalogue)
    publish(folder, "one", random_lists(loaded.listeners, loaded.tracks), catalogue=catalogue, neighbours={0: [1]})
    return Published(folder)


def _measure(world: Path, served: Served, sessions: int, words: list[str], folder: Path) -> Traffic:
    summary = folder / "summary.json"
    argv = python("-m", "sim.run", "--recommender", "remote", "--world", world, "--episodes", sessions, *words)
    argv += ["--url", f"http://127.0.0.1:{served.port}", "--summary", str(summary)]
    before = _cpu_s(served.workers())
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        samples, client_s = _watch(process)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, argv)
    (day,) = orjson.loads(summary.read_bytes())["days"]
    if day["sessions"] != sessions:
        raise RuntimeError(f"{day['sessions']} of {sessions} sessions are whole: {day}")
    events = day["tracks"]["mean"] * sessions
    return Traffic(
        sessions_s=sessions / day["seconds"],
        client_us=1e6 * client_s / events,
        service_us=1e6 * (_cpu_s(served.workers()) - before) / events,
        early_mib=samples[len(samples) // 4],
        late_mib=max(samples[-len(samples) // 4 :]),
    )


def _watch(process: "subprocess.Popen[bytes]") -> tuple[list[float], float]:
    """Memory in MiB at each look, and the CPU seconds at the last one."""
    samples, cpu_s, tree = [0.0], 0.0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            family = [tree, *tree.children(recursive=True)]
            samples.append(sum(one.memory_full_info().pss for one in family) / 2**20)
            cpu_s = max(cpu_s, _cpu_s(family))
        except psutil.NoSuchProcess:
            continue
        time.sleep(_SAMPLE_S)
    return samples, cpu_s


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


@contextmanager
def _redis(folder: Path, processes: int) -> Iterator[str | None]:
    if processes == 1:
        yield None
        return
    server = RedisServer(folder)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def _show(title: str, runs: dict[str, list[Traffic]]) -> None:
    table = Table("", "sessions/s", "best", "client us/event", "service us/event", "client MiB", title=title)
    for way, found in runs.items():
        table.add_row(
            way,
            f"{statistics.median(run.sessions_s for run in found):,.0f}",
            f"{max(run.sessions_s for run in found):,.0f}",
            f"{statistics.median(run.client_us for run in found):.1f}",
            f"{statistics.median(run.service_us for run in found):.1f}",
            f"{found[-1].early_mib:.0f} .. {found[-1].late_mib:.0f}",
        )
    console.print(table)


if __name__ == "__main__":
    app()
