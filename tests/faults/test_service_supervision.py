"""Deaths and ends of workers and of their master, and versions that come while they serve."""

import os
import signal
from collections import Counter
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.botify.exports import point_to
from tests.faults.served import (
    TRACKS,
    Load,
    Published,
    Served,
    assert_all_logged,
    logged_answers,
    publish_first,
    serve,
)
from tests.waiting import wait_until

RELOADS = 20


def serves(served: Served, version: str) -> bool:
    return bool(served.ask("GET", "/")[1]["version"] == version)


@pytest.mark.slow
@pytest.mark.parametrize("interrupt", [signal.SIGTERM, signal.SIGINT])
def test_at_its_end_requests_under_way_are_answered_and_segments_closed(
    published: Published, tmp_path: Path, redis_url: str, interrupt: signal.Signals
) -> None:
    log = tmp_path / "log"
    with (
        serve(published, log, processes=2, redis_url=redis_url) as served,
        Load(served.port, clients=8) as load,
    ):
        load.wait_for(300)
        served.wait_for_workers(2)
        workers = served.workers()
        if interrupt == signal.SIGTERM:
            served.process.terminate()
        else:
            os.killpg(served.process.pid, interrupt)  # Ctrl-C reaches all processes
        assert served.process.wait(timeout=120) == 0
        assert not psutil.wait_procs(workers, timeout=60)[1]
    assert set(load.statuses) == {200}
    assert not list(log.glob(".events-*")), "a segment is still open"
    assert logged_answers(log) == Counter(load.answers)
    lines = served.errors.read_text().splitlines()
    warnings = [line for line in lines if " INFO " not in line]
    assert not warnings, "it says more than what it says at start"


@pytest.mark.slow
def test_reloads_under_load_fail_no_request_and_each_answer_is_of_one_version(
    tmp_path: Path,
) -> None:
    published = publish_first(tmp_path / "published")
    versions = {"low": (0, TRACKS // 2), "high": (TRACKS // 2, TRACKS)}
    lists = {name: published.publish(name, *part) for name, part in versions.items()}
    with (
        serve(published, tmp_path / "log", limits={"WATCH_S": 0.01}) as served,
        Load(served.port, clients=4) as load,
    ):
        for number in range(RELOADS):
            version = ("low", "high")[number % 2]
            point_to(published.folder, version)
            wait_until(partial(serves, served, version), "the version")
            load.wait_for(10)
    assert set(load.statuses) == {200}
    assert load.broken == []
    sources = Counter(
        name
        for answer in load.answers
        for name in versions
        if answer.recommendation in lists[name][answer.user]
    )
    assert sources.total() == len(load.answers), "none is of neither"
    assert min(sources.values()) > 50
    assert_all_logged(load, tmp_path / "log")
