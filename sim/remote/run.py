"""A run against a service: its sessions and its summary file."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass

import numpy as np

from looplib.arrays import IntArray
from looplib.files import atomic_write_json
from looplib.progress import progress
from sim.listening.sessions import SessionBatch
from sim.remote.client import RecommendationClient
from sim.remote.config import RemoteConfig
from sim.remote.sessions import SessionQueue, draw_session_starts, play_pool
from sim.worlds.files import World, load_world, world_digest

SCHEMA = 5


@dataclass
class TrafficTotals:
    """What all sessions of a run heard."""

    sessions: int = 0
    tracks: int = 0  # the organic ones included
    hundredths: int = 0  # shares heard of these tracks, summed
    retries: int = 0  # requests sent again


def run_remote(config: RemoteConfig, say: Callable[[str], None]) -> None:
    """Drive a service, show the results by `say`, and write the summary file.

    Raises:
        SimError: World or service cannot be used.
    """
    world = load_world(config.world)
    began = time.monotonic()
    with progress("listening", config.episodes, "sessions") as report:
        totals = asyncio.run(play_sessions(world, config, report))
    seconds = time.monotonic() - began
    tracks = totals.tracks / totals.sessions
    listened = totals.hundredths / 100 / totals.sessions
    say(
        f"{totals.sessions:,} sessions, {totals.sessions / seconds:,.0f} a second; "
        f"tracks a session {tracks:.3f}, listening time {listened:.3f}"
    )
    if totals.retries:
        say(f"{totals.retries:,} requests sent again")
    if config.summary:
        document = {
            "schema": SCHEMA,
            **config.model_dump(mode="json"),
            "world": {"sha256": world_digest(config.world)},
            "seconds": round(seconds, 3),
            **asdict(totals),
            "tracks": tracks,
            "time": listened,
        }
        atomic_write_json(config.summary, document)


async def play_sessions(
    world: World,
    config: RemoteConfig,
    report: Callable[[int], object] = lambda _: None,
) -> TrafficTotals:
    """Play the sessions of a run.

    Args:
        world: The listeners.
        config: The service, and how many sessions.
        report: Is called with the number of sessions that are over.

    Raises:
        SimError: The service has no good answer.
    """
    totals = TrafficTotals()

    def count(batch: SessionBatch, rows: IntArray) -> None:
        totals.sessions += len(rows)
        totals.tracks += int(batch.length[rows].sum())
        totals.hundredths += int(batch.hundredths[:, rows].sum())
        report(totals.sessions)

    seed = config.seed
    starts = draw_session_starts(world, seed, np.arange(config.episodes))
    queue = SessionQueue(starts.listeners)
    async with aclosing(RecommendationClient(config, world.tracks)) as client:
        batches = [
            SessionBatch(world, config.batch or 1) for _ in range(config.concurrency)
        ]
        pools = [
            play_pool(batch, starts, queue, client, seed, count) for batch in batches
        ]
        await asyncio.gather(*pools)
        totals.retries = client.retries
    return totals
