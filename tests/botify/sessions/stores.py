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
    url: str, catalogue_sha256: str = CATALOGUE, *, remembers: bool = False
) -> RedisSessions:
    return RedisSessions(url, PREFIX, catalogue_sha256, remembers=remembers)


def hear(
    store: SessionStore,
    user: int,
    track: int,
    share: float = 1.0,
    *,
    is_last: bool = False,
) -> Session:
    (heard,) = store.hear([Listening(user, track, share)], is_last=is_last)
    assert heard is not None
    return heard


def end(store: SessionStore, user: int, track: int, share: float = 0.0) -> Session:
    return hear(store, user, track, share, is_last=True)


def plays_of(session: Session) -> list[int]:
    assert session.plays is not None
    tracks: list[int] = unpack_plays(session.plays)["track"].tolist()
    return tracks
