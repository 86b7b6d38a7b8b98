"""Any order of requests to two services that share a Redis, with its faults.

No track that was heard in a session is recommended in it, and every event is logged.
"""

import shutil
import tempfile
from collections import defaultdict
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

from botify.schemas import Listening
from botify.service import Service
from botify.sessions import redis as redis_sessions
from tests.botify.client import listening
from tests.botify.conftest import start_service
from tests.botify.exports import publish, random_lists, write_catalogue
from tests.botify.redis_server import RedisServer
from tests.faults.served import read_events

TRACKS, LISTENERS = 120, 3  # more tracks than a run can hear
USERS, TRACK, WHICH = (
    st.integers(0, LISTENERS - 1),
    st.integers(0, TRACKS - 1),
    st.integers(0, 1),
)
# of another length, of a session's length, and of other types
FOREIGN = (("SET", b"x" * 25), ("SET", b"x" * 32), ("LPUSH", b"x"), ("SADD", b"x"))
SERVER: list[RedisServer] = []  # one for all runs of the machine


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A Redis that is back is found at once."""
    monkeypatch.setattr(redis_sessions, "PAUSE_S", 0)
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
        # by listener, in this session
        self.heard: defaultdict[int, set[int]] = defaultdict(set)
        self.acknowledged: list[Listening] = []

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

    def new_request(self, user: int, track: int) -> Listening:
        self.number += 1
        # the share tells the events apart
        return listening(user, track, self.number / 10**6)

    @rule(user=USERS, tracks=st.lists(TRACK, min_size=1, max_size=4), which=WHICH)
    def ask(self, user: int, tracks: list[int], which: int) -> None:
        requests = [self.new_request(user, track) for track in tracks]
        answers = self.services[which].answer("next", requests)
        self.acknowledged += requests
        for track, (answer,) in zip(tracks, answers, strict=True):
            assert answer != track
            if self.is_up:
                self.heard[user].add(track)
                assert answer not in self.heard[user]

    @rule(user=USERS, track=TRACK, which=WHICH)
    def end(self, user: int, track: int, which: int) -> None:
        request = self.new_request(user, track)
        assert self.services[which].answer("last", [request]) == [[]]
        self.acknowledged.append(request)
        self.heard.pop(user, None)

    @rule(which=WHICH)
    def restart_service(self, which: int) -> None:
        self.services[which].close()
        self.services[which] = self.start_service()

    @precondition(lambda self: self.is_up)
    @rule()
    def stop_redis(self) -> None:
        self.server.stop()
        self.is_up = False
        self.heard.clear()

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
        self.heard.pop(user, None)

    @invariant()
    def services_are_ready_again(self) -> None:
        assert all(service.log.failure is None for service in self.services)

    def teardown(self) -> None:
        for service in self.services:
            service.close()
        logged = [
            (event.user, event.track, event.time)
            for event in read_events(self.folder / "log")
        ]
        assert sorted(logged) == sorted(
            (request.user, request.track, request.time) for request in self.acknowledged
        )
        shutil.rmtree(self.folder)


def test_no_track_is_heard_again_and_every_acknowledged_event_is_logged() -> None:
    run_state_machine_as_test(
        Sessions,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            suppress_health_check=list(HealthCheck),
        ),
    )
