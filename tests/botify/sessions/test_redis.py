"""Sessions in Redis: shared by replicas, done without while it is down, foreign values replaced."""

import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from botify import limits
from botify.errors import UnavailableError
from botify.schemas import Listening
from botify.sessions import redis as redis_sessions
from botify.sessions.local import Session
from botify.sessions.redis import RedisSessions
from looplib.arrays import NO_TRACK
from looplib.errors import ConfigError
from tests.botify.redis_server import RedisServer
from tests.botify.sessions.stores import (
    CATALOGUE,
    PREFIX,
    connect,
    end,
    hear,
    new_listener,
    plays_of,
)
from tests.waiting import wait_until


def batch(*users: int, track: int = 1) -> list[Listening]:
    return [Listening(user, track, 1.0) for user in users]


def test_replicas_share_sessions(redis_url: str) -> None:
    user = new_listener()
    first = hear(connect(redis_url), user, 1)
    assert hear(connect(redis_url), user, 3)[:3] == (first.id, (1, 3), (1.0, 1.0))
    unknown = hear(connect(redis_url), user, NO_TRACK)
    assert unknown.tracks == (1, 3, NO_TRACK)


def test_a_redis_that_goes_away_is_done_without_and_picked_up_again(
    own_redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(redis_sessions, "PAUSE_S", 0.05)
    store = connect(own_redis.url)
    heard = [Listening(":ready", 1, 1.0)]
    store.hear(heard)
    assert store.is_ready()
    assert tracks_of(store.hear(heard)) == [(1, 1)]
    assert not caplog.messages
    own_redis.stop()
    assert store.hear(batch(1, 2)) == [None, None]
    assert store.hear(batch(1), is_last=True) == [None]
    with pytest.raises(UnavailableError):
        store.erase(1)
    assert not store.is_ready()
    assert len(caplog.messages) == 1
    own_redis.start()
    wait_until(store.is_ready, "Redis")
    assert hear(store, 1, 2).tracks == (2,), "this Redis keeps nothing on the disk"
    own_redis.stop()  # between two requests, which costs the second one nothing
    own_redis.start()
    assert hear(store, 1, 3).tracks == (3,)


@pytest.mark.parametrize(
    "refusing",
    ["CONFIG SET min-replicas-to-write 1", "ACL SETUSER default -eval"],
)
def test_a_redis_that_takes_no_writes_or_scripts_is_not_ready(
    own_redis: RedisServer, refusing: str
) -> None:
    store = connect(own_redis.url)
    assert store.is_ready()
    with redis.Redis.from_url(own_redis.url) as client:
        client.execute_command(*refusing.split())
    assert not store.is_ready()


class _Agreeable(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while self.request.recv(65536):
            self.request.sendall(b"+OK\r\n")


def test_a_program_that_agrees_to_everything_is_no_redis() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Agreeable) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever).start()
        store = connect(f"redis://127.0.0.1:{server.server_address[1]}/0")
        assert not store.is_ready()
        store._down_until_s = 0
        assert store.hear(batch(1)) == [None]
        store._down_until_s = 0
        with pytest.raises(UnavailableError):
            store.erase(1)
        server.shutdown()


def count_calls(store: RedisSessions, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each command to Redis."""
    command = store._command
    called: list[str] = []

    def count(*words: str | int | bytes) -> object:
        called.append(str(words[0]))
        return command(*words)

    monkeypatch.setattr(store, "_command", count)
    return called


def test_a_redis_that_hangs_costs_one_time_out_and_not_one_a_request(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_sessions, "PAUSE_S", 3600)
    monkeypatch.setattr(limits, "REDIS_S", 0.5)
    store = connect(own_redis.url)
    called = count_calls(store, monkeypatch)
    hear(store, 1, 1)
    own_redis.pause()
    for track in range(50):
        assert store.hear(batch(1, track=track)) == [None]
    own_redis.resume()
    assert len(called) == 2


def test_while_redis_is_down_one_request_at_a_time_tries_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = connect("redis://127.0.0.1:1/0")
    monkeypatch.setattr(redis_sessions, "PAUSE_S", 0)
    assert store.hear(batch(1)) == [None]
    monkeypatch.setattr(redis_sessions, "PAUSE_S", 3600)
    called = count_calls(store, monkeypatch)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(store.hear, [batch(user) for user in range(50)]))
    assert answers == [[None]] * 50
    assert len(called) == 1


def test_a_url_that_is_none_of_redis_is_refused() -> None:
    with pytest.raises(ConfigError, match="redis_url: "):
        connect("http://localhost")


FOREIGN = (
    ("SET", b"short"),
    ("SET", b"x" * 25),
    ("SET", b"x" * 32),
    ("SET", b"session:no length of ours"),
    ("LPUSH", b"a list"),
    ("SADD", b"a set"),
)


@pytest.mark.parametrize("value", FOREIGN, ids=str)
@pytest.mark.parametrize("listeners", [1, 3], ids=["single", "batch"])
def test_what_is_none_of_ours_is_replaced_and_nothing_heard_after_it_is_lost(
    redis_url: str, value: tuple[str, bytes], listeners: int
) -> None:
    store = connect(redis_url, remembers=True)
    users = [new_listener() for _ in range(listeners)]
    before = store.hear(batch(*users))
    command, content = value
    sessions = f"{PREFIX}:{CATALOGUE[:12]}:session:{users[0]}"
    plays = f"{PREFIX}:plays:{users[0]}"
    with redis.Redis.from_url(redis_url) as client:
        assert 0 < client.pttl(plays) <= limits.MEMORY_DAYS * 86_400_000
        for key in (sessions, plays):
            client.delete(key)
            client.execute_command(command, key, content)
    after = store.hear(batch(*users, track=2))
    expected = [(2,), *[(1, 2)] * (listeners - 1)]
    assert tracks_of(after) == expected
    assert [session and tuple(plays_of(session)) for session in after] == expected
    ids = [[session and session.id for session in some[1:]] for some in (before, after)]
    assert ids[0] == ids[1]
    assert end(store, users[0], 4).tracks == (2, 4)


def tracks_of(sessions: list[Session | None]) -> list[tuple[int, ...] | None]:
    return [session and session.tracks for session in sessions]


def test_plays_of_another_catalogue_are_replaced(redis_url: str) -> None:
    user = new_listener()
    hear(connect(redis_url, "d" * 64, remembers=True), user, 7)
    store = connect(redis_url, remembers=True)
    assert store.plays_of(user) is None
    assert plays_of(hear(store, user, 5)) == [5]
