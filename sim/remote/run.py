"""A run against a service: its sessions and its summary file."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing

import numpy as np

from looplib.files import atomic_write_json
from looplib.progress import progress
from sim.config import SimulateConfig
from sim.listening.sessions import LONGEST_SESSION, SessionBatch
from sim.remote.client import RecommendationClient
from sim.remote.sessions import SessionQueue, draw_boredom, draw_session_starts
from sim.worlds.files import World, load_world, world_digest

Totals = Counter[str]
"""`sessions` played, `tracks` with the organic ones, `hundredths` heard of them, and `retries`, the
requests that were sent again."""


def run_remote(config: SimulateConfig, say: Callable[[str], None]) -> None:
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
    config: SimulateConfig,
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
    totals, seed = Totals(), config.seed
    starts = draw_session_starts(world, seed, np.arange(config.episodes))
    queue = SessionQueue(starts[0])

    async def play_pool(client: RecommendationClient) -> None:
        """Play sessions of the queue that share a request, until there are none to open.

        Each round reports what all of them heard. The pool that ends a listener's session opens
        the next one.
        """
        batch = SessionBatch(world, config.batch)
        number = np.zeros(len(batch.budget), dtype=np.int64)
        while True:
            free = np.flatnonzero(batch.budget <= 0)
            opened = queue.take(len(free))
            rows = free[: len(opened)]
            number[rows] = opened
            batch.start(rows, *(column[opened] for column in starts))
            rows = batch.under_way()
            if not len(rows):
                return
            tracks = await client.next(batch.listener[rows], *batch.last(rows))
            draws = draw_boredom(seed, number[rows], batch.length[rows])
            batch.hear(rows, tracks, draws)
            batch.budget[batch.length >= LONGEST_SESSION] = 0
            over = rows[batch.budget[rows] <= 0]
            if len(over):
                await client.report("last", batch.listener[over], *batch.last(over))
                queue.free(batch.listener[over].tolist())
                totals["sessions"] += len(over)
                totals["tracks"] += int(batch.length[over].sum())
                totals["hundredths"] += int(batch.hundredths[:, over].sum())
                report(totals["sessions"])

    async with aclosing(RecommendationClient(config, world.tracks)) as client:
        await asyncio.gather(*(play_pool(client) for _ in range(config.concurrency)))
        totals["retries"] = client.retries
    return totals
