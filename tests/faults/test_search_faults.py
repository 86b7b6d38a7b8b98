"""The search under kill -9: of its workers, of their scheduler, of itself; and trials that take their workers along."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from pydantic import ByteSize

from recsys.cluster_config import ClusterConfig
from recsys.config import Space
from recsys.runs.folder import read_run
from recsys.search.search import search
from recsys.workspace import open_workspace
from tests.faults.searches import LONG, assert_same_end, config_of, refusal, rows, started, wait_until
from tests.recsys.logs import make_store, random_sessions

PATIENT = 300.0  # seconds without a worker, on a machine with more to do than start another
TWO = ClusterConfig(workers=2, wait_for_workers_s=PATIENT)
DASK = Path(sys.executable).with_name("dask")
pytestmark = pytest.mark.dask


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sessions = random_sessions(5, listeners=100, tracks=300, sessions=1500)
    return make_store(tmp_path_factory.mktemp("faults"), sessions, tracks=300)


def finished_trials(run: Path) -> int:
    return sum(row["model"] == "als" and row["sweep"] == LONG for row in rows(run))


@pytest.mark.slow
@pytest.mark.timeout(900)  # a replacement imports all anew
def test_a_worker_killed_at_any_of_five_moments_changes_nothing(store: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(20)
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}),  # see recsys.cluster
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        there = ClusterConfig(scheduler=cluster.scheduler_address, wait_for_workers_s=PATIENT)
        search(config_of(store, tmp_path / "warm up", there, sweeps=4))
        began = time.monotonic()
        search(config_of(store, tmp_path / "undisturbed", there, sweeps=4))
        whole_s = time.monotonic() - began
        for number in range(5):
            run = tmp_path / str(number)
            victim = workers_at_work(client)[int(generator.integers(2))]
            assassin = threading.Timer(generator.uniform(0, whole_s), victim.send_signal, [signal.SIGKILL])
            assassin.start()
            search(config_of(store, run, there, sweeps=4))
            assassin.join()
            assert_same_end(run, tmp_path / "undisturbed")
            assert not (run / "checkpoints").exists()


def workers_at_work(client: Client, count: int = 2, timeout_s: float = 300) -> list[psutil.Process]:
    """The workers, once all of them have reported: one that is killed while it starts is not started again."""
    deadline = time.monotonic() + timeout_s
    while True:
        workers = workers_below(psutil.Process())
        reported = set(client.run(os.getpid, on_error="ignore").values())
        if len(workers) == count and {worker.pid for worker in workers} == reported:
            return workers
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def workers_below(process: psutil.Process) -> list[psutil.Process]:
    children = process.children(recursive=True)
    found = []
    for child in children:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return sorted(found, key=lambda worker: worker.pid)


@pytest.fixture(scope="module")
def long_run(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed search of many sweeps, so that kills find it at work."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    config = config_of(store, run, TWO, LONG)
    search(config)
    return run


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_search_that_is_killed_again_and_again_refits_nothing(store: Path, long_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = config_of(store, run, TWO, LONG)
    before: list[dict[str, Any]] = []
    for trials in (1, 6, 11):
        with started(config, "--no-export") as process:
            wait_until(lambda trials=trials: finished_trials(run) >= trials, process)  # type: ignore[misc]  # now
            children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.communicate(timeout=60)
        psutil.wait_procs(children, timeout=60)
        assert not any(child.is_running() for child in children)
        assert not (run / "winner.json").exists()
        assert rows(run)[: len(before)] == before
        before = rows(run)
    with started(config) as process:
        _, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors
    assert rows(run)[: len(before)] == before
    assert_same_end(run, long_run)
    assert (run / "export/current/recommendations.jsonl").exists()


@pytest.mark.slow
def test_an_interrupt_ends_in_one_line_and_leaves_what_was_found(store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = config_of(store, run, TWO, LONG)
    with started(config) as process:
        wait_until(lambda: len(rows(run)) >= 1, process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    said = [line for line in errors.splitlines() if "error:" in line]
    assert len(said) == 1
    assert said[0].startswith("python -m recsys.search: error: interrupted")
    assert "Traceback" not in errors
    assert not (run / "winner.json").exists()
    psutil.wait_procs(children, timeout=60)
    assert not any(child.is_running() for child in children)


@contextmanager
def by_hand(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str, Callable[[], subprocess.Popen[bytes]]]]:
    """A scheduler as one starts it by hand, its address, and how to start a worker that nobody brings back to life."""
    scheduler_file = folder / "scheduler.json"
    running: list[subprocess.Popen[bytes]] = []

    def run(*words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [str(DASK), *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
        )
        running.append(process)
        return process

    def worker() -> subprocess.Popen[bytes]:
        return run("worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard")

    try:
        scheduler = run(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(scheduler_file)
        )
        deadline = time.monotonic() + 60
        address = ""
        while not address:
            assert time.monotonic() < deadline
            time.sleep(0.05)
            with suppress(FileNotFoundError, json.JSONDecodeError):  # not there, or in the making
                address = json.loads(scheduler_file.read_text())["address"]
        yield scheduler, address, worker
    finally:
        for process in running:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_workers_or_scheduler_a_search_gives_up_and_later_goes_on(
    store: Path, long_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with by_hand(tmp_path) as (scheduler, address, start_worker):
        config = config_of(store, folder, ClusterConfig(scheduler=address, wait_for_workers_s=3), LONG)
        workers = [start_worker()]
        with started(config, "--no-export") as process:
            wait_until(lambda: len(rows(folder)) >= 2, process)
            workers[0].kill()
            line = refusal(process, timeout_s=120)
        assert (
            f"{address}: no worker for 3 s; start some (dask worker {address}) and run the same command again" in line
        )
        assert not (folder / "winner.json").exists()

        workers.append(start_worker())
        before = len(rows(folder))
        with started(config, "--no-export") as process:
            wait_until(lambda: len(rows(folder)) >= before + 2, process)
            scheduler.kill()
            line = refusal(process, timeout_s=120)
        assert f"{address}: the connection to the scheduler is lost; start it again and run the same command" in line
        assert not (folder / "winner.json").exists()
    search(config_of(store, folder, TWO, LONG))
    assert_same_end(folder, long_run)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_trial_that_runs_out_of_memory_is_a_failed_row_and_the_others_finish(store: Path, tmp_path: Path) -> None:
    """The matrix of 40,000 x 40,000 that such a fit begins with has 6 GiB; its process may have one."""
    space = Space(factors=(8, 40_000, 16))
    small = ClusterConfig(workers=2, memory_limit=ByteSize(2**30), wait_for_workers_s=PATIENT)
    search(config_of(store, tmp_path / "run", small, 4, space))
    board = pq.read_table(tmp_path / "run" / "leaderboard.parquet").to_pylist()
    assert [(row["model"], row["state"]) for row in board[-1:]] == [("als", "failed")]
    assert sorted(row["factors"] for row in board if row["model"] == "als" and row["state"] == "scored") == [8, 16]
    assert board[-1]["why"].startswith("WorkerDiedError: 3 workers died running it, the last with nothing beside it")
    _, winner = read_run(open_workspace(tmp_path / "run"))
    assert winner.trial.params.factors in (8, 16)
    failed = [row for row in rows(tmp_path / "run") if row["state"] == "failed"]
    assert [(row["params"]["factors"], row["final"]) for row in failed] == [(40_000, False)]
