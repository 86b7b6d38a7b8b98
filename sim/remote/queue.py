"""The session queue: sessions in the order of their numbers, except that a listener has one at a time."""

import asyncio
from collections import deque
from collections.abc import Iterator

import numpy as np

from looplib.arrays import IntArray
from sim.listening.draws import BLOCK, SessionDraws

_MOST_WAITING = 20_000  # sessions read that wait for their listeners


class SessionQueue:
    """The sessions of some listeners: those whose number leaves `share[0]` when divided by `share[1]`."""

    def __init__(self, draws: SessionDraws, sessions: range, listeners: int, share: tuple[int, int]) -> None:
        """Queue the sessions of these numbers."""
        self.skipped = 0  # sessions of listeners who were set aside
        self.freed = asyncio.Event()  # set whenever a listener's session ends
        self._coming = _sessions_of_share(draws, sessions, listeners, share)
        self._is_read = False
        self._ready: deque[tuple[int, int]] = deque()  # their listeners count as busy
        self._waiting: dict[int, deque[int]] = {}  # by busy listener
        self._waiting_count = 0
        self._set_aside: set[int] = set()

    @property
    def is_done(self) -> bool:
        """Whether no session will ever come again."""
        return self._is_read and not self._ready and not self._waiting_count

    def take(self, most: int) -> tuple[IntArray, IntArray]:
        """Return numbers and listeners of up to so many sessions, to be opened now."""
        taken: list[tuple[int, int]] = []
        while len(taken) < most and self._ready:
            taken.append(self._ready.popleft())
        while len(taken) < most and self._waiting_count < _MOST_WAITING and not self._is_read:
            session = next(self._coming, None)
            if session is None:
                self._is_read = True
            elif self._is_free(session):
                taken.append(session)
        pairs = np.array(taken, dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1]

    def free(self, listeners: IntArray) -> None:
        """Let these listeners have other sessions, as theirs are over."""
        for listener in listeners.tolist():
            waiting = self._waiting[listener]
            if waiting:
                self._ready.append((waiting.popleft(), listener))
                self._waiting_count -= 1
            else:
                del self._waiting[listener]
        self.freed.set()

    def set_aside(self, listeners: IntArray) -> None:
        """Skip all later sessions of these listeners, as theirs may still be open at the service."""
        for listener in listeners.tolist():
            self._set_aside.add(listener)
            waiting = self._waiting.pop(listener)
            self._waiting_count -= len(waiting)
            self.skipped += len(waiting)
        self.freed.set()

    def _is_free(self, session: tuple[int, int]) -> bool:
        """Return whether a session can be opened; if not, let it wait for its listener, or skip it."""
        number, listener = session
        if listener in self._set_aside:
            self.skipped += 1
            return False
        if listener in self._waiting:
            self._waiting[listener].append(number)
            self._waiting_count += 1
            return False
        self._waiting[listener] = deque()
        return True


def _sessions_of_share(
    draws: SessionDraws, sessions: range, listeners: int, share: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Yield numbers and listeners of a share's sessions, in order."""
    for block in range(sessions.start // BLOCK, -(-sessions.stop // BLOCK)):
        numbers = np.arange(max(sessions.start, block * BLOCK), min(sessions.stop, (block + 1) * BLOCK))
        whose = draws.listeners(numbers, listeners)
        mine = whose % share[1] == share[0]
        yield from zip(numbers[mine].tolist(), whose[mine].tolist(), strict=True)
