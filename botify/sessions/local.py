"""The open session of each listener: what was heard in it, and for how long.

A request has two steps. `hear` adds the track just heard and gives the session after it; it also claims the session.
`settle` gives the claim back with the track that was recommended, before the answer is sent. Another request of the
same listener that comes in between waits for the first one's recommendation, so that no two of a session are the same,
even if they are asked for at once; nobody else waits. A claim lasts `CLAIM_S`: that of a request which died is taken
over then, and the request that was merely slow is told so by `settle` and must be refused.

This store is of one process; `botify.sessions.local.redis` is of several.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from itertools import count, islice
from typing import NamedTuple, Protocol

SILENCE_S = 1800.0
CLAIM_S = 1.0
LONGEST_SESSION = 1000  # tracks; a session that reaches it ends


class Heard(NamedTuple):
    """A listener's session after a request.

    Attributes:
        tracks: What was heard, in this order; the last one is the request's.
        times: Share that was heard of each, 0..1.
        session: Its id, unique over processes and replicas.
        pending: Recommended in this session and not heard so far.
        ticket: The request's number, unique over processes and replicas.
    """

    tracks: tuple[int, ...]
    times: tuple[float, ...]
    session: str
    pending: tuple[int, ...] = ()
    ticket: int = 0


class SessionStore(Protocol):
    """Where sessions are; of use to several threads at once, and never raises."""

    def hear(self, user_tracks: Sequence[tuple[int, int, float]], now_ms: int) -> list[Heard | None]:
        """Adds what was just heard to the listeners' sessions, opening those that need it, and claims them.

        Args:
            user_tracks: (listener, track, share heard) of each request; a listener at most once.
            now_ms: ms since the epoch.

        Returns:
            The session of each after it; None where the store is down.
        """

    def settle(self, users: Sequence[int], heard: Sequence[Heard | None], tracks: Iterable[int | None]) -> bool:
        """Gives back the claims of a `hear`, in any case: a request that recommends nothing settles with None.

        Args:
            users: The listeners.
            heard: What `hear` returned for them.
            tracks: What is recommended to each.

        Returns:
            False if this took so long that another request of a listener no longer waited: refuse the request.
        """

    def end(self, user_tracks: Sequence[tuple[int, int, float]], now_ms: int) -> list[Heard | None]:
        """Adds what was just heard and closes the sessions, without a claim; returns the same as `hear`."""

    def ready(self) -> bool:
        """Whether sessions can be remembered now."""


class Tickets:
    """Numbers of 64 bits that no other process is likely ever to give: counted from a random one."""

    def __init__(self) -> None:
        """Draws the start from the operating system."""
        self._numbers = count(1 + secrets.randbits(63))

    def take(self, how_many: int) -> list[int]:
        """The next numbers; never 0."""
        return list(islice(self._numbers, how_many))


def session_id(first_ticket: int) -> str:
    """The id of the session that a request opened."""
    return f"{first_ticket:016x}"


class _Session:
    """An open session; `claim` is the ticket of the request that is being answered, or 0."""

    __slots__ = ("claim", "expires_ms", "id", "pending", "times", "tracks")

    def __init__(self, ticket: int) -> None:
        self.id = session_id(ticket)
        self.tracks: tuple[int, ...] = ()
        self.times: tuple[float, ...] = ()
        self.pending: tuple[int, ...] = ()
        self.claim = 0
        self.expires_ms = 0


class LocalSessions:
    """Sessions in the memory of one process, bounded by the silence after which one ends and by their number."""

    def __init__(self, *, silence_s: float = SILENCE_S, most: int = 1_000_000) -> None:
        """An empty store.

        Args:
            silence_s: A session without a request for this long is over.
            most: Open sessions kept; of more, the one silent for longest is forgotten.
        """
        self._silence_ms, self._most = round(silence_s * 1000), most
        self._tickets = Tickets()
        self._sessions: OrderedDict[int, _Session] = OrderedDict()  # the one silent for longest first
        self._lock = threading.Lock()
        self._settled = threading.Condition(self._lock)
        self._waiting = 0

    def __len__(self) -> int:
        """Open sessions."""
        return len(self._sessions)

    def hear(self, user_tracks: Sequence[tuple[int, int, float]], now_ms: int) -> list[Heard | None]:
        """See `SessionStore`."""
        with self._lock:
            self._wait_for(user_tracks)
            heard = self._add(user_tracks, now_ms)
            self._forget(now_ms)
        return heard

    def settle(self, users: Sequence[int], heard: Sequence[Heard | None], tracks: Iterable[int | None]) -> bool:
        """See `SessionStore`."""
        is_mine = True
        with self._lock:
            for user, state, track in zip(users, heard, tracks, strict=True):
                session = self._sessions.get(user)
                if state is None or session is None or session.id != state.session:
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

    def end(self, user_tracks: Sequence[tuple[int, int, float]], now_ms: int) -> list[Heard | None]:
        """See `SessionStore`."""
        heard: list[Heard | None] = []
        with self._lock:
            for request in user_tracks:
                heard += self._add([request], now_ms)
                del self._sessions[request[0]]
            self._forget(now_ms)
            if self._waiting:
                self._settled.notify_all()
        return heard

    def ready(self) -> bool:
        """Always."""
        return True

    def _wait_for(self, user_tracks: Sequence[tuple[int, int, float]]) -> None:
        """Waits until nobody claims any of the sessions, so that whoever waits holds no claim itself."""
        if not self._is_claimed(user_tracks):
            return
        deadline = time.monotonic() + CLAIM_S
        self._waiting += 1
        while self._is_claimed(user_tracks) and (left := deadline - time.monotonic()) > 0:
            self._settled.wait(left)
        self._waiting -= 1

    def _is_claimed(self, user_tracks: Sequence[tuple[int, int, float]]) -> bool:
        sessions = self._sessions
        for user, _, _ in user_tracks:
            session = sessions.get(user)
            if session is not None and session.claim:
                return True
        return False

    def _add(self, user_tracks: Sequence[tuple[int, int, float]], now_ms: int) -> list[Heard | None]:
        sessions, expires_ms = self._sessions, now_ms + self._silence_ms
        heard: list[Heard | None] = []
        for (user, track, share), ticket in zip(user_tracks, self._tickets.take(len(user_tracks)), strict=True):
            session = sessions.get(user)
            if session is None or session.expires_ms <= now_ms:
                session = sessions[user] = _Session(ticket)
            sessions.move_to_end(user)
            session.tracks += (track,)
            session.times += (share,)
            if track in session.pending:
                session.pending = tuple(other for other in session.pending if other != track)
            session.claim, session.expires_ms = ticket, expires_ms
            heard.append(Heard(session.tracks, session.times, session.id, session.pending, ticket))
        return heard

    def _forget(self, now_ms: int) -> None:
        sessions = self._sessions
        while sessions:
            user, session = next(iter(sessions.items()))
            if session.expires_ms > now_ms and len(sessions) <= self._most:
                return
            del sessions[user]
