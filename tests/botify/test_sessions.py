"""The rules of sessions, for the store of one process and for the store in Redis."""

import itertools
import signal
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from botify.sessions import local as sessions
from botify.sessions import redis as redis_sessions
from botify.sessions.local import LocalSessions, Session
from botify.sessions.redis import RedisSessions
from looplib.errors import ConfigError
from tests.botify.redis_server import RedisServer

SessionStore = LocalSessions | RedisSessions
_listeners = itertools.count(10**9)  # no other test of the same Redis has them


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No claim runs out because the machine is slow."""
    for module in (sessions, redis_sessions):
        monkeypatch.setattr(module, "CLAIM_S", 3600)


def connect(url: str, *, silence_s: float = sessions.SILENCE_S) -> RedisSessions:
    return RedisSessions(url, silence_s=silence_s, timeout_s=60)


@pytest.fixture(params=["local", "redis"])
def store(request: pytest.FixtureRequest) -> SessionStore:
    if request.param == "local":
        return LocalSessions()
    return connect(request.getfixturevalue("redis_url"))


@pytest.fixture
def user() -> int:
    """A listener of the test's own."""
    return next(_listeners)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def hear(store: SessionStore, user: int, track: int, share: float = 1.0) -> Session:
    (heard,) = store.hear([(user, track, share)], now_ms())
    assert heard is not None
    return heard


def listen(
    store: SessionStore,
    user: int,
    track: int,
    recommended: int | None = None,
    share: float = 1.0,
) -> Session:
    heard = hear(store, user, track, share)
    assert store.settle([user], [heard], [recommended])
    return heard


def end(store: SessionStore, user: int, track: int, share: float = 0.0) -> Session:
    (heard,) = store.end([(user, track, share)], now_ms())
    assert heard is not None
    return heard


def test_a_session_remembers_what_was_heard_in_its_order(
    store: SessionStore, user: int
) -> None:
    first = listen(store, user, 5, share=0.1)
    second = listen(store, user, 3, share=1 / 3)
    assert (first.tracks, first.times) == ((5,), (0.1,))
    assert (second.tracks, second.times, second.id) == ((5, 3), (0.1, 1 / 3), first.id)


def test_the_last_track_belongs_to_the_session_and_ends_it(
    store: SessionStore, user: int
) -> None:
    first = listen(store, user, 5)
    last = end(store, user, 3, 0.5)
    assert (last.tracks, last.times, last.id) == ((5, 3), (1.0, 0.5), first.id)
    after = listen(store, user, 3)
    assert after.tracks == (3,)
    assert after.id != first.id


def test_the_last_track_alone_is_a_session(store: SessionStore, user: int) -> None:
    assert end(store, user, 3, 0.5).tracks == (3,)
    assert end(store, user, 4).tracks == (4,)


def test_a_listener_named_twice_in_one_end_ends_two_sessions(
    store: SessionStore, user: int
) -> None:
    first, second = store.end([(user, 1, 1.0), (user, 2, 1.0)], now_ms())
    assert first is not None
    assert second is not None
    assert (first.tracks, second.tracks) == ((1,), (2,))
    assert first.id != second.id


def test_a_batch_of_more_listeners_than_redis_reads_at_once_is_in_order(
    store: SessionStore,
) -> None:
    users = [next(_listeners) for _ in range(2500)]
    for track in (1, 2):
        heard = store.hear([(user, track, 0.5) for user in users], now_ms())
        assert store.settle(users, heard, users)
    assert [state and (state.tracks, state.pending) for state in heard] == [
        ((1, 2), (user,)) for user in users
    ]


def test_listeners_and_their_sessions_are_kept_apart(store: SessionStore) -> None:
    users = [next(_listeners) for _ in range(50)]
    first = store.hear([(user, user % 7, 0.5) for user in users], now_ms())
    assert store.settle(users, first, [None] * 50)
    second = store.hear([(user, 7, 0.25) for user in reversed(users)], now_ms())
    assert [heard.tracks for heard in second if heard] == [
        (user % 7, 7) for user in reversed(users)
    ]
    assert len({heard.id for heard in first if heard}) == 50


def test_what_was_recommended_is_pending_until_it_is_heard(
    store: SessionStore, user: int
) -> None:
    assert listen(store, user, 1, recommended=2).pending == ()
    assert listen(store, user, 3, recommended=4).pending == (2,)
    assert listen(store, user, 2, recommended=5).pending == (4,)
    assert listen(store, user, 5).pending == (4,)


@pytest.mark.parametrize("kind", ["local", "redis"])
def test_silence_ends_a_session(
    kind: str, request: pytest.FixtureRequest, user: int
) -> None:
    store: SessionStore = LocalSessions(silence_s=0.2)
    if kind == "redis":
        store = connect(request.getfixturevalue("redis_url"), silence_s=0.2)
    first = listen(store, user, 1, recommended=2)
    time.sleep(0.3)
    second = listen(store, user, 3)
    assert (second.tracks, second.pending) == ((3,), ())
    assert second.id != first.id


