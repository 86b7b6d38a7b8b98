"""Driving a service that drops answers, fails, hangs, talks nonsense or is not there, and being interrupted meanwhile.

No listening is ever told twice for it, and sessions that can be ended are.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import orjson
import psutil
import pytest

from sim.listening.sessions import ListeningModel, make_model
from sim.remote.service import ANSWER_LOST, SERVICE_FAILED
from sim.remote.sessions import ANSWER_UNUSABLE, END_LOST
from sim.worlds.files import load_world
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
from tests.sim.remote.test_drive import TRACKS, play
from tests.sim.worlds import heed_interrupts, write_world

FEW = 60
MANY = 240  # so that some listeners come twice

BOTH = pytest.mark.parametrize("batch", [0, 40])


def _every(step: int, what: str, kind: str = "/next") -> Mishap:
    return lambda number, path: (
        what if number % step == 0 and path.startswith(kind) else None
    )


def _assert_nothing_told_twice(service: FakeService) -> None:
    """A listener hears a track once in a session unless not at all, so that the events of sessions tell them apart."""
    for user, events in [*service.sessions, *service.open.items()]:
        heard = [track for track, time_ in events if time_ > 0]
        assert len(set(heard)) == len(heard), (user, events)
        assert [time_ for _, time_ in events[:1]] == [1.0] or events == (
            (events[0][0], 0.0),
        ), (user, events)


@pytest.mark.parametrize(
    ("what", "batch"),
    [
        (CLOSE_AFTER, 0),
        (CLOSE_AFTER, 40),
        (CLOSE_BEFORE, 0),
        (NO_HTTP, 0),
        ("502", 40),
        ("504", 0),
    ],
)
def test_a_session_whose_answer_was_lost_is_ended_and_counted_as_failed(
    demo_model: ListeningModel, what: str, batch: int
) -> None:
    with fake_service(TRACKS, mishap=_every(7, what)) as service:
        counts = play(
            demo_model, service.url, batch=batch, concurrency=4, sessions=range(FEW)
        )
    assert counts.error is None
    assert set(counts.failed) == {ANSWER_LOST}
    assert counts.failed[ANSWER_LOST] + counts.sessions.sum() == FEW
    assert (counts.skipped, counts.retries.total(), len(service.open)) == (0, 0, 0)
    assert len(service.sessions) == FEW
    _assert_nothing_told_twice(service)
    repeats = sum(
        len(events) > 1 and events[-1][0] == events[-2][0]
        for _, events in service.sessions
    )
    assert repeats == (
        counts.failed[ANSWER_LOST] if what in {CLOSE_AFTER, NO_HTTP} else 0
    )


@pytest.mark.parametrize(
    ("what", "batch"), [(TEXT, 0), (UNKNOWN_TRACK, 0), (WRONG_USER, 40), (SHORT, 40)]
)
def test_an_answer_that_cannot_be_used_ends_the_session(
    demo_model: ListeningModel, what: str, batch: int
) -> None:
    with fake_service(TRACKS, mishap=_every(7, what)) as service:
        counts = play(
            demo_model, service.url, batch=batch, concurrency=4, sessions=range(FEW)
        )
    assert counts.error is None
    assert set(counts.failed) == {ANSWER_UNUSABLE}
    assert counts.done == len(service.sessions) == FEW
    assert not service.open
    _assert_nothing_told_twice(service)


def test_one_bad_track_of_a_batch_ends_that_session_alone(
    demo_model: ListeningModel,
) -> None:
    with fake_service(
        TRACKS, mishap=lambda number, _: UNKNOWN_TRACK if number == 1 else None
    ) as service:
        counts = play(
            demo_model, service.url, batch=40, concurrency=1, sessions=range(FEW)
        )
    assert counts.failed == {ANSWER_UNUSABLE: 1}
    assert counts.sessions.sum() == FEW - 1


def test_a_track_heard_already_is_heard_not_at_all_and_no_failure(
    demo_model: ListeningModel,
) -> None:
    with fake_service(1) as service:  # it recommends track 0 again and again
        counts = play(demo_model, service.url, concurrency=4, sessions=range(50))
    assert counts.sessions.sum() == 50
    assert all(
        time_ == 0.0 for _, events in service.sessions for _, time_ in events[2:]
    )


@pytest.mark.parametrize(("status", "batch"), [("500", 0), ("503", 40)])
def test_what_the_service_says_that_it_did_not_do_is_asked_again(
    demo_model: ListeningModel, status: str, batch: int
) -> None:
    with (
        fake_service(TRACKS) as calm,
        fake_service(TRACKS, mishap=_every(5, status, "/")) as service,
    ):
        play(demo_model, calm.url, concurrency=4, sessions=range(FEW))
        counts = play(
            demo_model, service.url, batch=batch, concurrency=4, sessions=range(FEW)
        )
    assert counts.sessions.sum() == FEW
    assert counts.retries[f"status {status}"] > 0
    assert sorted(service.sessions) == sorted(calm.sessions)


@BOTH
def test_a_service_that_goes_on_failing_costs_the_session_when_patience_ends(
    demo_model: ListeningModel, batch: int
) -> None:
    def mishap(number: int, path: str) -> str | None:
        del path
        return "503" if number >= 13 and number % 9 else None  # never 20 times in a row

    with fake_service(TRACKS, mishap=mishap) as service:
        counts = play(
            demo_model,
            service.url,
            batch=batch,
            concurrency=2,
            patience_s=0,
            sessions=range(MANY),
        )
    assert counts.error is None
    assert set(counts.failed) == {SERVICE_FAILED}
    assert counts.done == MANY
    assert counts.skipped > 0 or not service.open
    _assert_nothing_told_twice(service)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("500", "20 requests in a row failed, the last with 500: asked for 500"),
        (CLOSE_AFTER, "20 answers in a row were lost"),
    ],
)
def test_a_service_without_good_answers_is_given_up(
    demo_model: ListeningModel, what: str, message: str
) -> None:
    with fake_service(
        TRACKS, mishap=lambda number, _: what if number >= 13 else None
    ) as service:
        counts = play(
            demo_model, service.url, concurrency=2, patience_s=0, sessions=range(9000)
        )
    assert message in str(counts.error)
    assert service.requests < 13 + 30
    _assert_nothing_told_twice(service)


@BOTH
def test_a_listener_whose_session_may_be_open_still_gets_no_other_one(
    tmp_path: Path, batch: int
) -> None:
    lost: list[str] = []

    def mishap(number: int, path: str) -> str | None:
        del number
        if path.startswith("/last") and not lost:
            lost.append(path)
            return CLOSE_BEFORE
        return None

    model = make_model(load_world(write_world(tmp_path / "world")))
    with fake_service(12, mishap=mishap) as service:
        counts = play(
            model, service.url, batch=batch, concurrency=4, sessions=range(90)
        )
    assert set(counts.failed) == {END_LOST}
    assert counts.failed[END_LOST] == len(service.open)
    assert counts.skipped > 10
    assert counts.done == 90
    _assert_nothing_told_twice(service)


def test_an_answer_that_does_not_come_counts_as_lost(
    demo_model: ListeningModel,
) -> None:
    with fake_service(
        TRACKS, mishap=lambda number, _: HANG if number == 5 else None
    ) as service:
        counts = play(
            demo_model, service.url, concurrency=1, timeout_s=2, sessions=range(20)
        )
    assert counts.failed == {ANSWER_LOST: 1}
    assert len(service.sessions) == 20


def test_a_refused_request_ends_the_run_with_the_services_words(
    demo_model: ListeningModel,
) -> None:
    with fake_service(
        TRACKS, mishap=lambda number, _: "400" if number == 30 else None
    ) as service:
        counts = play(demo_model, service.url, concurrency=4, sessions=range(FEW))
    assert "refused with 400: asked for 400" in str(counts.error)
    assert counts.interrupted > 0
    assert not service.open  # all were ended


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
        sessions=range(30),
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
) -> Callable[[FakeService, int, int], "subprocess.Popen[str]"]:
    def start(
        service: FakeService, processes: int, batch: int
    ) -> "subprocess.Popen[str]":
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
            "--processes",
            str(processes),
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
            preexec_fn=heed_interrupts,
        )

    return start


@pytest.mark.parametrize(
    ("number", "processes", "batch"), [(signal.SIGINT, 2, 25), (signal.SIGTERM, 1, 0)]
)
def test_an_interrupt_ends_the_open_sessions_and_shows_what_was_done(
    start: Callable[[FakeService, int, int], "subprocess.Popen[str]"],
    tmp_path: Path,
    number: int,
    processes: int,
    batch: int,
) -> None:
    with fake_service(TRACKS) as service:
        process = start(service, processes, batch)
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
    (day,) = orjson.loads((tmp_path / "summary.json").read_bytes())["days"]
    assert day["ended_early"] == "interrupted"
    assert day["sessions"] + day["interrupted"] == len(service.sessions)
    assert "ended early and not counted" in out
    assert "Traceback" not in err
    _assert_nothing_told_twice(service)


def test_workers_end_their_sessions_when_their_parent_is_killed(
    start: Callable[[FakeService, int, int], "subprocess.Popen[str]"],
) -> None:
    with fake_service(TRACKS) as service:
        process = start(service, 2, 25)
        try:
            wait_until(lambda: len(service.sessions) > 50, "some sessions", 120)
            workers = psutil.Process(process.pid).children(recursive=True)
        finally:
            process.kill()
            process.communicate()
        _, alive = psutil.wait_procs(workers, timeout=120)
        assert not alive
    assert not service.open
    _assert_nothing_told_twice(service)
