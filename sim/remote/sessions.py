"""Sessions of a run against a service: what each draws, and which comes next.

What a listener does follows from the seed and the number of the session alone, whatever is played
beside it.
"""

from collections import deque
from collections.abc import Iterable

import numpy as np

from looplib.arrays import FloatArray, IntArray
from sim.listening.draws import scale_below, session_draws
from sim.listening.sessions import LONGEST_SESSION, find_starts
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
    first = world.interest_offsets[listeners]
    interests = world.interest_offsets[listeners + 1] - first
    neighbours = world.interest_neighbours[listeners]
    starts = find_starts(
        world,
        listeners,
        first + scale_below(interests, session_draws(seed, sessions, _INTEREST)),
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