def test_an_endless_session_is_ended(
    store: SessionStore, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LONGEST_SESSION", 10)
    monkeypatch.setattr(redis_sessions, "_LONGEST_VALUE", 10 * 2 * 24)
    lengths = [len(listen(store, user, track).tracks) for track in range(12)]
    assert lengths == [*range(1, 11), 1, 2]


def test_a_second_request_at_once_waits_for_the_first_ones_recommendation(
    store: SessionStore, user: int
) -> None:
    first = hear(store, user, 1)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(hear, store, user, 2)
        time.sleep(0.05)
        assert not second.done()
        assert store.settle([user], [first], [9])
        assert second.result(timeout=60).tracks == (1, 2)
        assert second.result().pending == (9,)


def test_nobody_else_waits(store: SessionStore, user: int) -> None:
    hear(store, user, 1)
    hear(store, next(_listeners), 1)


def test_the_end_of_a_session_waits_for_nobody_and_a_late_recommendation_opens_none(
    store: SessionStore, user: int
) -> None:
    first = hear(store, user, 1)
    assert end(store, user, 2).tracks == (1, 2)
    assert store.settle([user], [first], [9])
    after = listen(store, user, 3)
    assert (after.tracks, after.pending) == ((3,), ())


def test_the_claim_of_a_request_that_died_is_taken_over_and_never_given_back(
    store: SessionStore, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sessions, redis_sessions):
        monkeypatch.setattr(module, "CLAIM_S", 0.2)
    dead = hear(store, user, 1)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(hear, store, user, 2).result(timeout=60)
        assert not store.settle([user], [dead], [9]), (
            "too late: another request no longer reckons with it"
        )
        assert pool.submit(store.settle, [user], [second], [9]).result(timeout=60)
    third = listen(store, user, 3)
    assert third.tracks[-2:] == (2, 3)
    assert third.pending == (9,)


def test_a_slow_request_for_which_nobody_waited_is_in_time(
    store: SessionStore, user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sessions, redis_sessions):
        monkeypatch.setattr(module, "CLAIM_S", 0.05)
    heard = hear(store, user, 1)
    time.sleep(0.1)
    assert store.settle([user], [heard], [9])
    assert listen(store, user, 2).pending == (9,)


def recommend_lowest(store: SessionStore, users: list[int], track: int) -> list[int]:
    """As the service does: hear, recommend the first track that is free, settle."""
    heard = store.hear([(user, track, 1.0) for user in users], now_ms())
    recommended = []
    for state in heard:
        assert state is not None
        taken = {*state.tracks, *state.pending}
        recommended.append(
            next(candidate for candidate in range(1000) if candidate not in taken)
        )
    assert store.settle(users, heard, recommended)
    return recommended


def no_repeats(answers: Iterable[Iterable[int]]) -> bool:
    return all(
        len(set(column)) == len(list(column)) for column in zip(*answers, strict=True)
    )


def test_many_requests_of_one_listener_at_once_get_different_tracks(
    store: SessionStore, user: int
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda number: recommend_lowest(store, [user], 2000 + number),
                range(100),
            )
        )
    assert no_repeats(answers)


def test_batches_with_the_same_listeners_at_once_get_different_tracks_and_never_block_each_other(
    store: SessionStore,
) -> None:
    users = [next(_listeners) for _ in range(20)]
    orders = [users, users[::-1], users[10:] + users[:10], users[::2] + users[1::2]]

    def ask(number: int) -> list[int]:
        order = orders[number % 4]
        answer = dict(
            zip(order, recommend_lowest(store, order, 2000 + number), strict=True)
        )
        return [answer[user] for user in users]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(40)))
    assert no_repeats(answers)


def test_replicas_share_sessions(redis_url: str, user: int) -> None:
    one, other = connect(redis_url), connect(redis_url)
    first = listen(one, user, 1, recommended=2)
    second = listen(other, user, 3)
    assert (second.tracks, second.pending, second.id) == ((1, 3), (2,), first.id)


def test_a_store_of_one_process_is_bounded_in_number() -> None:
    store = LocalSessions(most=10)
    for user in range(100):
        listen(store, user, 1)
    assert len(store._sessions) == 10
    assert listen(store, 95, 2).tracks == (1, 2)
    assert listen(store, 3, 2).tracks == (2,)


def test_silent_sessions_leave_the_memory() -> None:
    store = LocalSessions(silence_s=10)
    for user in range(100):
        store.settle([user], store.hear([(user, 1, 1.0)], 1_000), [None])
    store.hear([(5, 2, 1.0)], 9_000)
    store.hear([(200, 1, 1.0)], 12_000)
    assert len(store._sessions) == 2


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_sessions, "PAUSE_S", 0.05)


