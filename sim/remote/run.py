"""A run against a service, day after day, its sessions in one process or several, and its summary file.

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
from typing import Any

from looplib.cli import EXIT_INTERRUPTED
from looplib.files import atomic_write_json
from looplib.progress import progress
from sim.errors import SimError
from sim.listening.draws import SessionDraws
from sim.listening.sessions import ListeningModel, make_model
from sim.remote.config import RemoteConfig
from sim.remote.service import Service
from sim.remote.sessions import SessionPool, SessionQueue
from sim.remote.summary import Counts, day_document, describe_day
from sim.workers import handle_signals, messages, start_workers
from sim.worlds.files import World, load_world

SCHEMA = 3

Report = Callable[[int], Any]

_REPORT_S = 0.5


def run_remote(
    config: RemoteConfig, go_on: Callable[[int], bool], say: Callable[[str], None]
) -> int:
    """Drive a service, show the results, and return the exit code.

    `go_on` is asked before each day but the first one, with its number, whether it is to begin;
    `say` shows a line.

    Raises:
        SimError: World or service cannot be used; what was done so far is shown and in the summary
            file.
    """
    model = make_model(load_world(config.world))
    days: list[dict[str, object]] = []
    for day in range(1, config.days + 1):
        if day > 1 and not go_on(day):
            break
        sessions = range((day - 1) * config.episodes, day * config.episodes)
        began = time.monotonic()
        with progress(f"day {day}", config.episodes, "sessions") as report:
            if config.processes == 1:
                counts = asyncio.run(_run_here(model, config, sessions, report))
            else:
                counts = _run_in_workers(model, config, sessions, report)
        seconds = time.monotonic() - began
        for line in describe_day(day, seconds, counts):
            say(line)
        days.append(day_document(day, seconds, counts))
        if config.summary:
            _write_summary(config, config.summary, model.world, days)
        if counts.error:
            raise counts.error
        if counts.was_interrupted:
            return EXIT_INTERRUPTED
    return 0


def _write_summary(
    config: RemoteConfig, file: Path, world: World, days: list[dict[str, object]]
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
        "days": days,
    }
    try:
        atomic_write_json(file, document)
    except OSError as error:
        raise SimError(f"{file}: cannot be written ({error.strerror})") from None


async def drive(
    model: ListeningModel,
    config: RemoteConfig,
    sessions: range,
    share: tuple[int, int],
    stop: asyncio.Event,
    report: Report = lambda _: None,
) -> Counts:
    """Play one process's share of the sessions: `share` says which of how many processes it is.

    Setting `stop` ends the open sessions; `report` is called every half second with how many
    sessions are through.
    """
    counts, draws = (
        Counts.empty(model.world.listeners),
        SessionDraws(config.seed, model),
    )
    queue = SessionQueue(draws, sessions, share)
    async with aclosing(Service(config, model.world.tracks, stop, counts)) as service:
        pools = [
            SessionPool(model, config.batch or 1, draws, queue, service)
            for _ in range(config.pools)
        ]
        playing = asyncio.gather(*(pool.run() for pool in pools))
        while not playing.done():
            await asyncio.wait([playing], timeout=_REPORT_S)
            report(counts.done)
        await playing
    counts.skipped = queue.skipped
    return counts


async def _run_here(
    model: ListeningModel, config: RemoteConfig, sessions: range, report: Report
) -> Counts:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    with handle_signals(lambda: loop.call_soon_threadsafe(stop.set)) as received:
        counts = await drive(model, config, sessions, (0, 1), stop, report)
    counts.was_interrupted = bool(received)
    return counts


def _run_in_workers(
    model: ListeningModel, config: RemoteConfig, sessions: range, report: Report
) -> Counts:
    total = Counts.empty(model.world.listeners)
    pipes: list[Connection] = []
    done: dict[Connection, int] = {}

    def stop() -> None:
        for pipe in pipes:
            with suppress(
                OSError
            ):  # it has ended, and the reading of its pipe says how
                pipe.send(None)

    arguments = [
        (model, config, sessions, (share, config.processes))
        for share in range(config.processes)
    ]
    with (
        handle_signals(stop) as received,
        start_workers(_work, arguments, config.timeout_s) as workers,
    ):
        pipes.extend(workers)
        if received:
            stop()  # it came while they were started
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
    sessions: range,
    share: tuple[int, int],
) -> None:
    """Play a worker's share: numbers of sessions go out, at last the counts; whatever comes in means stop."""

    async def run() -> Counts:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def on_message() -> None:
            loop.remove_reader(pipe)
            stop.set()

        loop.add_reader(pipe, on_message)
        return await drive(model, config, sessions, share, stop, send)

    def send(message: int | Counts) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone
            pipe.send(message)

    send(asyncio.run(run()))
