"""A run against a service: its sessions and its summary file.

Ctrl-C and SIGTERM have open sessions ended; twice kills.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from looplib.cli import EXIT_INTERRUPTED
from looplib.files import atomic_write_json
from looplib.progress import progress
from sim.errors import SimError
from sim.listening.draws import SessionDraws
from sim.listening.sessions import ListeningModel, make_model
from sim.remote.client import ServiceClient
from sim.remote.config import RemoteConfig
from sim.remote.sessions import SessionPool, SessionQueue
from sim.remote.summary import Counts
from sim.workers import handle_signals
from sim.worlds.files import World, load_world

SCHEMA = 4

ReportDone = Callable[[int], object]

_REPORT_S = 0.5


def run_remote(config: RemoteConfig, say: Callable[[str], None]) -> int:
    """Drive a service, show the results line by line with `say`, and return the exit code.

    Raises:
        SimError: World or service cannot be used; what was done so far is shown and in the summary
            file.
    """
    model = make_model(load_world(config.world))
    began = time.monotonic()
    with progress("listening", config.episodes, "sessions") as report:
        counts = asyncio.run(_play(model, config, report))
    seconds = time.monotonic() - began
    for line in counts.lines(seconds):
        say(line)
    if config.summary:
        _write_summary(config, config.summary, model.world, counts.document(seconds))
    if counts.error:
        raise counts.error
    return EXIT_INTERRUPTED if counts.was_interrupted else 0


def _write_summary(
    config: RemoteConfig, file: Path, world: World, counts: dict[str, object]
) -> None:
    document = {
        "schema": SCHEMA,
        "url": config.address,
        "world": {"sha256": world.sha256},
        "seed": config.seed,
        "episodes": config.episodes,
        "batch": config.batch,
        "concurrency": config.pools,
        **counts,
    }
    try:
        atomic_write_json(file, document)
    except OSError as error:
        raise SimError(f"{file}: cannot be written ({error.strerror})") from None


async def play_sessions(
    model: ListeningModel,
    config: RemoteConfig,
    stop: asyncio.Event,
    report: ReportDone = lambda _: None,
) -> Counts:
    """Play the sessions of a run.

    Args:
        model: The listeners.
        config: The service, and how many sessions.
        stop: Ends the open sessions, and the run, when it is set.
        report: Is called every half second with how many sessions are through.
    """
    counts = Counts.empty(model.world.listeners)
    draws = SessionDraws(config.seed, model)
    queue = SessionQueue(draws, config.episodes)
    size = config.batch or 1
    client = ServiceClient(config, model.world.tracks, stop, counts)
    async with aclosing(client):
        pools = [
            SessionPool(model, size, draws, queue, client) for _ in range(config.pools)
        ]
        playing = asyncio.gather(*(pool.run() for pool in pools))
        while not playing.done():
            await asyncio.wait([playing], timeout=_REPORT_S)
            report(counts.done)
        await playing
    return counts


async def _play(
    model: ListeningModel, config: RemoteConfig, report: ReportDone
) -> Counts:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with handle_signals(lambda: loop.call_soon_threadsafe(stop.set)) as received:
        counts = await play_sessions(model, config, stop, report)
    counts.was_interrupted = bool(received)
    return counts
