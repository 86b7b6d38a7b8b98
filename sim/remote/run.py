"""A run against a service: its sessions in one process or several, and its summary file.

Each process has an event loop with its session pools. With more than one, each has listeners of its
own and is told to stop by a message; one whose parent is gone stops too. Ctrl-C and SIGTERM have
open sessions ended; twice kills.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from multiprocessing.connection import Connection
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
from sim.workers import handle_signals, messages, start_workers
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
        if config.processes == 1:
            counts = asyncio.run(_play_here(model, config, report))
        else:
            counts = _play_in_workers(model, config, report)
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
        "processes": config.processes,
        **counts,
    }
    try:
        atomic_write_json(file, document)
    except OSError as error:
        raise SimError(f"{file}: cannot be written ({error.strerror})") from None


async def play_share(
    model: ListeningModel,
    config: RemoteConfig,
    share: tuple[int, int],
    stop: asyncio.Event,
    report: ReportDone = lambda _: None,
) -> Counts:
    """Play one process's share of the sessions.

    Args:
        model: The listeners.
        config: The service, and how many sessions.
        share: Which process it is, of how many.
        stop: Ends the open sessions, and the run, when it is set.
        report: Is called every half second with how many sessions are through.
    """
    counts = Counts.empty(model.world.listeners)
    draws = SessionDraws(config.seed, model)
    queue = SessionQueue(draws, config.episodes, share)
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


async def _play_here(
    model: ListeningModel, config: RemoteConfig, report: ReportDone
) -> Counts:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with handle_signals(lambda: loop.call_soon_threadsafe(stop.set)) as received:
        counts = await play_share(model, config, (0, 1), stop, report)
    counts.was_interrupted = bool(received)
    return counts


def _play_in_workers(
    model: ListeningModel, config: RemoteConfig, report: ReportDone
) -> Counts:
    total = Counts.empty(model.world.listeners)
    pipes: list[Connection] = []
    done: dict[Connection, int] = {}

    def stop() -> None:
        for pipe in pipes:
            with suppress(OSError):  # it has ended, and reading its pipe says how
                pipe.send(None)

    arguments = [
        (model, config, (share, config.processes)) for share in range(config.processes)
    ]
    with (
        handle_signals(stop) as received,
        start_workers(_work, arguments, config.timeout_s) as workers,
    ):
        pipes.extend(workers)
        if received:
            stop()  # the signal came while they were started
        for pipe, message in messages(workers):
            if isinstance(message, Counts):
                total.add(message)
                if message.error:
                    stop()
            else:
                done[pipe] = message
                report(sum(done.values()))
    total.was_interrupted = bool(received)
    return total


def _work(
    pipe: Connection,
    model: ListeningModel,
    config: RemoteConfig,
    share: tuple[int, int],
) -> None:
    """Play a worker's share: numbers of sessions go out, then the counts; any message in stops."""

    def send(message: int | Counts) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone
            pipe.send(message)

    async def play() -> Counts:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def on_message() -> None:
            loop.remove_reader(pipe)
            stop.set()

        loop.add_reader(pipe, on_message)
        return await play_share(model, config, share, stop, send)

    send(asyncio.run(play()))
