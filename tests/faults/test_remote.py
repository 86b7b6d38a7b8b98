"""Driving a service that drops answers, fails, hangs, talks nonsense or is not there.

Every event is kept once by its number, and sessions that can be ended are.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from sim.listening.sessions import ListeningModel
from sim.remote.client import ANSWER_LOST
from tests.faults.served import wait_until
from tests.programs import free_port
from tests.sim.remote.fake_service import (
    CLOSE_AFTER,
    CLOSE_BEFORE,
    HANG,
    NO_HTTP,
    SHORT,
    TEXT,
    UNKNOWN_TRACK,
    WRONG_USER,
    FakeService,
    Mishap,
    fake_service,
)
from tests.sim.remote.test_run import TRACKS, play

FEW = 60


def _every(step: int, what: str) -> Mishap:
    return lambda number, _: what if number % step == 0 else None


def _assert_nothing_heard_twice(service: FakeService) -> None:
    """A listener hears a track once in a session unless not at all."""
    for user, events in [*service.sessions, *service.open.items()]:
        heard = [track for track, time_ in events if time_ > 0]
        assert len(set(heard)) == len(heard), (user, events)
        is_ended_again = len(events) == 1 and events[0][1] == 0.0
        assert events[0][1] == 1.0 or is_ended_again, (user, events)


@pytest.mark.parametrize(
    ("what", "batch", "reason"),
    [
        (CLOSE_AFTER, 0, ANSWER_LOST),
        (CLOSE_AFTER, 40, ANSWER_LOST),
        (CLOSE_BEFORE, 0, ANSWER_LOST),
        (NO_HTTP, 0, ANSWER_LOST),
        ("500", 0, "status 500"),
        ("502", 40, "status 502"),
    ],
)
def test_a_request_without_an_answer_is_sent_again_under_its_number(
    demo_model: ListeningModel, what: str, batch: int, reason: str
) -> None:
    with fake_service(TRACKS, mishap=_every(7, what)) as service:
        counts = play(demo_model, service.url, batch=batch, concurrency=4, episodes=FEW)
    assert counts.error is None
    assert set(counts.retries) == {reason}
    assert counts.sessions == len(service.sessions) == FEW
    assert counts.tracks == sum(len(events) for _, events in service.sessions)
    assert (service.repeats > 0) == (what in {CLOSE_AFTER, NO_HTTP})
    assert not service.open
    _assert_nothing_heard_twice(service)


def test_an_answer_that_does_not_come_is_asked_for_again(
    demo_model: ListeningModel,
) -> None:
    with fake_service(
        TRACKS, mishap=lambda number, _: HANG if number == 5 else None
    ) as service:
        counts = play(demo_model, service.url, concurrency=1, timeout_s=1, episodes=20)
    assert counts.retries == {ANSWER_LOST: 1}
    assert counts.sessions == len(service.sessions) == 20


@pytest.mark.parametrize(
    ("what", "batch"), [(TEXT, 0), (UNKNOWN_TRACK, 0), (WRONG_USER, 40), (SHORT, 40)]
)
def test_an_answer_that_cannot_be_used_ends_the_run(
    demo_model: ListeningModel, what: str, batch: int
) -> None:
    with fake_service(
        TRACKS, mishap=lambda number, _: what if number == 3 else None
    ) as service:
        counts = play(demo_model, service.url, batch=batch, concurrency=4, episodes=FEW)
    assert "the answer has no track of this world" in str(counts.error)
    assert counts.interrupted > 0
    assert not service.open
    _assert_nothing_heard_twice(service)


def test_a_track_heard_already_is_heard_not_at_all_and_no_failure(
    demo_model: ListeningModel,
) -> None:
    with fake_service(1) as service:  # it recommends track 0 again and again
        counts = play(demo_model, service.url, concurrency=4, episodes=50)
    assert counts.sessions == 50
    assert all(
        time_ == 0.0 for _, events in service.sessions for _, time_ in events[2:]
    )


@pytest.mark.parametrize(
    ("what", "message"),
    [("500", "status 500"), (CLOSE_AFTER, "answer lost"), ("400", "refused with 400")],
)
def test_a_service_without_good_answers_ends_the_run(
    demo_model: ListeningModel, what: str, message: str
) -> None:
    with fake_service(
        TRACKS, mishap=lambda number, _: what if number >= 13 else None
    ) as service:
        counts = play(
            demo_model, service.url, concurrency=2, patience_s=0.2, episodes=9000
        )
    assert message in str(counts.error)
    assert service.requests < 13 + 30
    _assert_nothing_heard_twice(service)


def test_a_service_that_comes_late_is_waited_for(demo_model: ListeningModel) -> None:
    port = free_port()
    started, ready = threading.Event(), threading.Event()
    sessions: list[int] = []

    def serve_late() -> None:
        started.wait(60)
        with fake_service(TRACKS, port=port) as late:
            ready.wait(120)
            sessions.append(len(late.sessions))

    thread = threading.Thread(target=serve_late)
    thread.start()
    timer = threading.Timer(0.3, started.set)
    timer.start()
    counts = play(
        demo_model,
        FakeService(TRACKS, port=port).url,
        concurrency=3,
        episodes=30,
    )
    ready.set()
    thread.join(timeout=60)
    timer.join()
    assert counts.error is None
    assert sessions == [30]
    assert (
        any(reason.startswith("not connected") for reason in counts.retries)
        or not counts.retries
    )


def test_a_service_that_is_not_there_ends_the_run(demo_model: ListeningModel) -> None:
    counts = play(
        demo_model,
        FakeService(TRACKS, port=free_port()).url,
        concurrency=3,
        patience_s=0.2,
    )
    assert "is the service running?" in str(counts.error)
    assert counts.interrupted == 3


@pytest.fixture
def start(
    demo_world: Path, tmp_path: Path
) -> Callable[[FakeService, int], "subprocess.Popen[str]"]:
    def start(service: FakeService, batch: int) -> "subprocess.Popen[str]":
        argv = [
            sys.executable,
            "-m",
            "sim.run",
            "--recommender",
            "remote",
            "--world",
            str(demo_world),
        ]
        argv += [
            "--url",
            service.url,
            "--episodes",
            "1000000",
            "--summary",
            str(tmp_path / "summary.json"),
        ]
        argv += [
            "--batch",
            str(batch),
            "--concurrency",
            "4",
        ]
        return subprocess.Popen(
            argv,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.mark.parametrize(
    ("number", "batch"), [(signal.SIGINT, 25), (signal.SIGTERM, 0)]
)
def test_an_interrupt_ends_the_open_sessions_and_shows_what_was_done(
    start: Callable[[FakeService, int], "subprocess.Popen[str]"],
    tmp_path: Path,
    number: int,
    batch: int,
) -> None:
    with fake_service(TRACKS) as service:
        process = start(service, batch)
        try:
            wait_until(lambda: len(service.sessions) > 50, "some sessions", 120)
            os.killpg(
                process.pid, number
            )  # as a terminal does: the workers are of the group
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 130, err
    assert not service.open
    summary = orjson.loads((tmp_path / "summary.json").read_bytes())
    assert summary["ended_early"] == "interrupted"
    assert summary["sessions"] + summary["interrupted"] == len(service.sessions)
    assert "ended early and not counted" in out
    assert "Traceback" not in err
    _assert_nothing_heard_twice(service)
