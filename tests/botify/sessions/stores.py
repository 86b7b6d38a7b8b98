"""Session stores as the tests use them."""

import itertools

from botify.schemas import Listening
from botify.sessions.local import LocalSessions, Session
from botify.sessions.redis import RedisSessions
from looplib.memory import unpack_plays

SessionStore = LocalSessions | RedisSessions
PREFIX = "botify:test"
CATALOGUE = "c" * 64  # a digest

_listeners = itertools.count(10**9)


def new_listener() -> int:
    """Return a listener that no other test of the same Redis has."""
    return next(_listeners)


def connect(
    url: str,
    *,
    silence_s: float = 1800.0,
    timeout_s: float = 60.0,
    remembered_s: float = 0,
    catalogue_sha256: str = CATALOGUE,
) -> RedisSessions:
    return RedisSessions(
        url,
        PREFIX,
        catalogue_sha256=catalogue_sha256,
        silence_s=silence_s,
        timeout_s=timeout_s,
        remembered_s=remembered_s,
    )


def hear(store: SessionStore, user: int, track: int, share: float = 1.0) -> Session:
    (heard,) = store.hear([Listening(user, track, share)])
    assert heard is not None
    return heard


def plays_of(session: Session) -> list[int]:
    assert session.plays is not None
    tracks: list[int] = unpack_plays(session.plays)["track"].tolist()
    return tracks


def end(store: SessionStore, user: int, track: int, share: float = 0.0) -> Session:
    (heard,) = store.hear([Listening(user, track, share)], is_last=True)
    assert heard is not None
    return heard
