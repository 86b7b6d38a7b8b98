"""A run against a service: its sessions, and its summary file.

Session pools share an event loop. Ctrl-C and SIGTERM have open sessions ended; twice kills.
"""

import asyncio
import signal
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
from sim.worlds.files import World, load_world

SCHEMA = 4

_REPORT_S = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_remote(config: RemoteConfig, say: Callable[[str], None]) -> int:
    """Drive a service, show the results line by line with `say`, and return the exit code.

    Raises:
        SimError: World or service cannot be used; what was done so far is shown and in the summary
            file.
    """
    model = make_model(load_world(config.world))
    began = time.monotonic()
    with progress("listening", config.episodes, "sessions") as report:
        counts = asyncio.run(play(model, config, report))
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


async def play(
    model: ListeningModel,
    config: RemoteConfig,
    report: Callable[[int], object] = lambda _: None,
) -> Counts:
    """Play all sessions, or until a signal or an error ends the run.

    `report` is called every half second with how many sessions are through.
    """
    counts = Counts.empty(model.world.listeners)
    draws = SessionDraws(config.seed, model)
    queue = SessionQueue(draws, config.episodes)
    stop = asyncio.Event()
    _stop_at_signals(stop, counts)
    client = ServiceClient(config, model.world.tracks, stop, counts)
    async with aclosing(client):
        pools = [
            SessionPool(model, config.batch or 1, draws, queue, client)
            for _ in range(config.pools)
        ]
        playing = asyncio.gather(*(pool.run() for pool in pools))
        while not playing.done():
            await asyncio.wait([playing], timeout=_REPORT_S)
            report(counts.done)
        await playing
    return counts


def _stop_at_signals(stop: asyncio.Event, counts: Counts) -> None:
    """Set an event at Ctrl-C or SIGTERM; the next one ends the process at once."""
    loop = asyncio.get_running_loop()

    def handle() -> None:
        counts.was_interrupted = True
        stop.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, handle)
