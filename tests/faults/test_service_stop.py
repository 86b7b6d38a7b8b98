"""The service under kill -9 and SIGTERM: what it acknowledged is in the log."""

from collections import Counter
from pathlib import Path

import psutil

from tests.faults.served import (
    Load,
    Published,
    assert_all_logged,
    clients,
    logged_answers,
    serve,
    wait_until,
)


def test_after_kill_9_of_a_process_its_events_are_in_the_log_and_the_others_go_on(
    published: Published, tmp_path: Path, redis_url: str
) -> None:
    log = tmp_path / "log"
    with serve(published, log, processes=2, redis_url=redis_url) as served, Load(served.port, clients(8)) as load:
        load.wait_for(300)
        before = {process.pid for process in served.workers()}
        victim = served.workers()[0]
        victim.kill()
        load.wait_for(1000)
        wait_until(lambda: len(served.workers()) == len(before), "another process to start")
        assert {process.pid for process in served.workers()} != before
    assert len(load.broken) <= 8 * 3, "only requests that the killed process had"
    assert set(load.statuses) == {200}
    assert_all_logged(load, log)


def test_after_kill_9_of_all_processes_the_next_start_publishes_every_acknowledged_event(
    published: Published, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with serve(published, log) as served, Load(served.port, clients(4)) as load:
        load.wait_for(500)
        served.kill()
    with serve(published, log) as again:
        assert list(log.glob("events-*.jsonl"))
        assert again.stop() == 0
    assert_all_logged(load, log)


def test_at_sigterm_requests_under_way_are_answered_and_segments_closed(
    published: Published, tmp_path: Path, redis_url: str
) -> None:
    log = tmp_path / "log"
    with serve(published, log, processes=2, redis_url=redis_url) as served, Load(served.port, clients(8)) as load:
        load.wait_for(500)
        workers = served.workers()
        assert served.stop() == 0
        assert not psutil.wait_procs(workers, timeout=60)[1]
    assert set(load.statuses) == {200}
    assert not list(log.glob(".events-*")), "a segment is still open"
    assert logged_answers(log) == Counter(load.answers), "logged and answered are the same"
    assert "Traceback" not in served.errors.read_text()
