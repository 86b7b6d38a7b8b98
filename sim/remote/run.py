"""Play the sessions of a run against a service.

A session follows from the seed and its number alone, whatever is played beside it.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import aclosing

import numpy as np

from looplib.arrays import FloatArray, IntArray
from looplib.progress import progress
from sim.config import SimulateConfig
from sim.listening.draws import scale_below, session_draws
from sim.listening.sessions import LONGEST_SESSION, SessionBatch, find_starts
from sim.remote.client import CONCURRENCY, RecommendationClient
from sim.worlds.files import World, load_world

# purposes of a session's draws
_LISTENER, _INTEREST, _ORGANIC, _FIRST_TRACK = range(4)
_REPEAT = _FIRST_TRACK + LONGEST_SESSION  # behind the draws of its tracks

Totals = Counter[str]
"""`sessions` played, `tracks` with the organic ones, `hundredths` heard of them, and `retries`, the
requests that were sent again."""


Starts = tuple[IntArray, IntArray, IntArray]
"""The listeners, the interests and the organic tracks of sessions, each (sessions,)."""


def run_remote(config: SimulateConfig, say: Callable[[str], None]) -> None:
    """Drive a service, and show the results by `say`.

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

        Each round reports the tracks of all sessions. The pool that ends a listener's session opens
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
        await asyncio.gather(*(play_pool(client) for _ in range(CONCURRENCY)))
        totals["retries"] = client.retries
    return totals


def draw_session_starts(world: World, seed: int, sessions: IntArray) -> Starts:
    """Draw how each session begins, by its number."""
    limits = np.full(len(sessions), world.listeners)
    listeners = scale_below(limits, session_draws(seed, sessions, _LISTENER))
    first = world.interest_offsets[listeners]
    interests = world.interest_offsets[listeners + 1] - first
    neighbours = world.interest_neighbours[listeners]
    starts = find_starts(
        world,
        listeners,
        first + scale_below(interests, session_draws(seed, sessions, _INTEREST)),
        scale_below(neighbours, session_draws(seed, sessions, _ORGANIC)),
        session_draws(seed, sessions, _REPEAT) < world.nature.repeats,
    )
    return listeners, *starts


def draw_boredom(seed: int, sessions: IntArray, lengths: IntArray) -> FloatArray:
    """Draw from (0, 1) for each session's next track, after `lengths` tracks were played."""
    return session_draws(seed, sessions, _FIRST_TRACK + lengths - 1)


class SessionQueue:
    """Sessions in the order of their numbers, except that a listener has only one open."""

    def __init__(self, listeners: IntArray) -> None:
        """Queue the sessions 0..n-1 of these listeners (n,)."""
        self._waiting: dict[int, deque[int]] = {}  # sessions by listener, ascending
        for number, listener in enumerate(listeners.tolist()):
            self._waiting.setdefault(listener, deque()).append(number)
        self._ready: deque[int] = deque()  # sessions whose listeners have none open
        self.free(self._waiting)

    def take(self, most: int) -> IntArray:
        """Take the numbers of up to `most` sessions, to be opened now."""
        count = min(most, len(self._ready))
        return np.array([self._ready.popleft() for _ in range(count)], dtype=np.int64)

    def free(self, listeners: Iterable[int]) -> None:
        """Let these listeners have other sessions, as theirs are over."""
        waiting = (self._waiting[listener] for listener in listeners)
        self._ready += (sessions.popleft() for sessions in waiting if sessions)
