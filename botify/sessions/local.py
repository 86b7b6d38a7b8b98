"""The open session of each listener: what was heard in it, and for how long.

A request has two steps. `hear` adds the track just heard and returns the session after it; it also
claims the session. `settle` ends the claim and adds the track that was recommended, before the
answer is sent. Another request of the same listener that comes in between waits for the first one's
recommendation, so that no two of a session are the same, even if they are asked for at once; other
listeners do not wait. A claim lasts `CLAIM_S`: that of a request which died is taken over then, and
the request that was merely slow learns it from `settle` and must be refused.

`LocalSessions` serves one process; `botify.sessions.redis` several.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from botify.model.catalogue import Id
from botify.schemas import Listening

SILENCE_S = 1800.0
CLAIM_S = 1.0
LONGEST_SESSION = 1000  # tracks; a session that reaches it ends


class Session(NamedTuple):
    """A listener's session after a request."""

    tracks: tuple[int, ...]  # heard, in order; the last one is the request's
    times: tuple[float, ...]  # share that was heard of each, 0..1
    id: str  # unique over processes and replicas: the ticket of its first request, in hex
    pending: tuple[int, ...] = ()  # recommended in this session and not heard so far
    ticket: int = 0  # the request's number, unique over processes and replicas


def make_tickets() -> Iterator[int]:
    """Count from a random number, so that no other process is likely ever to have the same; 64 bits, never 0."""
    return count(1 + secrets.randbits(63))


@dataclass(slots=True)
class _OpenSession:
    id: str
    tracks: tuple[int, ...] = ()
    times: tuple[float, ...] = ()
    pending: tuple[int, ...] = ()
    claim: int = 0  # the ticket of the request that is being answered, or 0
    expires_ms: int = 0


class LocalSessions:
    """Sessions in the memory of one process; safe for several threads, and never raises."""

    def __init__(self, *, silence_s: float = SILENCE_S, most: int = 1_000_000) -> None:
        """Make an empty store; sessions are over after a silence, and of more than `most` the most silent ones."""
        self._silence_ms, self._most = round(silence_s * 1000), most
        self._tickets = make_tickets()
        # the one silent for longest first
        self._sessions: OrderedDict[Id, _OpenSession] = OrderedDict()
        self._settled = threading.Condition()
        self._waiting = 0

    def hear(self, requests: Sequence[Listening], now_ms: int) -> list[Session | None]:
        """Add what was just heard to the listeners' sessions, opening those that need it, and claim them.

        A listener is named once at most; `now_ms` is since the epoch.

        Returns:
            The session of each after it; None where the store is down.
        """
        with self._settled:
            # all at once, so that a request that waits holds no claim itself
            if self._is_claimed(requests):
                self._waiting += 1
                self._settled.wait_for(lambda: not self._is_claimed(requests), CLAIM_S)
                self._waiting -= 1
            found = self._add(requests, now_ms)
            self._delete_old(now_ms)
        return found

    def settle(
        self,
        users: Sequence[Id],
        sessions: Sequence[Session | None],
        tracks: Iterable[int | None],
    ) -> bool:
        """End the claims of a `hear`, in any case: a request that recommends nothing settles with None.

        Returns:
            False if this took so long that another request of a listener no longer waited: refuse
                the request.
        """
        is_mine = True
        with self._settled:
            for user, state, track in zip(users, sessions, tracks, strict=True):
                session = self._sessions.get(user)
                if state is None or session is None or session.id != state.id:
                    continue  # it ended meanwhile
                if session.claim != state.ticket:
                    is_mine = False
                    continue
                session.claim = 0
                if track is not None:
                    session.pending += (track,)
                if len(session.tracks) >= LONGEST_SESSION:
                    del self._sessions[user]
            if self._waiting:
                self._settled.notify_all()
        return is_mine

    def end(self, requests: Sequence[Listening], now_ms: int) -> list[Session | None]:
        """Add what was just heard and close the sessions, without a claim; returns what `hear` does."""
        ended: list[Session | None] = []
        with self._settled:
            for request in requests:
                ended += self._add([request], now_ms)
                del self._sessions[request[0]]
            self._delete_old(now_ms)
            if self._waiting:
                self._settled.notify_all()
        return ended

    def ready(self) -> bool:
        """Return whether the store can be reached now: always."""
        return True

    def _is_claimed(self, requests: Sequence[Listening]) -> bool:
        sessions = self._sessions
        for user, _, _ in requests:
            session = sessions.get(user)
            if session is not None and session.claim:
                return True
        return False

    def _add(self, requests: Sequence[Listening], now_ms: int) -> list[Session | None]:
        sessions, expires_ms = self._sessions, now_ms + self._silence_ms
        found: list[Session | None] = []
        for (user, track, share), ticket in zip(requests, self._tickets, strict=False):
            session = sessions.get(user)
            if session is None or session.expires_ms <= now_ms:
                session = sessions[user] = _OpenSession(f"{ticket:016x}")
            sessions.move_to_end(user)
            session.tracks += (track,)
            session.times += (share,)
            if track in session.pending:
                session.pending = tuple(
                    [other for other in session.pending if other != track]
                )
            session.claim, session.expires_ms = ticket, expires_ms
            found.append(
                Session(
                    session.tracks, session.times, session.id, session.pending, ticket
                )
            )
        return found

    def _delete_old(self, now_ms: int) -> None:
        sessions = self._sessions
        while sessions:
            user, session = next(iter(sessions.items()))
            if session.expires_ms > now_ms and len(sessions) <= self._most:
                return
            del sessions[user]
