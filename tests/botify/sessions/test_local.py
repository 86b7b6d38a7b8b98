"""The rules of sessions, for the store of one process and for the store in Redis."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from botify import limits
from botify.schemas import Listening
from botify.sessions.local import LocalSessions, Session
from looplib.arrays import NO_TRACK
from looplib.memory import MOST_PLAYS, turn
from tests.botify.sessions.stores import (
    SessionStore,
    connect,
    end,
    hear,
    new_listener,
    plays_of,
)


def make(request: pytest.FixtureRequest, *, remembers: bool) -> SessionStore:
    if request.param == "local":
        return LocalSessions(remembers=remembers)
    return connect(request.getfixturevalue("redis_url"), remembers=remembers)


@pytest.fixture(params=["local", "redis"])
def store(request: pytest.FixtureRequest) -> SessionStore:
    return make(request, remembers=False)


@pytest.fixture
def user() -> int:
    return new_listener()


def test_a_session_remembers_what_was_heard_and_the_last_track_ends_it(
    store: SessionStore, user: int
) -> None:
    first = hear(store, user, 5, share=0.1)
    assert (first.tracks, first.times) == ((5,), (0.1,))
    assert hear(store, user, 3, share=1 / 3)[:3] == (first.id, (5, 3), (0.1, 1 / 3))
    ended = end(store, user, 7, 0.5)
    assert ended[:3] == (first.id, (5, 3, 7), (0.1, 1 / 3, 0.5))
    alone = end(store, user, 4)
    assert alone.tracks == (4,)
    assert alone.id != first.id


def test_a_listener_twice_in_a_batch_hears_one_track_after_the_other(
    store: SessionStore, user: int
) -> None:
    twice = [Listening(user, track, 1.0) for track in (1, 2)]
    heard = [*store.hear(twice), *store.hear(twice, is_last=True)]
    tracks = [session and session.tracks for session in heard]
    assert tracks == [(1,), (1, 2), (1, 2, 1), (2,)]
    ids = [session and session.id for session in heard]
    assert ids[0] == ids[1] == ids[2] != ids[3]


def test_silence_ends_a_session(
    store: SessionStore, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SILENCE_S", 0.1)
    first = hear(store, user, 1)
    time.sleep(0.15)
    second = hear(store, user, 3)
    assert second.tracks == (3,)
    assert second.id != first.id


def test_an_endless_session_is_ended(
    store: SessionStore, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SESSION_TRACKS", 10)
    sessions = [hear(store, user, track) for track in range(12)]
    assert [len(session.tracks) for session in sessions] == [*range(1, 11), 1, 2]
    assert len({session.id for session in sessions}) == 2


def test_requests_at_once_lose_nothing_and_each_sees_all_that_was_before_it(
    store: SessionStore,
) -> None:
    users = [new_listener() for _ in range(20)]

    def ask(number: int) -> list[Session | None]:
        batch = users if number % 2 else users[::-1]
        return store.hear([Listening(user, number, 1.0) for user in batch])

    with ThreadPoolExecutor(4) as pool:
        sessions = chain.from_iterable(pool.map(ask, range(40)))
    lengths = Counter(len(session.tracks) for session in sessions if session)
    assert lengths == {length: len(users) for length in range(1, 41)}
    for user in users:
        assert sorted(end(store, user, 99).tracks) == [*range(40), 99]


@pytest.fixture(params=["local", "redis"])
def remembering(request: pytest.FixtureRequest) -> SessionStore:
    return make(request, remembers=True)


def test_plays_of_all_sessions_are_remembered_until_they_are_erased(
    remembering: SessionStore, user: int
) -> None:
    assert remembering.plays_of(user) is None
    for track in (5, 3, NO_TRACK, 5):
        end(remembering, user, track)
    heard = hear(remembering, user, 8)
    assert (heard.tracks, plays_of(heard)) == ((8,), [5, 3, 5, 8])
    assert remembering.plays_of(user) == heard.plays
    twice = remembering.hear([Listening(user, track, 1.0) for track in (1, 2)])
    assert [session and plays_of(session)[4:] for session in twice] == [[1], [1, 2]]
    remembering.erase(user)
    assert remembering.plays_of(user) is None
    assert plays_of(hear(remembering, user, 9)) == [9]


def test_a_skip_is_remembered_as_a_skip(remembering: SessionStore, user: int) -> None:
    skip = Listening(user, 5, 0.01, is_skip=True)
    (heard,) = remembering.hear([skip])
    assert heard is not None
    assert (heard.tracks, plays_of(heard)) == ((5,), [turn(5)])


def test_the_oldest_plays_are_cut_off(remembering: SessionStore, user: int) -> None:
    plays = [Listening(user, track, 1.0) for track in range(MOST_PLAYS + 2)]
    *_, newest = remembering.hear(plays)
    assert newest is not None
    assert plays_of(newest) == [*range(2, MOST_PLAYS + 2)]


def test_the_listener_heard_longest_ago_is_not_remembered_over_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MEMORY_LISTENERS", 2)
    store = LocalSessions(remembers=True)
    for user in (1, 2, 1, 3):
        hear(store, user, 5)
    remembered = [store.plays_of(user) is not None for user in (1, 2, 3)]
    assert remembered == [True, False, True]
    assert hear(LocalSessions(remembers=False), 1, 5).plays is None


def test_silent_sessions_and_those_over_the_limit_leave_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(limits, "SILENCE_S", 10.0)
    monkeypatch.setattr(limits, "SESSIONS", 50)
    store = LocalSessions(remembers=False)
    for user in range(100):
        hear(store, user, 1)
    assert hear(store, 95, 2).tracks == (1, 2)
    assert hear(store, 3, 2).tracks == (2,)
    assert len(store._sessions) == 50
    now_s[0] = 9.0
    hear(store, 75, 2)
    now_s[0] = 12.0
    hear(store, 200, 1)
    assert list(store._sessions) == [75, 200]
