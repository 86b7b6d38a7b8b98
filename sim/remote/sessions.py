"""Sessions under way: which one comes next, and pools of sessions that share a request."""

from collections import deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush

import numpy as np

from looplib.arrays import IntArray
from sim.listening.draws import SessionDraws
from sim.listening.sessions import LONGEST_SESSION, ListeningModel, Sessions
from sim.remote.client import ServiceClient


class SessionQueue:
    """Sessions in the order of their numbers, except that a listener has one at a time."""

    def __init__(self, draws: SessionDraws, count: int) -> None:
        """Queue the sessions 0..count-1."""
        self._waiting: dict[int, deque[int]] = {}  # by listener, ascending
        listeners = draws.listeners(np.arange(count))
        for number, listener in enumerate(listeners.tolist()):
            self._waiting.setdefault(listener, deque()).append(number)
        # a heap of sessions and their listeners, who have none open
        self._ready: list[tuple[int, int]] = []
        self.free(self._waiting)

    def take(self, most: int) -> IntArray:
        """Return the numbers of up to so many sessions, to be opened now."""
        count = min(most, len(self._ready))
        taken = [heappop(self._ready) for _ in range(count)]
        return np.array([number for number, _ in taken], dtype=np.int64)

    def free(self, listeners: Iterable[int]) -> None:
        """Let these listeners have other sessions, as theirs are over."""
        for listener in listeners:
            waiting = self._waiting[listener]
            if waiting:
                heappush(self._ready, (waiting.popleft(), listener))


class SessionPool:
    """Open sessions that share a request: each round reports what all of them heard.

    A pool ends when it finds no session to open. The pool that ends a listener's session opens the
    next one.
    """

    def __init__(
        self,
        model: ListeningModel,
        size: int,
        draws: SessionDraws,
        queue: SessionQueue,
        client: ServiceClient,
    ) -> None:
        """Make room for `size` sessions of a queue."""
        self._sessions = Sessions(model, size)
        self._draws = draws
        self._queue = queue
        self._client = client
        self._number = np.zeros(size, dtype=np.int64)

    async def run(self, note: Callable[[IntArray, IntArray], object]) -> None:
        """Play sessions until there are none to open.

        Args:
            note: Takes the lengths of sessions that are over, in tracks, and their listening times,
                in hundredths.

        Raises:
            SimError: The service has no good answer.
        """
        sessions = self._sessions
        while True:
            self._open_sessions()
            rows = sessions.under_way()
            if not len(rows):
                return
            tracks = await self._client.next(*self._just_heard(rows))
            draws = self._draws.boredom(self._number[rows], sessions.length[rows])
            sessions.hear(rows, tracks, draws)
            sessions.budget[sessions.length >= LONGEST_SESSION] = 0
            over = rows[sessions.budget[rows] <= 0]
            if len(over):
                await self._client.last(*self._just_heard(over))
                self._queue.free(sessions.listener[over].tolist())
                note(sessions.length[over], sessions.total_hundredths[over])

    def _open_sessions(self) -> None:
        free = np.flatnonzero(self._sessions.budget <= 0)
        numbers = self._queue.take(len(free))
        rows = free[: len(numbers)]
        if len(rows):
            self._number[rows] = numbers
            self._sessions.start(rows, self._draws.starts(numbers))

    def _just_heard(self, rows: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        sessions = self._sessions
        return (
            sessions.listener[rows],
            sessions.last_tracks(rows),
            sessions.last_hundredths(rows),
        )
