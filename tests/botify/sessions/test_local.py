"""The rules of sessions, for the store of one process and for the store in Redis."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from botify.schemas import Listening
from botify.sessions import local
from botify.sessions import redis as redis_sessions
from botify.sessions.local import LocalSessions
from tests.botify.sessions.stores import SessionStore, connect, end, hear, new_listener

Make = Callable[[float], SessionStore]


@pytest.fixture(params=["local", "redis"])
def make(request: pytest.FixtureRequest) -> Make:
    """Make a store of sessions that end after a silence, in seconds."""
    if request.param == "local":
        return LocalSessions
    url: str = request.getfixturevalue("redis_url")
    return lambda silence_s: connect(url, silence_s=silence_s)


@pytest.fixture
def store(make: Make) -> SessionStore:
    return make(1800.0)


@pytest.fixture
def user() -> int:
    return new_listener()


def test_a_session_remembers_what_was_heard_in_its_order(
    store: SessionStore, user: int
) -> None:
    first = hear(store, user, 5, share=0.1)
    second = hear(store, user, 3, share=1 / 3)
    assert (first.tracks, first.times) == ((5,), (0.1,))
    assert second == (first.id, (5, 3), (0.1, 1 / 3))


def test_the_last_track_belongs_to_the_session_and_ends_it(
    store: SessionStore, user: int
) -> None:
    first = hear(store, user, 5)
    assert end(store, user, 3, 0.5) == (first.id, (5, 3), (1.0, 0.5))
    after = hear(store, user, 3)
    assert after.tracks == (3,)
    assert after.id != first.id


def test_the_last_track_alone_is_a_session(store: SessionStore, user: int) -> None:
    assert end(store, user, 3, 0.5).tracks == (3,)
    assert end(store, user, 4).tracks == (4,)


def test_a_listener_twice_in_a_batch_hears_one_track_after_the_other(
    store: SessionStore, user: int
) -> None:
    twice = [Listening(user, track, 1.0) for track in (1, 2)]
    first, second = store.hear(twice)
    assert first
    assert second == (first.id, (1, 2), (1.0, 1.0))
    third, fourth = store.hear(twice, is_last=True)
    assert third
    assert third.tracks == (1, 2, 1)
    assert fourth
    assert fourth.tracks == (2,)
    assert fourth.id != third.id


def test_the_sessions_of_a_large_batch_are_kept_apart_and_in_order(
    store: SessionStore,
) -> None:
    users = [new_listener() for _ in range(2500)]
    first = store.hear([Listening(user, user % 7, 0.5) for user in users])
    second = store.hear([Listening(user, 7, 0.5) for user in reversed(users)])
    assert [session and session.tracks for session in second] == [
        (user % 7, 7) for user in reversed(users)
    ]
    assert len({session.id for session in first if session}) == len(users)


def test_silence_ends_a_session(make: Make, user: int) -> None:
    store = make(0.1)
    first = hear(store, user, 1)
    time.sleep(0.15)
    second = hear(store, user, 3)
    assert second.tracks == (3,)
    assert second.id != first.id


def test_an_endless_session_is_ended(
    store: SessionStore, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LONGEST_SESSION", 10)
    monkeypatch.setattr(redis_sessions, "_LONGEST_VALUE", 16 + 10 * 16)
    sessions = [hear(store, user, track) for track in range(12)]
    assert [len(session.tracks) for session in sessions] == [*range(1, 11), 1, 2]
    assert len({session.id for session in sessions}) == 2


def test_requests_at_once_lose_nothing_and_each_sees_all_that_was_before_it(
    store: SessionStore,
) -> None:
    users = [new_listener() for _ in range(20)]

    def ask(number: int) -> list[tuple[int, ...]]:
        batch = users if number % 2 else users[::-1]
        sessions = store.hear([Listening(user, number, 1.0) for user in batch])
        return [session.tracks for session in sessions if session]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(40)))
    lengths = Counter(len(tracks) for answer in answers for tracks in answer)
    assert lengths == {length: len(users) for length in range(1, 41)}
    for user in users:
        assert sorted(end(store, user, 99).tracks) == [*range(40), 99]


def test_a_store_of_one_process_is_bounded_in_number() -> None:
    store = LocalSessions(1800.0, most=10)
    for user in range(100):
        hear(store, user, 1)
    assert len(store._sessions) == 10
    assert hear(store, 95, 2).tracks == (1, 2)
    assert hear(store, 3, 2).tracks == (2,)


def test_silent_sessions_leave_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    store = LocalSessions(10.0)
    for user in range(100):
        hear(store, user, 1)
    now_s[0] = 9.0
    hear(store, 5, 2)
    now_s[0] = 12.0
    hear(store, 200, 1)
    assert list(store._sessions) == [5, 200]
