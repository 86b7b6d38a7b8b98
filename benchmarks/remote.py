"""Sessions a second that simulated listeners play against the service: one request at a time, many, and in batches.

    python -m benchmarks.remote
    python -m benchmarks.remote --sessions 1000000 --only "batches of 500"    # is the memory flat?

The service runs as users run it, in one process with random lists for the world's listeners. Beside the rate stands
what an event costs each side in CPU time; on few cores the two take it from each other.
"""

import shutil
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer

from benchmarks.harness import SEED_WORLD, cpu_s, measure, python, show, show_machine, take_turns
from sim.worlds.files import load_world
from tests.botify.exports import publish, random_lists
from tests.faults.served import Published, Served, serve

WAYS: dict[str, tuple[int, tuple[str, ...]]] = {
    "one request at a time": (1, ("--concurrency", "1")),
    "64 requests at a time": (2, ()),
    "batches of 500": (20, ("--batch", "500")),
}


HEADER = ("", "sessions/s", "client us/event", "service us/event", "client MiB")
Traffic = tuple[float, float, float, float]  # in the columns of the header; us of CPU time, the client's peak memory


def main(
    world: Path = SEED_WORLD,
    sessions: Annotated[int, typer.Option(min=10, help="One request at a time; more where it is faster.")] = 2000,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    only: Annotated[str | None, typer.Option(help=f"One of: {', '.join(WAYS)}; with exactly so many sessions.")] = None,
) -> None:
    """Play all ways in turns and print the table."""
    with tempfile.TemporaryDirectory(prefix="remote-benchmark-") as name:
        folder = Path(name)
        loaded = load_world(world)
        catalogue = Path(shutil.copy(world / "tracks.json", folder / "tracks.json"))
        lists = random_lists(loaded.listeners, loaded.tracks)
        publish(folder, "one", lists, catalogue=catalogue, neighbours={0: [1]})
        with serve(Published(folder), folder / "log", processes=1, threads=1) as served:
            kinds: dict[str, Callable[[], Traffic]] = {
                way: partial(_play, world, served, folder, sessions if only else sessions * times, words)
                for way, (times, words) in WAYS.items()
                if only in (None, way)
            }
            runs = take_turns(kinds, repeats)
    rows = []
    for way, found in runs.items():
        rates, client_us, service_us, peaks_mib = zip(*found, strict=True)
        cpu = (f"{statistics.median(client_us):.1f}", f"{statistics.median(service_us):.1f}")
        rows.append((way, f"{statistics.median(rates):,.0f}", *cpu, f"{max(peaks_mib):.0f}"))
    show("One process of the service", HEADER, rows)
    show_machine("aiohttp", "numpy", "httptools")


def _play(world: Path, served: Served, folder: Path, sessions: int, words: tuple[str, ...]) -> Traffic:
    summary = folder / "summary.json"
    argv = python("-m", "sim.run", "--recommender", "remote", "--world", world, "--episodes", sessions, *words)
    workers = [worker.pid for worker in served.workers()]
    before_s = cpu_s(workers)
    measured = measure([*argv, "--url", f"http://127.0.0.1:{served.port}", "--summary", str(summary)])
    (day,) = orjson.loads(summary.read_bytes())["days"]
    if day["sessions"] != sessions:
        raise RuntimeError(f"{day['sessions']} of {sessions} sessions are whole: {day}")
    events = day["tracks"]["mean"] * sessions
    service_s = cpu_s(workers) - before_s
    return sessions / day["seconds"], 1e6 * measured.cpu_s / events, 1e6 * service_s / events, measured.peak_mib


if __name__ == "__main__":
    typer.run(main)
