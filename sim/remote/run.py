"""A run against a service: its sessions and its summary file."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing

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


Totals = Counter[str]
"""`sessions` played, `tracks` with the organic ones, `hundredths` heard of them, and `retries`, the
requests that were sent again."""


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
    sessions = totals["sessions"]
    tracks = totals["tracks"] / sessions
    listened = totals["hundredths"] / 100 / sessions
    say(
        f"{sessions:,} sessions, {sessions / seconds:,.0f} a second; "
        f"tracks a session {tracks:.3f}, listening time {listened:.3f}"
    )
    if retries := totals["retries"]:
        say(f"{retries:,} requests sent again")
    if config.summary:
        document = {
            "schema": SCHEMA,
            **config.model_dump(mode="json"),
            "world": {"sha256": world_digest(config.world)},
            "seconds": round(seconds, 3),
            **totals,
            "tracks": tracks,
            "time": listened,
        }
        atomic_write_json(config.summary, document)


async def play_sessions(
    world: World,
    config: RemoteConfig,
    report: Callable[[int], object] = lambda _: None,
) -> Totals:
    """Play the sessions of a run.

    Args:
        world: The listeners.
        config: The service, and how many sessions.
        report: Is called with the number of sessions that are over.

    Raises:
        SimError: The service has no good answer.
    """
    totals = Totals()

    def count(batch: SessionBatch, rows: IntArray) -> None:
        totals["sessions"] += len(rows)
        totals["tracks"] += int(batch.length[rows].sum())
        totals["hundredths"] += int(batch.hundredths[:, rows].sum())
        report(totals["sessions"])

    seed = config.seed
    starts = draw_session_starts(world, seed, np.arange(config.episodes))
    queue = SessionQueue(starts[0])
    async with aclosing(RecommendationClient(config, world.tracks)) as client:
        batches = [
            SessionBatch(world, config.batch or 1) for _ in range(config.concurrency)
        ]
        pools = [
            play_pool(batch, starts, queue, client, seed, count) for batch in batches
        ]
        await asyncio.gather(*pools)
        totals["retries"] = client.retries
    return totals
