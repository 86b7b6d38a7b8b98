"""Deaths and ends of workers and of their master, and published files that break a watcher."""

import io
import os
import signal
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from tests.botify.exports import point_to, publish, update_manifest
from tests.faults.served import (
    Insistent,
    Load,
    Published,
    Served,
    assert_all_logged,
    assert_each_logged,
    clients,
    logged_answers,
    publish_first,
    serve,
)
from tests.waiting import wait_until


def test_a_worker_that_dies_again_and_again_leaves_the_others_serving(
    published: Published, tmp_path: Path, redis_url: str
) -> None:
    with (
        serve(published, tmp_path / "log", processes=2, redis_url=redis_url) as served,
        Load(served.port, clients(4)) as load,
    ):
        load.wait_for(100)
        healthy = served.workers()[0].pid
        for _ in range(3):
            wait_until(lambda: len(served.workers()) == 2, "another worker to start")
            victim = next(
                worker for worker in served.workers() if worker.pid != healthy
            )
            victim.kill()
            psutil.wait_procs([victim], timeout=60)
        wait_until(lambda: len(served.workers()) == 2, "another worker to start")
        load.wait_for(300)
        assert healthy in {worker.pid for worker in served.workers()}
        assert served.process.poll() is None
    assert len(load.broken) <= 4 * 3 * 3, "only requests that the killed processes had"
    assert set(load.statuses) == {200}
    assert_all_logged(load, tmp_path / "log")


def test_at_sigterm_requests_under_way_are_answered_and_segments_closed(
    published: Published, tmp_path: Path, redis_url: str
) -> None:
    log = tmp_path / "log"
    with (
        serve(published, log, processes=2, redis_url=redis_url) as served,
        Load(served.port, clients(8)) as load,
    ):
        load.wait_for(500)
        workers = served.workers()
        assert served.stop() == 0
        assert not psutil.wait_procs(workers, timeout=60)[1]
    assert set(load.statuses) == {200}
    assert not list(log.glob(".events-*")), "a segment is still open"
    assert logged_answers(log) == Counter(load.answers), (
        "logged and answered are the same"
    )
    assert "Traceback" not in served.errors.read_text()


def test_workers_end_with_their_master_and_a_restart_finds_the_port_free(
    published: Published, tmp_path: Path, redis_url: str
) -> None:
    log = tmp_path / "log"
    with serve(published, log, processes=2, redis_url=redis_url) as served:
        with Load(served.port, clients(4)) as load:
            load.wait_for(200)
            workers = served.workers()
            served.process.kill()
            assert not psutil.wait_procs(workers, timeout=60)[1], "orphans go on"
        assert not list(log.glob(".events-*")), "they closed their segments"
        again = Served(
            published, log, processes=2, redis_url=redis_url, port=served.port
        )
        again.port = served.port
        try:
            again.start()
            assert again.ask("POST", "/next/7", {"track": 1, "time": 0.5})[0] == 200
        finally:
            again.kill()
    assert_all_logged(load, log)


def a_fifo(version: Path) -> None:
    (version / "manifest.json").unlink()
    os.mkfifo(version / "manifest.json")


def an_endless_device(version: Path) -> None:
    (version / "manifest.json").unlink()
    (version / "manifest.json").symlink_to("/dev/zero")


def a_list_that_is_a_fifo(version: Path) -> None:
    (version / "recommendations.jsonl").unlink()
    os.mkfifo(version / "recommendations.jsonl")


def _change_next_track(version: Path, change: Callable[[bytes], bytes]) -> None:
    np.savez(version / "next_track.npz", tracks=np.arange(3))
    text = (version / "next_track.npz").read_bytes()
    (version / "next_track.npz").write_bytes(change(text))
    update_manifest(version, "next_track.npz")


def _patch_archive(version: Path, at: int, value: bytes) -> None:
    """Change two bytes of each file's header, `at` bytes from its start, and of the directory."""

    def patch(text: bytes) -> bytes:
        for magic, further in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
            start = text.index(magic) + at + further
            text = text[:start] + value + text[start + 2 :]
        return text

    _change_next_track(version, patch)


def an_encrypted_archive(version: Path) -> None:
    _patch_archive(version, 6, b"\x01\x00")


def an_archive_of_the_future(version: Path) -> None:
    _patch_archive(version, 4, b"\x63\x00")


def a_header_of_minus_signs(version: Path) -> None:
    header = (
        b"{'descr': '<i8', 'fortran_order': False, 'shape': (" + b"-" * 9000 + b"1,)}"
    )
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(
            "tracks.npy",
            b"\x93NUMPY\x01\x00"
            + len(header).to_bytes(2, "little")
            + header
            + b"\0" * 8,
        )
    (version / "next_track.npz").write_bytes(made.getvalue())
    update_manifest(version, "next_track.npz")


