"""A run against a service: its sessions and its summary file."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass

from looplib.arrays import IntArray
from looplib.files import atomic_write_json
from looplib.progress import progress
from sim.listening.draws import SessionDraws
from sim.listening.sessions import ListeningModel, make_model
from sim.remote.client import ServiceClient
from sim.remote.config import RemoteConfig
from sim.remote.sessions import SessionPool, SessionQueue
from sim.worlds.files import load_world

SCHEMA = 5


@dataclass
class Played:
    """What was heard."""

    sessions: int = 0
    tracks: int = 0  # the organic ones included
    hundredths: int = 0  # shares heard of these tracks, summed
    retries: int = 0  # requests sent again


def run_remote(config: RemoteConfig, say: Callable[[str], None]) -> None:
    """Drive a service, show the results by `say`, and write the summary file.

    Raises:
        SimError: World or service cannot be used.
    """
    model = make_model(load_world(config.world))
    began = time.monotonic()
    with progress("listening", config.episodes, "sessions") as report:
        played = asyncio.run(play_sessions(model, config, report))
    seconds = time.monotonic() - began
    tracks = played.tracks / played.sessions
    listened = played.hundredths / 100 / played.sessions
    say(
        f"{played.sessions:,} sessions, {played.sessions / seconds:,.0f} a second; "
        f"tracks a session {tracks:.3f}, listening time {listened:.3f}"
    )
    if played.retries:
        say(f"{played.retries:,} requests sent again")
    if config.summary:
        document = {
            "schema": SCHEMA,
            **config.model_dump(mode="json"),
            "world": {"sha256": model.world.sha256},
            "seconds": round(seconds, 3),
            **asdict(played),
            "tracks": tracks,
            "time": listened,
        }
        atomic_write_json(config.summary, document)


async def play_sessions(
    model: ListeningModel,
    config: RemoteConfig,
    report: Callable[[int], object] = lambda _: None,
) -> Played:
    """Play the sessions of a run.

    Args:
        model: The listeners.
        config: The service, and how many sessions.
        report: Is called with how many sessions are through.

    Raises:
        SimError: The service has no good answer.
    """
    played = Played()

    def note(lengths: IntArray, hundredths: IntArray) -> None:
        played.sessions += len(lengths)
        played.tracks += int(lengths.sum())
        played.hundredths += int(hundredths.sum())
        report(played.sessions)

    draws = SessionDraws(config.seed, model)
    queue = SessionQueue(draws, config.episodes)
    async with aclosing(ServiceClient(config, model.world.tracks)) as client:
        pools = [
            SessionPool(model, config.batch or 1, draws, queue, client)
            for _ in range(config.concurrency)
        ]
        await asyncio.gather(*(pool.run(note) for pool in pools))
        played.retries = client.retries
    return played
