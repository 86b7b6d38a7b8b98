"""A run against a service: its sessions and its summary file.

Ctrl-C and SIGTERM have open sessions ended; twice kills.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import aclosing

from looplib.cli import EXIT_INTERRUPTED
from looplib.files import atomic_write_json
from looplib.progress import progress
from sim.listening.draws import SessionDraws
from sim.listening.sessions import ListeningModel, make_model
from sim.remote.client import Counts, ServiceClient
from sim.remote.config import RemoteConfig
from sim.remote.sessions import SessionPool, SessionQueue
from sim.worlds.files import load_world

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
        counts = asyncio.run(_play_until_signal(model, config, report))
    seconds = time.monotonic() - began
    tracks = counts.tracks / max(counts.sessions, 1)
    listened = counts.hundredths / 100 / max(counts.sessions, 1)
    say(
        f"{counts.sessions:,} sessions, {counts.sessions / seconds:,.0f} a second; "
        f"tracks a session {tracks:.3f}, listening time {listened:.3f}"
    )
    is_whole = counts.sessions == config.episodes
    if not is_whole:
        say(f"{counts.interrupted:,} sessions ended early and not counted")
    for reason, count in counts.retries.most_common():
        say(f"{count:,} requests sent again: {reason}")
    if config.summary:
        early = str(counts.error or "interrupted")
        document = {
            "schema": SCHEMA,
            **config.model_dump(mode="json"),
            "url": config.address,
            "world": {"sha256": model.world.sha256},
            "seconds": round(seconds, 3),
            "ended_early": None if is_whole else early,
            "sessions": counts.sessions,
            "tracks": tracks,
            "time": listened,
            "interrupted": counts.interrupted,
            "requests": counts.requests,
            "retries": counts.retries,
        }
        atomic_write_json(config.summary, document)
    if counts.error:
        raise counts.error
    return 0 if is_whole else EXIT_INTERRUPTED


async def play_sessions(
    model: ListeningModel,
    config: RemoteConfig,
    stop: asyncio.Event,
    report: Callable[[int], object] = lambda _: None,
) -> Counts:
    """Play the sessions of a run.

    Args:
        model: The listeners.
        config: The service, and how many sessions.
        stop: Ends the open sessions, and the run, when it is set.
        report: Is called every half second with how many sessions are through.
    """
    counts = Counts()
    draws = SessionDraws(config.seed, model)
    queue = SessionQueue(draws, config.episodes)
    client = ServiceClient(config, model.world.tracks, stop, counts)
    async with aclosing(client):
        pools = [
            SessionPool(model, config.batch or 1, draws, queue, client)
            for _ in range(config.concurrency)
        ]
        playing = asyncio.gather(*(pool.run() for pool in pools))
        while not playing.done():
            await asyncio.wait([playing], timeout=_REPORT_S)
            report(counts.sessions + counts.interrupted)
        await playing
    return counts


async def _play_until_signal(
    model: ListeningModel, config: RemoteConfig, report: Callable[[int], object]
) -> Counts:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        stop.set()
        for number in _SIGNALS:  # the next one kills
            loop.remove_signal_handler(number)

    for number in _SIGNALS:
        loop.add_signal_handler(number, interrupt)
    return await play_sessions(model, config, stop, report)
