"""Driving a service that drops answers, fails, hangs, talks nonsense or is not there.

Every event is kept once by its number.
"""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sim.errors import SimError
from sim.worlds.files import World
from tests.programs import free_port
from tests.sim.remote.fake_service import (
    CLOSE_AFTER,
    CLOSE_BEFORE,
    HANG,
    SHORT,
    TEXT,
    UNKNOWN_TRACK,
    WRONG_USER,
    FakeService,
    Mishap,
    fake_service,
)
from tests.sim.remote.test_run import TRACKS, play
from tests.waiting import wait_until

FEW = 60


def _every(step: int, what: str) -> Mishap:
    return lambda number: what if number % step == 0 else None


def _assert_nothing_heard_twice(service: FakeService) -> None:
    """A listener hears a track once in a session unless not at all."""
    for user, events in [*service.sessions, *service.open.items()]:
        heard = [track for track, time_ in events if time_ > 0]
        assert len(set(heard)) == len(heard), (user, events)
        assert events[0][1] == 1.0, (user, events)


@pytest.mark.parametrize(
    ("what", "batch"),
    [
        (CLOSE_AFTER, 0),
        (CLOSE_AFTER, 40),
        (CLOSE_BEFORE, 0),
        ("500", 0),
        ("502", 40),
    ],
)
def test_a_request_without_an_answer_is_sent_again_under_its_number(
    demo_world: World, what: str, batch: int
) -> None:
    with fake_service(TRACKS, mishap=_every(7, what)) as service:
        totals = play(demo_world, service.url, batch=batch, concurrency=4, episodes=FEW)
    assert totals.retries
    assert totals.sessions == len(service.sessions) == FEW
    assert totals.tracks == sum(len(events) for _, events in service.sessions)
    assert (service.repeats > 0) == (what == CLOSE_AFTER)
    assert not service.open
    _assert_nothing_heard_twice(service)


def test_an_answer_that_does_not_come_is_asked_for_again(
    demo_world: World,
) -> None:
    with fake_service(
        TRACKS, mishap=lambda number: HANG if number == 5 else None
    ) as service:
        totals = play(demo_world, service.url, concurrency=1, timeout_s=1, episodes=20)
    assert totals.retries >= 1
    assert totals.sessions == len(service.sessions) == 20


@pytest.mark.parametrize(
    ("what", "batch"), [(TEXT, 0), (UNKNOWN_TRACK, 0), (WRONG_USER, 40), (SHORT, 40)]
)
def test_an_answer_that_cannot_be_used_ends_the_run(
    demo_world: World, what: str, batch: int
) -> None:
    with (
        fake_service(
            TRACKS, mishap=lambda number: what if number == 3 else None
        ) as service,
        pytest.raises(SimError, match="the answer has no track of this world"),
    ):
        play(demo_world, service.url, batch=batch, concurrency=4, episodes=FEW)
    _assert_nothing_heard_twice(service)


def test_a_track_heard_already_is_heard_not_at_all_and_no_failure(
    demo_world: World,
) -> None:
    with fake_service(1) as service:  # it recommends track 0 again and again
        totals = play(demo_world, service.url, concurrency=4, episodes=50)
    assert totals.sessions == 50
    assert all(
        time_ == 0.0 for _, events in service.sessions for _, time_ in events[2:]
    )


@pytest.mark.parametrize(
    ("what", "message"),
    [("500", "with 500.*running"), (CLOSE_AFTER, "no answer"), ("400", "with 400")],
)
def test_a_service_without_good_answers_ends_the_run(
    demo_world: World, what: str, message: str
) -> None:
    with (
        fake_service(
            TRACKS, mishap=lambda number: what if number >= 13 else None
        ) as service,
        pytest.raises(SimError, match=message),
    ):
        play(demo_world, service.url, concurrency=2, patience_s=0.2, episodes=9000)
    assert service.requests < 13 + 30
    _assert_nothing_heard_twice(service)


def test_a_service_that_comes_late_is_waited_for(demo_world: World) -> None:
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
    url = FakeService(TRACKS, port=port).url
    play(demo_world, url, concurrency=3, episodes=30)
    ready.set()
    thread.join(timeout=60)
    timer.join()
    assert sessions == [30]


def test_a_service_that_is_not_there_ends_the_run(demo_world: World) -> None:
    url = FakeService(TRACKS, port=free_port()).url
    with pytest.raises(SimError, match="is the service running"):
        play(demo_world, url, concurrency=3, patience_s=0.2)


def test_an_interrupted_run_says_so_in_one_line(demo_folder: Path) -> None:
    with fake_service(TRACKS) as service:
        argv = [sys.executable, "-m", "sim.run", "--recommender=remote"]
        argv += [f"--world={demo_folder}", f"--url={service.url}", "--episodes=1000000"]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_until(lambda: len(service.sessions) > 50, "some sessions")
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=120)
            finally:
                process.kill()
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
