"""Any order of requests to two services that share a Redis, with its faults: no repeat, and every event logged once."""

import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from botify.service import LateError, Service
from botify.sessions import local
from botify.sessions import redis as redis_sessions
from botify.sessions.answers import AnswersError
from tests.botify.conftest import start_service
from tests.botify.exports import publish, random_lists, write_catalogue
from tests.botify.redis_server import RedisServer
from tests.faults.served import read_events

TRACKS, LISTENERS = 60, 3
USERS, TRACK, WHICH = (
    st.integers(0, LISTENERS - 1),
    st.integers(0, TRACKS - 1),
    st.integers(0, 1),
)
# of another length, and of other types
FOREIGN = (("SET", b"x" * 25), ("LPUSH", b"x"), ("SADD", b"x"))
SERVER: list[RedisServer] = []  # one for all runs of the machine
Request = tuple[int, int, float]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing runs out because the machine is slow, and a Redis that is back is found at once."""
    for module in (local, redis_sessions):
        monkeypatch.setattr(module, "CLAIM_S", 3600)
    monkeypatch.setattr(redis_sessions, "PAUSE_S", 0)
    monkeypatch.setattr("botify.service.LATE_S", 3600)
    SERVER.append(RedisServer(tmp_path))
    yield
    SERVER.pop().stop()


class Sessions(RuleBasedStateMachine):
    """Listeners, two services, a Redis, and what they must remember."""

    @initialize()
    def start(self) -> None:
        self.server, self.folder = SERVER[-1], Path(tempfile.mkdtemp())
        self.server.stop()
        self.server.start()
        self.is_up, self.number = True, 0
        self.catalogue = write_catalogue(self.folder / "tracks.json", range(TRACKS))
        publish(
            self.folder,
            "one",
            random_lists(LISTENERS, TRACKS),
            catalogue=self.catalogue,
        )
        self.services = [self.start_service(), self.start_service()]
        # by listener, heard or recommended in this session
        self.known: defaultdict[int, set[int]] = defaultdict(set)
        self.acknowledged: list[Request] = []
        self.latest: tuple[str, Request, int, int] | None = (
            None  # that Redis must know: message, request, number, answer
        )

    def start_service(self) -> Service:
        log = self.folder / "log"
        return start_service(
            self.folder,
            self.catalogue,
            redis_url=self.server.url,
            redis_timeout_s=30,
            log_dir=str(log),
            watch_s=30,
        )

    def new_request(self, user: int, track: int) -> Request:
        self.number += 1
        return user, track, self.number / 10**6  # the share tells the events apart

    @rule(user=USERS, track=TRACK, which=WHICH)
    def ask(self, user: int, track: int, which: int) -> None:
        request = self.new_request(user, track)
        try:
            (answer,) = self.services[which].answer("next", [request], [self.number])
        except (AnswersError, LateError):
            assert not self.is_up
            return
        self.acknowledged.append(request)
        if self.is_up:
            assert answer not in {*self.known[user], track}
            self.known[user] |= {track, answer}
            self.latest = ("next", request, self.number, answer)

    @rule(user=USERS, track=TRACK, which=WHICH)
    def end(self, user: int, track: int, which: int) -> None:
        request = self.new_request(user, track)
        try:
            self.services[which].answer("last", [request], [self.number])
        except (AnswersError, LateError):
            assert not self.is_up
            return
        self.acknowledged.append(request)
        self.known.pop(user, None)
        if self.is_up:
            self.latest = ("last", request, self.number, 0)

    @precondition(lambda self: self.latest is not None)
    @rule(which=WHICH)
    def send_again(self, which: int) -> None:
        assert self.latest
        message, request, number, answer = self.latest
        if message == "last":
            self.services[which].answer("last", [request], [number])
        else:
            assert self.services[which].answer("next", [request], [number]) == [answer]

    @rule(which=WHICH)
    def restart_service(self, which: int) -> None:
        self.services[which].close()
        self.services[which] = self.start_service()

    @precondition(lambda self: self.is_up)
    @rule()
    def stop_redis(self) -> None:
        self.server.stop()
        self.is_up, self.latest = False, None
        self.known.clear()

    @precondition(lambda self: not self.is_up)
    @rule()
    def start_redis(self) -> None:
        self.server.start()
        self.is_up = True

    @precondition(lambda self: self.is_up)
    @rule(user=USERS, value=st.sampled_from(FOREIGN))
    def write_foreign_value(self, user: int, value: tuple[str, bytes]) -> None:
        with redis.Redis.from_url(self.server.url) as client:
            for key in client.keys(f"*session:{user}"):
                client.delete(key)
                client.execute_command(value[0], key, value[1])
        self.known.pop(user, None)

    @invariant()
    def services_are_ready_again(self) -> None:
        assert all(service.log.failure is None for service in self.services)

    def teardown(self) -> None:
        for service in self.services:
            service.close()
        logged = Counter(
            (event.user, event.track, event.time)
            for event in read_events(self.folder / "log")
        )
        assert all(logged[request] == 1 for request in self.acknowledged)
        assert max(logged.values(), default=1) == 1
        shutil.rmtree(self.folder)


def test_no_track_is_repeated_and_every_acknowledged_event_is_logged_once() -> None:
    run_state_machine_as_test(
        Sessions,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