def a_name_that_nests(version: Path) -> None:
    (version / "manifest.json").write_bytes(b'{"schema":1,"model":' + b"[" * 100_000)


HOSTILE = [
    a_fifo,
    an_endless_device,
    a_list_that_is_a_fifo,
    an_encrypted_archive,
    an_archive_of_the_future,
    a_header_of_minus_signs,
    a_name_that_nests,
]


def serves(served: Served, version: str) -> bool:
    return bool(served.ask("GET", "/experiments")[1]["version"] == version)


def test_hostile_versions_are_refused_and_the_next_good_one_is_served(
    tmp_path: Path,
) -> None:
    """Met by the watcher, and by more reloads than there are threads."""
    published = publish_first(tmp_path / "published")
    experiments = [
        {"name": "ALL", "arms": [{"name": "C", "recommender": "next_track"}]}
    ]
    with serve(
        published, tmp_path / "log", watch_s=0.05, experiments=experiments, threads=2
    ) as served:
        for number, harm in enumerate(HOSTILE):
            bad = publish(
                tmp_path / "stage",
                f"bad-{number}",
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
            assert [served.ask("POST", "/admin/reload")[0] for _ in range(3)] == [
                409
            ] * 3, harm.__name__
            assert served.ask("GET", "/health/ready")[0] == 200
            assert served.ask("POST", "/next/7", {"track": 1, "time": 0.5})[0] == 200
            published.publish(f"good-{number}")
            wait_until(partial(serves, served, f"good-{number}"), harm.__name__)
        metrics = served.ask("GET", "/metrics")[1]
        assert "Traceback" not in served.errors.read_text()
    refused = [
        line
        for line in metrics.splitlines()
        if line.startswith("botify_version_refused_total")
    ]
    assert float(refused[0].split()[-1]) >= len(HOSTILE)
    assert "botify_version_checked_timestamp_seconds" in metrics


def test_a_worker_whose_first_signal_is_lost_ends_with_its_master_too() -> None:
    script = (
        "import signal, threading\n"
        "from botify import serving\n"
        "came = threading.Semaphore(0)\n"
        "signal.signal(signal.SIGTERM, lambda *_: came.release())\n"
        "threading.Thread(target=serving._end_with, args=(0,), daemon=True).start()\n"
        "assert all(came.acquire(timeout=60) for _ in range(2))\n"
    )
    subprocess.run([sys.executable, "-c", script], timeout=120, check=True)


def test_a_stop_signal_to_the_group_ends_the_service_well(
    published: Published, tmp_path: Path
) -> None:
    with serve(published, tmp_path / "log") as served:
        assert served.ask("POST", "/next/7", {"track": 1, "time": 0.5})[0] == 200
        os.killpg(served.process.pid, signal.SIGINT)  # Ctrl-C reaches all processes
        assert served.process.wait(timeout=60) == 0
        lines = served.errors.read_text().splitlines()
        assert all(" INFO " in line for line in lines), (
            "nothing but what it says at start"
        )
    assert not list((tmp_path / "log").glob(".events-*"))


@pytest.mark.parametrize("processes", [1, 2])
def test_requests_sent_until_answered_are_logged_through_kills(
    published: Published, tmp_path: Path, redis_url: str, processes: int
) -> None:
    """Workers are killed, then all processes; without Redis the log alone remembers."""
    log = tmp_path / "log"
    settings: dict[str, Any] = (
        {"processes": 2, "redis_url": redis_url} if processes > 1 else {}
    )
    served = Served(published, log, **settings)
    listeners = [
        Insistent(served.port, user, 200)
        for user in range(1900 + 10 * processes, 1906 + 10 * processes)
    ]
    threads = [threading.Thread(target=listener.run) for listener in listeners]
    try:
        served.start()
        for thread in threads:
            thread.start()
        for kill in range(2):
            goal = sum(len(listener.answers) for listener in listeners) + 200
            wait_until(partial(have_answers, listeners, goal), "more answers")
            if kill % 2:
                served.kill()
                served.start()
            else:
                served.workers()[0].kill()
        for thread in threads:
            thread.join(timeout=120)
        assert served.stop() == 0
    finally:
        served.kill()
    assert all(len(listener.answers) == 200 for listener in listeners)
    assert_each_logged(listeners, log)


def have_answers(listeners: list[Insistent], goal: int) -> bool:
    return sum(len(listener.answers) for listener in listeners) >= goal
