"""Keep the open session of each listener, its tracks and times, and latest plays.

`LocalSessions` serves one process; `botify.sessions.redis` serves several.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from botify import limits
from botify.model.catalogue import Id
from botify.schemas import Listening
from looplib.memory import add_plays, pack_plays


class Session(NamedTuple):
    """A listener's session after a request."""

    id: str
    # Tracks heard, in order, the last by the request; `NO_TRACK` if the catalogue lacks a track.
    tracks: tuple[int, ...]
    times: tuple[float, ...]  # share that was heard of each, 0..1
    # the listener's latest in all sessions, see `looplib.memory`; None: not remembered
    plays: bytes | None = None


class LocalSessions:
    """Sessions in the memory of one process; safe for several threads.

    Beyond their limits, sessions with the longest silence are deleted, and the plays of the
    listeners who were heard longest ago.
    """

    def __init__(self, *, remembers: bool) -> None:
        """Make an empty store, which remembers the latest plays of listeners or not."""
        self._remembers = remembers
        self._plays: OrderedDict[Id, bytes] = OrderedDict()
        self._ids = count(secrets.randbits(63))
        # Sessions with the times of their last requests, the longest silence first.
        self._sessions: OrderedDict[Id, tuple[Session, float]] = OrderedDict()
        self._lock = threading.Lock()

    def hear(
        self, requests: Sequence[Listening], *, is_last: bool = False
    ) -> list[Session | None]:
        """Add the tracks just heard to the sessions, which end if they are the last.

        A session begins with a listener's first track, or with the first track after a silence.

        Returns:
            The session of each request after it; None where the store is down.
        """
        now_s = time.monotonic()
        with self._lock:
            self._delete_silent(now_s)
            return [self._add(request, now_s, is_last=is_last) for request in requests]

    def plays_of(self, user: Id) -> bytes | None:
        """Look up the latest plays of a listener; None if they are not remembered."""
        return self._plays.get(user)

    def erase(self, user: Id) -> None:
        """Delete a listener's session and latest plays."""
        with self._lock:
            self._sessions.pop(user, None)
            self._plays.pop(user, None)

    def is_ready(self) -> bool:
        """Check that the store can be reached now."""
        return True

    def _add(self, request: Listening, now_s: float, *, is_last: bool) -> Session:
        session, _ = self._sessions.pop(request.user, (None, now_s))
        if session is None or len(session.tracks) >= limits.SESSION_TRACKS:
            session = Session(f"{next(self._ids):016x}", (), ())
        session = Session(
            session.id,
            (*session.tracks, request.track),
            (*session.times, request.time),
            self._remember(request),
        )
        if not is_last:
            self._sessions[request.user] = (session, now_s)
        return session

    def _remember(self, request: Listening) -> bytes | None:
        if not self._remembers:
            return None
        played = pack_plays([request.played], int(time.time()))
        plays = add_plays(self._plays.pop(request.user, b""), played)
        self._plays[request.user] = plays
        if len(self._plays) > limits.MEMORY_LISTENERS:
            self._plays.popitem(last=False)
        return plays

    def _delete_silent(self, now_s: float) -> None:
        while self._sessions:
            user, (_, heard_s) = next(iter(self._sessions.items()))
            is_open = now_s - heard_s < limits.SILENCE_S
            if is_open and len(self._sessions) < limits.SESSIONS:
                return
            del self._sessions[user]