@pytest.mark.usefixtures("impatient")
def test_a_redis_that_goes_away_is_done_without_and_picked_up_again(
    own_redis: RedisServer,
) -> None:
    store = connect(own_redis.url)
    listen(store, 1, 1)
    assert store.ready()
    own_redis.stop()
    assert store.hear([(1, 2, 1.0), (2, 2, 1.0)], now_ms()) == [None, None]
    assert store.settle([1, 2], [None, None], [3, 4])
    assert store.end([(1, 2, 1.0)], now_ms()) == [None]
    assert not store.ready()
    own_redis.start()
    deadline = time.monotonic() + 60
    while not store.ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert listen(store, 1, 2).tracks == (2,), "this Redis keeps nothing on the disk"


def test_a_restart_between_two_requests_costs_the_second_one_nothing(
    own_redis: RedisServer,
) -> None:
    store = connect(own_redis.url)
    listen(store, 1, 1, recommended=5)
    own_redis.stop()
    own_redis.start()
    assert listen(store, 1, 2).tracks == (2,)


def test_a_redis_that_never_was_there_is_no_error() -> None:
    store = RedisSessions("redis://127.0.0.1:1/0")
    assert store.hear([(1, 1, 1.0)], now_ms()) == [None]
    assert not store.ready()


def test_a_redis_that_hangs_costs_one_time_out_and_not_one_a_request(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_sessions, "PAUSE_S", 3600)
    store = RedisSessions(own_redis.url, timeout_s=0.2)
    asked: list[object] = []
    exchange = redis_sessions._Connection.exchange
    assert own_redis.process
    own_redis.process.send_signal(signal.SIGSTOP)

    def count(
        line: redis_sessions._Connection, commands: Sequence[Sequence[object]]
    ) -> list[object]:
        asked.append(commands)
        return exchange(line, commands)

    monkeypatch.setattr(redis_sessions._Connection, "exchange", count)
    for track in range(50):
        assert store.hear([(1, track, 1.0)], now_ms()) == [None]
    own_redis.process.send_signal(signal.SIGCONT)
    assert len(asked) == 1


def test_while_redis_is_down_one_thread_at_a_time_tries_it(
    own_redis: RedisServer,
) -> None:
    store = connect(own_redis.url)
    own_redis.stop()
    store.hear([(1, 1, 1.0)], now_ms())
    own_redis.start()
    time.sleep(redis_sessions.PAUSE_S)
    answers: list[Session | None] = []

    def ask(user: int) -> None:
        answers.extend(store.hear([(user, 1, 1.0)], now_ms()))

    threads = [threading.Thread(target=ask, args=[user]) for user in range(2, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert any(answers)


def test_a_url_that_is_none_of_redis_is_refused() -> None:
    with pytest.raises(ConfigError, match="redis_url: "):
        RedisSessions("http://localhost")


def test_what_was_sent_twice_over_a_broken_connection_counts_once() -> None:
    record = redis_sessions.RECORD
    heard, other = record.pack(7, 1, 0.5), record.pack(8, 2, 1.0)
    for value in (heard + heard, heard + heard + other):
        assert redis_sessions.read_session(value, 7).session.tracks == (1,)
    reading = redis_sessions.read_session(heard + heard + other, 8)
    assert (reading.session.tracks, reading.others) == ((1, 2), (7,))


def test_values_of_redis_that_are_no_sessions_are_replaced_and_others_are_not_disturbed(
    redis_url: str,
) -> None:
    store, other = connect(redis_url), connect(redis_url)
    raw = redis.Redis.from_url(redis_url)
    users = [next(_listeners) for _ in range(3)]
    kept = listen(other, users[2], 4)
    raw.set(f"botify:session:{users[0]}", b"short")
    raw.lpush(f"botify:session:{users[1]}", b"a list")
    for user in users[:2]:
        assert listen(store, user, 5).tracks == (5,)
    after = listen(store, users[2], 6)
    assert (after.tracks, after.id) == ((4, 6), kept.id)
    raw.set(f"botify:session:{users[0]}", b"short")
    batch = [(users[0], 7, 1.0), (users[1], 7, 1.0)]
    raw.delete(f"botify:session:{users[1]}")
    raw.lpush(f"botify:session:{users[1]}", b"a list")
    heard = store.hear(batch, now_ms())
    assert [session and session.tracks for session in heard] == [(7,), (7,)]
    assert store.settle(users[:2], heard, [None, None])
    raw.set(f"botify:session:{users[0]}", b"short")
    assert end(store, users[0], 8).tracks == (8,)
    assert store.ready()
    assert listen(store, users[0], 9).tracks == (9,)
