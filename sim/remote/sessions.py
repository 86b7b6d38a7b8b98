"""Sessions of a run against a service: what each draws, which comes next, who shares a request.

What a listener does follows from the seed and the number of the session alone, whatever is played
beside it.
"""

from collections import deque
from collections.abc import Callable, Iterable

import numpy as np

from looplib.arrays import FloatArray, IntArray
from sim.listening.draws import scale_below, session_draws
from sim.listening.sessions import (
    LONGEST_SESSION,
    SessionBatch,
    find_starts,
    interest_range,
)
from sim.remote.client import RecommendationClient
from sim.worlds.files import World

# what a session's draws are for
_LISTENER, _INTEREST, _ORGANIC, _FIRST_TRACK = range(4)
_REPEAT = _FIRST_TRACK + LONGEST_SESSION  # behind those of its tracks


Starts = tuple[IntArray, IntArray, IntArray]
"""The listeners, the interests and the organic tracks of sessions, each (sessions,)."""


def draw_session_starts(world: World, seed: int, sessions: IntArray) -> Starts:
    """Draw how each session begins, by its number."""
    limits = np.full(len(sessions), world.listeners)
    listeners = scale_below(limits, session_draws(seed, sessions, _LISTENER))
    first, end = interest_range(world, listeners)
    neighbours = world.interest_neighbours[listeners]
    starts = find_starts(
        world,
        listeners,
        first + scale_below(end - first, session_draws(seed, sessions, _INTEREST)),
        scale_below(neighbours, session_draws(seed, sessions, _ORGANIC)),
        session_draws(seed, sessions, _REPEAT) < world.response.repeats,
    )
    return listeners, *starts


def draw_boredom(seed: int, sessions: IntArray, lengths: IntArray) -> FloatArray:
    """Draw from (0, 1) for each session's next track, after `lengths` tracks were played."""
    return session_draws(seed, sessions, _FIRST_TRACK + lengths - 1)


class SessionQueue:
    """Sessions in the order of their numbers, except that a listener has one at a time."""

    def __init__(self, listeners: IntArray) -> None:
        """Queue the sessions 0..n-1 of these listeners (n,)."""
        self._waiting: dict[int, deque[int]] = {}  # by listener, ascending
        for number, listener in enumerate(listeners.tolist()):
            self._waiting.setdefault(listener, deque()).append(number)
        self._ready: deque[int] = deque()  # whose listeners have none open
        self.free(self._waiting)

    def take(self, most: int) -> IntArray:
        """Take the numbers of up to so many sessions, to be opened now."""
        count = min(most, len(self._ready))
        return np.array([self._ready.popleft() for _ in range(count)], dtype=np.int64)

    def free(self, listeners: Iterable[int]) -> None:
        """Let these listeners have other sessions, as theirs are over."""
        waiting = (self._waiting[listener] for listener in listeners)
        self._ready += (sessions.popleft() for sessions in waiting if sessions)


async def play_pool(
    batch: SessionBatch,
    starts: Starts,
    queue: SessionQueue,
    client: RecommendationClient,
    seed: int,
    report: Callable[[SessionBatch, IntArray], object],
) -> None:
    """Play sessions of a queue that share a request, until there are none to open.

    Each round reports what all of them heard. The pool that ends a listener's session opens the
    next one.

    Args:
        batch: Room for the sessions.
        starts: How all sessions begin, by number.
        queue: The sessions to come; other pools may take from it, too.
        client: The service.
        seed: What listeners do follows from it.
        report: Takes the batch and the rows of sessions that are over.

    Raises:
        SimError: The service has no good answer.
    """
    number = np.zeros(len(batch.budget), dtype=np.int64)
    while True:
        free = np.flatnonzero(batch.budget <= 0)
        opened = queue.take(len(free))
        if len(opened):
            rows = free[: len(opened)]
            number[rows] = opened
            batch.start(rows, *(column[opened] for column in starts))
        rows = batch.under_way()
        if not len(rows):
            return
        tracks = await client.next(batch.listener[rows], *batch.last(rows))
        batch.hear(rows, tracks, draw_boredom(seed, number[rows], batch.length[rows]))
        batch.budget[batch.length >= LONGEST_SESSION] = 0
        over = rows[batch.budget[rows] <= 0]
        if len(over):
            await client.last(batch.listener[over], *batch.last(over))
            queue.free(batch.listener[over].tolist())
            report(batch, over)
