"""Session stores as the tests use them."""

import itertools

from botify.schemas import Listening
from botify.sessions.local import LocalSessions, Session
from botify.sessions.redis import RedisSessions

SessionStore = LocalSessions | RedisSessions
PREFIX = "botify:test:"

_listeners = itertools.count(10**9)


def new_listener() -> int:
    """Return a listener that no other test of the same Redis has."""
    return next(_listeners)


def connect(
    url: str, *, silence_s: float = 1800.0, timeout_s: float = 60.0
) -> RedisSessions:
    return RedisSessions(url, PREFIX, silence_s=silence_s, timeout_s=timeout_s)


def hear(store: SessionStore, user: int, track: int, share: float = 1.0) -> Session:
    (heard,) = store.hear([Listening(user, track, share)])
    assert heard is not None
    return heard


def end(store: SessionStore, user: int, track: int, share: float = 0.0) -> Session:
    (heard,) = store.hear([Listening(user, track, share)], is_last=True)
    assert heard is not None
    return heard
