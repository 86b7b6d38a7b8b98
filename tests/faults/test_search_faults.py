"""The search under kill -9: of a worker, of the scheduler, of itself; and Ctrl-C."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dask
import psutil
import pytest
from distributed import LocalCluster

from recsys.cluster.cluster import open_cluster
from recsys.config import ClusterConfig
from recsys.errors import SearchError
from tests.faults.searches import (
    LONG,
    assert_same_end,
    config_of,
    refusal,
    rows,
    started,
    wait_until,
)
from tests.recsys.by_hand import scheduler
from tests.recsys.in_process import without_processes
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.opened import search_of

# seconds without a worker, on a machine with more to do than start another
PATIENT = 300.0
ONE = ClusterConfig(workers=1, wait_for_workers_s=PATIENT)
pytestmark = [pytest.mark.slow, pytest.mark.dask]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sessions = random_sessions(5, listeners=100, tracks=300, sessions=1500)
    return make_store(tmp_path_factory.mktemp("faults"), sessions, tracks=300)


@pytest.fixture(scope="module")
def undisturbed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of many sweeps, so that kills find it at work."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    with without_processes():
        search_of(config_of(store, run, ONE, LONG))
    return run


@pytest.fixture(scope="module")
def workers() -> Iterator[ClusterConfig]:
    """Two workers, each of which is replaced when it dies."""
    with (
        dask.config.set(
            {"distributed.deploy.lost-worker-timeout": "1h"}
        ),  # see recsys.cluster
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
    ):
        yield ClusterConfig(
            scheduler=cluster.scheduler_address, wait_for_workers_s=PATIENT
        )


def test_a_killed_worker_changes_nothing(
    store: Path, undisturbed: Path, workers: ClusterConfig, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    killed: list[int] = []

    def kill_one_at_work() -> None:
        deadline = time.monotonic() + PATIENT
        while len(rows(run)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        victim = workers_below(psutil.Process())[0]
        victim.kill()
        killed.append(victim.pid)

    assassin = threading.Thread(target=kill_one_at_work)
    assassin.start()
    search_of(config_of(store, run, workers, LONG))
    assassin.join()
    assert killed
    assert_same_end(run, undisturbed)
    assert not (run / "checkpoints").exists()


def workers_below(process: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


def test_a_killed_search_ends_its_workers_and_refits_nothing(
    store: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    config = config_of(store, run, ONE, LONG)
    with started(config, "--no-export") as process:
        wait_until(lambda: len(rows(run)) >= 3, process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate(timeout=60)
    assert_ended(children)
    assert_goes_on(store, run, undisturbed)


def assert_ended(processes: list[psutil.Process]) -> None:
    psutil.wait_procs(processes, timeout=60)
    assert not any(process.is_running() for process in processes)


def assert_goes_on(store: Path, run: Path, undisturbed: Path) -> None:
    """What an interrupted search left is all there after the next one, which ends as an undisturbed
    one."""
    assert not (run / "winner.json").exists()
    before = rows(run)
    with without_processes():
        search_of(config_of(store, run, ONE, LONG))
    assert rows(run)[: len(before)] == before
    assert_same_end(run, undisturbed)


def test_an_interrupt_ends_in_one_line_and_leaves_what_was_found(
    store: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with started(config_of(store, run, ONE, LONG)) as process:
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
    assert_ended(children)


def test_without_workers_calls_are_given_up(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (address, start_worker):
        worker = start_worker()
        with open_cluster(
            ClusterConfig(scheduler=address, wait_for_workers_s=1)
        ) as cluster:
            outcomes = cluster.run(max, [(1, 2), (3, 4), (5, 6)])
            assert next(outcomes).result() in (2, 4, 6)
            worker.kill()
            with pytest.raises(SearchError) as given_up:
                list(outcomes)
    advice = (
        f"start some (dask worker {address}) and run the same command again: "
        "it continues where it stopped"
    )
    assert str(given_up.value) == f"{address}: no worker for 1 s; {advice}"


def test_a_killed_scheduler_is_one_line_and_the_search_goes_on_later(
    store: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with scheduler(tmp_path) as (address, start_worker):
        start_worker()
        with started(
            config_of(store, run, ClusterConfig(scheduler=address), LONG), "--no-export"
        ) as process:
            wait_until(lambda: len(rows(run)) >= 2, process)
            next(
                child
                for child in psutil.Process().children()
                if "scheduler" in child.cmdline()
            ).kill()
            line = refusal(process, timeout_s=120)
    assert (
        f"{address}: the connection to the scheduler is lost; "
        "start it again and run the same command" in line
    )
    assert_goes_on(store, run, undisturbed)
