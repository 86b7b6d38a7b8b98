"""Sessions under way: which one comes next, and pools of sessions side by side that share a request.

A session whose answer was lost is given up, since the service may have logged what it was told: the
listener says that the same track was played again and not heard at all, as the listening model has
it of a track played twice, and ends the session by that. So nothing is heard twice in the log, and
the listener's next session is another one. If the end itself is lost, the session may be open
still, and the listener gets no other one in this run.
"""

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush

import numpy as np

from looplib.arrays import BoolArray, IntArray
from sim.listening.draws import BLOCK, SessionDraws
from sim.listening.sessions import LONGEST_SESSION, ListeningModel, Sessions
from sim.remote.service import (
    ANSWER_LOST,
    SERVICE_FAILED,
    UNUSABLE,
    FailedError,
    Service,
    StoppedError,
)

END_LOST = "answer to the end lost"
ANSWER_UNUSABLE = "answer unusable"


class SessionQueue:
    """Sessions in the order of their numbers, except that a listener has one at a time."""

    def __init__(
        self, draws: SessionDraws, sessions: range, share: tuple[int, int]
    ) -> None:
        """Queue the sessions of these numbers whose listeners leave `share[0]` when divided by `share[1]`."""
        self.skipped = 0  # sessions of listeners who were set aside
        self._waiting: dict[int, deque[int]] = {}  # by listener, ascending
        for block in np.split(
            np.arange(sessions.start, sessions.stop), range(BLOCK, len(sessions), BLOCK)
        ):
            whose = draws.listeners(block)
            mine = whose % share[1] == share[0]
            for number, listener in zip(
                block[mine].tolist(), whose[mine].tolist(), strict=True
            ):
                self._waiting.setdefault(listener, deque()).append(number)
        # a heap of sessions and their listeners, who have none open
        self._ready: list[tuple[int, int]] = []
        self.free(self._waiting)

    def take(self, most: int) -> IntArray:
        """Return the numbers of up to so many sessions, to be opened now."""
        taken = [heappop(self._ready) for _ in range(min(most, len(self._ready)))]
        return np.array([number for number, _ in taken], dtype=np.int64)

    def free(self, listeners: Iterable[int]) -> None:
        """Let these listeners have other sessions, as theirs are over."""
        for listener in listeners:
            if waiting := self._waiting[listener]:
                heappush(self._ready, (waiting.popleft(), listener))

    def set_aside(self, listeners: Iterable[int]) -> None:
        """Skip all later sessions of these listeners, as theirs may still be open at the service."""
        self.skipped += sum(len(self._waiting[listener]) for listener in listeners)


class SessionPool:
    """Rows for so many open sessions, at first free; each round tells the service what all of them heard.

    A pool ends when it finds no session to open. The pool that ends a listener's session opens the
    next one.
    """

    def __init__(
        self,
        model: ListeningModel,
        size: int,
        draws: SessionDraws,
        queue: SessionQueue,
        service: Service,
    ) -> None:
        """Make room for `size` sessions of a queue."""
        self._sessions, self._draws, self._queue, self._service = (
            Sessions.none(model, size),
            draws,
            queue,
            service,
        )
        self._number = np.zeros(size, dtype=np.int64)
        self._is_open = np.zeros(size, dtype=np.bool_)

    async def run(self) -> None:
        """Open and play sessions until there are no more, or the run ends; then end those that are open."""
        while not self._service.stop.is_set():
            self._open(np.flatnonzero(~self._is_open))
            rows = np.flatnonzero(self._is_open)
            if not len(rows):
                return
            await self._play(rows)
        rows = np.flatnonzero(self._is_open)
        await self._end(rows[self._is_over(rows)])
        interrupted = np.flatnonzero(self._is_open)
        self._service.counts.interrupted += len(interrupted)
        await self._tell_last(interrupted)

    def _open(self, free: IntArray) -> None:
        numbers = self._queue.take(len(free))
        rows = free[: len(numbers)]
        if len(rows):
            self._number[rows], self._is_open[rows] = numbers, True
            self._sessions.start(rows, self._draws.starts(numbers))

    async def _play(self, rows: IntArray) -> None:
        """Play the next track of every session, and end those that are over by it."""
        try:
            tracks = await self._service.next(*self._just_heard(rows))
        except StoppedError:
            return
        except FailedError as error:
            await self._give_up(rows, str(error))
            return
        usable = tracks != UNUSABLE
        await self._give_up(rows[~usable], ANSWER_UNUSABLE)
        rows, tracks = rows[usable], tracks[usable]
        self._sessions.hear(
            rows,
            tracks,
            self._draws.boredom(self._number[rows], self._sessions.length[rows]),
        )
        await self._end(rows[self._is_over(rows)])

    def _is_over(self, rows: IntArray) -> BoolArray:
        return (self._sessions.budget[rows] <= 0) | (
            self._sessions.length[rows] >= LONGEST_SESSION
        )

    async def _end(self, rows: IntArray) -> None:
        """End sessions that are over, and count them; those that the end of the run overtakes stay open."""
        failure = await self._tell_last(rows)
        if not len(rows) or isinstance(failure, StoppedError):
            return
        counts, listeners = self._service.counts, self._sessions.listener[rows]
        self._is_open[rows] = False
        if failure:
            counts.failed[
                END_LOST if str(failure) == ANSWER_LOST else SERVICE_FAILED
            ] += len(rows)
            self._queue.set_aside(listeners.tolist())
        else:
            counts.add_sessions(
                listeners,
                self._sessions.length[rows],
                self._sessions.total_hundredths(rows),
            )
            self._queue.free(listeners.tolist())

    async def _give_up(self, rows: IntArray, reason: str) -> None:
        if not len(rows):
            return
        self._service.counts.failed[reason] += len(rows)
        self._is_open[rows] = False
        failure = await self._tell_last(rows, is_heard=reason == SERVICE_FAILED)
        (self._queue.set_aside if failure else self._queue.free)(
            self._sessions.listener[rows].tolist()
        )

    async def _tell_last(
        self, rows: IntArray, *, is_heard: bool = True
    ) -> FailedError | StoppedError | None:
        """Tell the service that sessions end, their last track heard or not. Returns why they may be open still."""
        if not len(rows):
            return None
        users, tracks, hundredths = self._just_heard(rows)
        try:
            await self._service.last(users, tracks, hundredths * is_heard)
        except (FailedError, StoppedError) as error:
            return error
        return None

    def _just_heard(self, rows: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        sessions = self._sessions
        return (
            sessions.listener[rows],
            sessions.last_tracks(rows),
            sessions.last_hundredths(rows),
        )
