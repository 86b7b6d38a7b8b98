"""Deaths and ends of workers and of their master, and versions that come while they serve."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.botify.exports import point_to, publish
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


def a_fifo(version: Path) -> None:
    (version / "manifest.json").unlink()
    os.mkfifo(version / "manifest.json")


def an_endless_device(version: Path) -> None:
    (version / "manifest.json").unlink()
    (version / "manifest.json").symlink_to("/dev/zero")


def a_list_that_is_a_fifo(version: Path) -> None:
    (version / "recommendations.jsonl").unlink()
    os.mkfifo(version / "recommendations.jsonl")


def a_name_that_nests(version: Path) -> None:
    (version / "manifest.json").write_bytes(b'{"schema":1,"model":' + b"[" * 100_000)


HARMS: list[Callable[[Path], None]] = [
    a_fifo,
    an_endless_device,
    a_list_that_is_a_fifo,
    a_name_that_nests,
]


def version_of(served: Served) -> str:
    return str(served.ask("GET", "/experiments")[1]["version"])


@pytest.mark.slow
def test_hostile_versions_are_refused_and_the_next_good_one_is_served(
    tmp_path: Path,
) -> None:
    """Met by the watcher, and by more reloads than there are threads."""
    published = publish_first(tmp_path / "published")
    with serve(published, tmp_path / "log", watch_s=0.05, threads=2) as served:
        for harm in HARMS:
            bad = publish(
                tmp_path / "stage",
                harm.__name__,
                {0: [1]},
                catalogue=published.catalogue,
            )
            harm(bad)
            bad.rename(published.folder / "versions" / bad.name)
            point_to(published.folder, bad.name)
            wait_until(
                lambda: served.ask("GET", "/experiments")[1]["refused"] is not None,
                harm.__name__,
            )
            for _ in range(3):
                assert served.ask("POST", "/admin/reload")[0] == 409, harm.__name__
            assert served.is_ready()
            assert served.ask("POST", "/next/7", {"track": 1, "time": 0.5})[0] == 200
            good = f"after-{harm.__name__}"
            published.publish(good)
            wait_until(lambda: version_of(served) == good, good)  # noqa: B023  at once
    assert "Traceback" not in served.errors.read_text()


@pytest.mark.slow
def test_reloads_under_load_fail_no_request_and_each_answer_is_of_one_version(
    tmp_path: Path,
) -> None:
    published = publish_first(tmp_path / "published")
    versions = {"low": (0, TRACKS // 2), "high": (TRACKS // 2, TRACKS)}
    lists = {name: published.publish(name, *part) for name, part in versions.items()}
    with (
        serve(published, tmp_path / "log", watch_s=3600) as served,
        Load(served.port, clients=4) as load,
    ):
        for number in range(RELOADS):
            version = ("low", "high")[number % 2]
            point_to(published.folder, version)
            reloaded = served.ask("POST", "/admin/reload")
            assert reloaded == (200, {"version": version})
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
