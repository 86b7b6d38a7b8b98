"""Sessions that go on side by side: each round tells the service what all of them heard, and plays what it recommends.

A session whose answer was lost is given up, since the service may have logged what it was told: the listener says that
the same track was played again and not heard at all, as the listening model has it of a track played twice, and ends
the session by that. So nothing is heard twice in the log, and the listener's next session is another one. If the end
itself is lost, the session may be open still, and the listener gets no other one in this run.
"""

from contextlib import suppress

import numpy as np

from looplib.arrays import FloatArray, IntArray
from sim.listening.draws import CHUNK, FIRST_TRACK, START, SessionDraws
from sim.listening.sessions import LONGEST_SESSION, ListeningModel, Sessions, scale_starts
from sim.remote.caller import GivenUpError, Line, StoppedError
from sim.remote.connection import LostError
from sim.remote.dealer import Dealer
from sim.remote.protocol import UNUSABLE, Talk
from sim.tally import Tally

ANSWER_LOST = "answer lost"
END_LOST = "answer to the end lost"
ANSWER_UNUSABLE = "answer unusable"
SERVICE_FAILED = "service answered 5xx"


class Lane:
    """Some places for sessions, which share a connection."""

    def __init__(
        self,
        model: ListeningModel,
        places: int,
        talk: Talk,
        dealer: Dealer,
        draws: SessionDraws,
        line: Line,
        tally: Tally,
    ) -> None:
        """A lane of so many places, all free."""
        self._model, self._sessions = model, Sessions.none(model, places)
        self._talk, self._dealer, self._line, self._tally = talk, dealer, line, tally
        self._all_draws = draws
        self._number = np.zeros(places, dtype=np.int64)
        self._chunk = np.zeros(places, dtype=np.int64)
        self._draws = np.zeros((CHUNK, places))
        self._is_open = np.zeros(places, dtype=np.bool_)

    async def run(self) -> None:
        """Opens and plays sessions until none will come any more, or the run ends; then ends what is open."""
        while await self._fill():
            await self._play(np.flatnonzero(self._is_open))
        await self._end_early(np.flatnonzero(self._is_open))

    async def _fill(self) -> bool:
        """Opens sessions in the free places; waits for one if none is open. False if there is nothing to play."""
        while not self._line.stop.is_set():
            if self._is_open.all():
                return True
            free = np.flatnonzero(~self._is_open)
            numbers, listeners = self._dealer.take(len(free))
            if len(numbers):
                self._open(free[: len(numbers)], numbers, listeners)
            if self._is_open.any():
                return True
            if self._dealer.is_done:
                return False
            self._dealer.freed.clear()
            await self._dealer.freed.wait()
        return False

    def _open(self, rows: IntArray, numbers: IntArray, listeners: IntArray) -> None:
        draws = self._all_draws.of(numbers, 0)
        self._number[rows], self._chunk[rows], self._draws[:, rows] = numbers, 0, draws
        self._sessions.start(rows, scale_starts(self._model, listeners, draws[START]))
        self._is_open[rows] = True

    async def _play(self, rows: IntArray) -> None:
        """Lets every session go on by a track."""
        try:
            tracks = await self._talk.next(*self._just_heard(rows))
        except LostError:
            return await self._give_up(rows, ANSWER_LOST)
        except GivenUpError:
            return await self._give_up(rows, SERVICE_FAILED)
        except StoppedError:
            return None
        usable = tracks != UNUSABLE
        if not usable.all():
            await self._give_up(rows[~usable], ANSWER_UNUSABLE)
            rows, tracks = rows[usable], tracks[usable]
        self._sessions.hear(rows, tracks, self._boredom(rows))
        over = (self._sessions.budget[rows] <= 0) | (self._sessions.length[rows] >= LONGEST_SESSION)
        if over.any():
            await self._end(rows[over])
        return None

    async def _end(self, rows: IntArray) -> None:
        """Ends sessions that are over, and counts them."""
        users, tracks, shares = self._just_heard(rows)
        try:
            await self._talk.last(users, tracks, shares)
        except StoppedError:
            return  # not ended so far
        except (LostError, GivenUpError) as error:
            self._tally.failed[END_LOST if isinstance(error, LostError) else SERVICE_FAILED] += len(rows)
            self._dealer.set_aside(users)
        else:
            longest = int(self._sessions.length[rows].max())
            heard = self._sessions.hundredths[:longest, rows] * (
                np.arange(longest)[:, None] < self._sessions.length[rows]
            )
            self._tally.add_sessions(users, self._sessions.length[rows], heard.sum(axis=0, dtype=np.int64))
            self._dealer.free(users)
        self._is_open[rows] = False

    async def _give_up(self, rows: IntArray, reason: str) -> None:
        """Ends sessions that cannot go on; see the module."""
        users, tracks, shares = self._just_heard(rows)
        self._tally.failed[reason] += len(rows)
        self._is_open[rows] = False
        is_ended = False
        try:
            await self._talk.last(users, tracks, shares if reason == SERVICE_FAILED else np.zeros_like(shares))
            is_ended = True
        except (LostError, GivenUpError, StoppedError):
            return
        finally:
            (self._dealer.free if is_ended else self._dealer.set_aside)(users)

    async def _end_early(self, rows: IntArray) -> None:
        """Ends what is open when the run ends."""
        if not len(rows):
            return
        over = self._sessions.budget[rows] <= 0
        if over.any():
            await self._end(rows[over])
        going = np.flatnonzero(self._is_open)
        self._tally.interrupted += len(going)
        if len(going):
            with suppress(LostError, GivenUpError, StoppedError):
                await self._talk.last(*self._just_heard(going))

    def _just_heard(self, rows: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Listeners, tracks and shares, in hundredths: what the service is to be told."""
        sessions = self._sessions
        return sessions.listener[rows], sessions.last_tracks(rows), sessions.last_hundredths(rows)

    def _boredom(self, rows: IntArray) -> FloatArray:
        """The draw of each session for the track that it is about to hear."""
        index = FIRST_TRACK + self._sessions.length[rows] - 1
        chunk = index // CHUNK
        stale = chunk != self._chunk[rows]
        for later in set(chunk[stale].tolist()):
            those = rows[stale & (chunk == later)]
            self._draws[:, those], self._chunk[those] = self._all_draws.of(self._number[those], later), later
        return self._draws[index % CHUNK, rows]
