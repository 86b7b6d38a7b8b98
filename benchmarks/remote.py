"""Sessions a second that simulated listeners play against the service, one by one and in batches.

    python -m benchmarks.remote

The service runs as users run it, in one process with random lists for the world's listeners. On few
cores the two take CPU time from each other.
"""

import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer

from benchmarks.harness import (
    SEED_WORLD,
    measure_module,
    show,
    show_machine,
    take_turns,
)
from sim.worlds.files import load_world
from tests.botify.exports import publish, random_lists
from tests.faults.served import Published, Served, serve

# how many times the sessions, and the options
WAYS: dict[str, tuple[int, dict[str, int]]] = {
    "one request at a time": (1, {"concurrency": 1}),
    "64 requests at a time": (2, {"concurrency": 64}),
    "batches of 500": (20, {"batch": 500, "concurrency": 4}),
}


def main(
    world: Path = SEED_WORLD,
    sessions: Annotated[
        int,
        typer.Option(min=10, help="One request at a time; more where it is faster."),
    ] = 2000,
    repeats: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """Play all ways in turns and print the table."""
    with tempfile.TemporaryDirectory(prefix="remote-benchmark-") as name:
        folder, size = Path(name), load_world(world)
        (folder / "tracks.json").write_bytes((world / "tracks.json").read_bytes())
        published = Published(folder)
        lists = random_lists(size.listeners, size.tracks)
        publish(folder, "one", lists, catalogue=published.catalogue)
        with serve(published, folder / "log", processes=1, threads=1) as served:
            kinds = {
                way: partial(play, world, served, times * sessions, options)
                for way, (times, options) in WAYS.items()
            }
            rates = take_turns(kinds, repeats)
    rows = [(way, f"{statistics.median(turns):,.0f}") for way, turns in rates.items()]
    show("One process of the service", ("", "sessions/s"), rows)
    show_machine("aiohttp", "numpy", "granian")


def play(world: Path, served: Served, sessions: int, options: dict[str, int]) -> float:
    """Play sessions, all of which have to be whole.

    Returns:
        Sessions a second.
    """
    file = served.log.with_name("summary.json")
    measure_module(
        "sim.run",
        recommender="remote",
        world=world,
        episodes=sessions,
        url=f"http://127.0.0.1:{served.port}",
        summary=file,
        **options,
    )
    summary = orjson.loads(file.read_bytes())
    if summary["sessions"] != sessions:
        raise RuntimeError(f"not all of {sessions} sessions are whole: {summary}")
    return float(sessions / summary["seconds"])


if __name__ == "__main__":
    typer.run(main)
