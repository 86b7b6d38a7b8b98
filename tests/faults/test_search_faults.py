"""The search under kill -9, of a worker and of itself, and under Ctrl-C."""

import signal
from pathlib import Path

import psutil
import pytest

from recsys.cluster.cluster import open_cluster
from recsys.cluster.config import ClusterConfig
from recsys.errors import SearchError
from tests.faults.searches import (
    LONG,
    assert_same_end,
    config_of,
    rows,
    started,
    workers_below,
)
from tests.recsys.by_hand import scheduler
from tests.recsys.in_process import without_processes
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.opened import search_of
from tests.waiting import wait_until

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


def test_a_killed_worker_and_then_a_killed_search_refit_nothing(
    store: Path, undisturbed: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with started(config_of(store, run, ONE, LONG), "--no-export") as process:
        search = psutil.Process(process.pid)
        wait_until(lambda: len(rows(run)) >= 2, "the search", [process])
        workers_below(search)[0].kill()
        before = len(rows(run))
        wait_until(lambda: len(rows(run)) > before + 1, "the search", [process])
        children = search.children(recursive=True)
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
        wait_until(lambda: len(rows(run)) >= 1, "the search", [process])
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    said = [line for line in errors.splitlines() if "error:" in line]
    assert len(said) == 1
    assert said[0].startswith("listening-loop search: error: interrupted")
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
