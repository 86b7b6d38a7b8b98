"""A session pool: sessions side by side that share a request. Each round tells the service what all of them heard.

A session whose answer was lost is given up, since the service may have logged what it was told: the listener says that
the same track was played again and not heard at all, as the listening model has it of a track played twice, and ends
the session by that. So nothing is heard twice in the log, and the listener's next session is another one. If the end
itself is lost, the session may be open still, and the listener gets no other one in this run.
"""

import numpy as np

from looplib.arrays import BoolArray, FloatArray, IntArray
from sim.listening.draws import CHUNK, FIRST_TRACK, START, SessionDraws
from sim.listening.sessions import LONGEST_SESSION, ListeningModel, Sessions, scale_starts
from sim.remote.queue import SessionQueue
from sim.remote.service import UNUSABLE, GivenUpError, LostError, RunState, Service, StoppedError

ANSWER_LOST = "answer lost"
END_LOST = "answer to the end lost"
ANSWER_UNUSABLE = "answer unusable"
SERVICE_FAILED = "service answered 5xx"


class SessionPool:
    """Rows for so many open sessions, at first free."""

    def __init__(
        self,
        model: ListeningModel,
        size: int,
        draws: SessionDraws,
        queue: SessionQueue,
        service: Service,
        state: RunState,
    ) -> None:
        """Make room for `size` sessions of a queue."""
        self._model, self._sessions = model, Sessions.none(model, size)
        self._all_draws, self._queue, self._service, self._state = draws, queue, service, state
        self._number = np.zeros(size, dtype=np.int64)
        self._chunk = np.zeros(size, dtype=np.int64)
        self._draws = np.zeros((CHUNK, size))
        self._is_open = np.zeros(size, dtype=np.bool_)

    async def run(self) -> None:
        """Open and play sessions until none will come any more, or the run ends; then end those that are open."""
        while await self._fill():
            await self._play(np.flatnonzero(self._is_open))
        rows = np.flatnonzero(self._is_open)
        await self._end(rows[self._is_over(rows)])
        interrupted = np.flatnonzero(self._is_open)
        self._state.counts.interrupted += len(interrupted)
        await self._tell_last(interrupted)

    async def _fill(self) -> bool:
        """Open sessions in free rows; wait for one if none is open. Returns False if there is nothing to play."""
        while not self._state.stop.is_set():
            free = np.flatnonzero(~self._is_open)
            if len(free):
                self._open(free, *self._queue.take(len(free)))
            if self._is_open.any():
                return True
            if self._queue.is_done:
                return False
            self._queue.freed.clear()
            await self._queue.freed.wait()
        return False

    def _open(self, free: IntArray, numbers: IntArray, listeners: IntArray) -> None:
        rows = free[: len(numbers)]
        draws = self._all_draws.of(numbers, 0)
        self._number[rows], self._chunk[rows], self._draws[:, rows] = numbers, 0, draws
        self._sessions.start(rows, scale_starts(self._model, listeners, draws[START]))
        self._is_open[rows] = True

    async def _play(self, rows: IntArray) -> None:
        """Play the next track of every session, and end those that are over by it."""
        try:
            tracks = await self._service.next(*self._just_heard(rows))
        except LostError:
            return await self._give_up(rows, ANSWER_LOST)
        except GivenUpError:
            return await self._give_up(rows, SERVICE_FAILED)
        except StoppedError:
            return None
        usable = tracks != UNUSABLE
        await self._give_up(rows[~usable], ANSWER_UNUSABLE)
        rows, tracks = rows[usable], tracks[usable]
        self._sessions.hear(rows, tracks, self._boredom(rows))
        return await self._end(rows[self._is_over(rows)])

    def _is_over(self, rows: IntArray) -> BoolArray:
        return (self._sessions.budget[rows] <= 0) | (self._sessions.length[rows] >= LONGEST_SESSION)

    async def _end(self, rows: IntArray) -> None:
        """End sessions that are over, and count them; those that the end of the run overtakes stay open."""
        failure = await self._tell_last(rows)
        if not len(rows) or isinstance(failure, StoppedError):
            return
        counts, listeners = self._state.counts, self._sessions.listener[rows]
        self._is_open[rows] = False
        if failure:
            counts.failed[END_LOST if isinstance(failure, LostError) else SERVICE_FAILED] += len(rows)
            self._queue.set_aside(listeners)
        else:
            counts.add_sessions(listeners, self._sessions.length[rows], self._sessions.total_hundredths(rows))
            self._queue.free(listeners)

    async def _give_up(self, rows: IntArray, reason: str) -> None:
        if not len(rows):
            return
        self._state.counts.failed[reason] += len(rows)
        self._is_open[rows] = False
        failure = await self._tell_last(rows, is_heard=reason == SERVICE_FAILED)
        (self._queue.set_aside if failure else self._queue.free)(self._sessions.listener[rows])

    async def _tell_last(self, rows: IntArray, *, is_heard: bool = True) -> Exception | None:
        """Tell the service that sessions end, their last track heard or not. Returns why they may be open still."""
        if not len(rows):
            return None
        users, tracks, shares = self._just_heard(rows)
        try:
            await self._service.last(users, tracks, shares if is_heard else np.zeros_like(shares))
        except (LostError, GivenUpError, StoppedError) as error:
            return error
        return None

    def _just_heard(self, rows: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        sessions = self._sessions
        return sessions.listener[rows], sessions.last_tracks(rows), sessions.last_hundredths(rows)

    def _boredom(self, rows: IntArray) -> FloatArray:
        """Return the draw of each session for the track that it is about to hear."""
        index = FIRST_TRACK + self._sessions.length[rows] - 1
        chunk = index // CHUNK
        stale = chunk != self._chunk[rows]
        for later in set(chunk[stale].tolist()):
            those = rows[stale & (chunk == later)]
            self._draws[:, those], self._chunk[those] = self._all_draws.of(self._number[those], later), later
        return self._draws[index % CHUNK, rows]
