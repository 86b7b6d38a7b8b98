"""The search under kill -9 of a worker and under Ctrl-C."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.recsys.logs import make_store, random_sessions

SETTINGS = [
    "search.space.factors=[8, 16]",
    "search.space.alpha=[1.0, 10.0, 40.0]",
    "search.sweeps=200",
    "search.score_every=100",
    "validation.resamples=100",
    "cluster.workers=2",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sessions = random_sessions(5, listeners=300, tracks=900, sessions=6000)
    return make_store(tmp_path_factory.mktemp("faults"), sessions, tracks=900)


def start_search(store: Path, folder: Path) -> subprocess.Popen[str]:
    config = folder / "search.yaml"
    config.write_text(f"store: {store}\nrun: {folder / 'run'}\n")
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    argv = [sys.executable, "-m", "recsys.search", "--config", str(config), *sets]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def workers_of(search: subprocess.Popen[str]) -> list[psutil.Process]:
    """The Dask workers: the processes that work hardest below the search."""
    children = psutil.Process(search.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def has_rows(folder: Path, count: int) -> bool:
    ledger = folder / "run" / "ledger.jsonl"
    return ledger.exists() and len(ledger.read_bytes().splitlines()) >= count


@pytest.mark.slow
def test_a_killed_worker_costs_nothing_but_time(store: Path, tmp_path: Path) -> None:
    exports = []
    for name in ("undisturbed", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        search = start_search(store, folder)
        if name == "killed":
            wait_until(lambda folder=folder: has_rows(folder, 2))  # type: ignore[misc]  # bound now, not later
            workers = workers_of(search)
            assert len(workers) == 2
            workers[0].send_signal(signal.SIGKILL)
        _, errors = search.communicate(timeout=200)
        assert search.returncode == 0, errors
        exports.append((folder / "run/export/current/recommendations.jsonl").read_bytes())
    assert exports[0] == exports[1]


@pytest.mark.slow
def test_an_interrupt_ends_in_one_line_and_leaves_what_was_found(store: Path, tmp_path: Path) -> None:
    search = start_search(store, tmp_path)
    wait_until(lambda: has_rows(tmp_path, 2))
    children = psutil.Process(search.pid).children(recursive=True)
    search.send_signal(signal.SIGINT)
    _, errors = search.communicate(timeout=60)
    assert search.returncode == 130
    assert errors.splitlines()[-1].startswith("python -m recsys.search: error: interrupted")
    assert "Traceback" not in errors
    rows = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    assert len(rows) >= 2
    assert not (tmp_path / "run" / "winner.json").exists()
    wait_until(lambda: not any(child.is_running() for child in children))
