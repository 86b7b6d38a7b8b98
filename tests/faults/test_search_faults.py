"""The search under kill -9, Ctrl-C, memory that runs out, and hosts that fall silent."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from recsys.cluster import processes
from recsys.cluster.cluster import Cluster
from recsys.cluster.config import ClusterConfig
from recsys.config import SearchConfig
from recsys.run import read_run
from recsys.storage import open_workspace
from tests.hosts import network
from tests.recsys.by_hand import scheduler
from tests.recsys.in_process import without_processes
from tests.recsys.ledgers import ledger_rows, untimed
from tests.recsys.logs import random_store
from tests.recsys.opened import search_of
from tests.waiting import wait_until

AXES = {"factors": [8, 16], "alpha": [1.0, 10.0]}
ITERATIONS = 120  # so many that a fit is found at work
# instead of Dask's 30 s; its least
SILENCE = ("env", "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP=11s")
# reconnects to a lost scheduler for 4 s in place of 15
IMPATIENT = """import recsys.cluster.cluster as cluster, recsys.search.__main__ as search
cluster.CONNECT_TIMEOUT_S = 4
raise SystemExit(search.run(search.app, search.PROG))"""
BOUND_S = 240  # less than the five minutes after which Dask misses a worker by its heartbeats alone
pytestmark = [pytest.mark.slow, pytest.mark.dask]


@pytest.fixture(scope="module")
def store(folder: Path) -> Path:
    return random_store(folder, listeners=100, tracks=300, sessions=1500)


def config_of(
    store: Path,
    run: Path,
    iterations: int = ITERATIONS,
    als: Mapping[str, Any] = AXES,
    **cluster: object,
) -> SearchConfig:
    return SearchConfig(
        store=store,
        run=run,
        models={"als": als},
        search={"iterations": iterations},
        validation={"ks": [5, 30]},
        cluster={"workers": 1, **cluster},
    )


@pytest.fixture(scope="module")
def undisturbed(store: Path) -> Path:
    """The run of a search that nothing interrupts."""
    run = store.parent / "undisturbed"
    with without_processes():
        search_of(config_of(store, run))
    return run


@contextmanager
def searching(
    config: SearchConfig, under: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Run a search as a process of its own for the block, below another program if one is given."""
    file = Path(f"{config.run}.yaml")
    file.write_text(json.dumps(config.model_dump(mode="json")))  # JSON is YAML
    program = [sys.executable, "-c", IMPATIENT, "--config", str(file)]
    run = Path(config.run)

    def has_fit() -> bool:  # scored by workers; rules may be scored already
        return any(row["model"] == "als" for row in ledger_rows(run))

    with subprocess.Popen(
        [*under, *program, "--no-export"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(has_fit, "a fit", [process])
            yield process
        finally:
            process.kill()


def wait_for_row(run: Path, process: "subprocess.Popen[str]") -> None:
    """Wait for another line of the ledger."""
    before = len(ledger_rows(run))
    wait_until(lambda: len(ledger_rows(run)) > before, "the search", [process])


def refusal(process: "subprocess.Popen[str]", code: int) -> str:
    """Wait for the end of a search that cannot go on; return its one line."""
    _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    (line,) = (line for line in errors.splitlines() if "error:" in line)
    return line


def assert_ended(processes: Sequence[psutil.Process]) -> None:
    psutil.wait_procs(processes, timeout=60)
    assert not any(process.is_running() for process in processes)


def assert_goes_on(config: SearchConfig, undisturbed: Path) -> None:
    """Nothing of an interrupted search is fitted again, and it ends as an undisturbed one."""
    run = Path(config.run)
    assert not (run / "winner.json").exists()
    assert not list(run.glob(".tmp-*"))
    before = ledger_rows(run)
    with without_processes():
        search_of(config)
    assert ledger_rows(run)[: len(before)] == before
    assert_same_end(run, undisturbed)


def assert_same_end(run: Path, undisturbed: Path) -> None:
    folders = (run, undisturbed)
    rows, expected_rows = (untimed(ledger_rows(folder)) for folder in folders)
    assert rows == expected_rows
    winner, expected = (read_run(open_workspace(folder))[1] for folder in folders)
    assert winner == expected


def test_killed_and_interrupted_searches_refit_nothing(
    store: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """First a worker is killed, then the search; then another one is interrupted."""
    run = tmp_path / "run"
    config = config_of(store, run)
    with searching(config) as process:
        search = psutil.Process(process.pid)
        worker_of(search).kill()
        wait_for_row(run, process)
        children = search.children(recursive=True)
        process.kill()
        process.communicate(timeout=60)
    assert_ended(children)
    with searching(config) as process:
        wait_for_row(run, process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        line = refusal(process, 130)
    assert line.startswith("listening-loop search: error: interrupted")
    assert_ended(children)
    assert_goes_on(config, undisturbed)


def worker_of(search: psutil.Process) -> psutil.Process:
    """Dask's worker of a search, which the forkserver has started."""
    return next(
        child
        for child in search.children(recursive=True)
        if (parent := child.parent()) and "forkserver" in " ".join(parent.cmdline())
    )


def test_a_trial_that_runs_out_of_memory_is_a_failed_row_and_the_others_finish(
    store: Path, tmp_path: Path
) -> None:
    """The matrix of 40,000 x 40,000 that such a fit begins with has 6 GiB; its process may have
    one."""
    als = {"factors": [8, 40_000]}
    config = config_of(store, tmp_path / "run", 2, als)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "MEMORY_LIMIT", "1 GiB")
        winner = search_of(config)
    assert winner.trial.params["factors"] == 8
    board = pq.read_table(tmp_path / "run" / "leaderboard.parquet").to_pylist()
    (failed,) = (row for row in board if row["state"] == "failed")
    assert failed["factors"] == 40_000
    assert failed["why"].startswith(
        "WorkerDiedError: 3 workers died running it; the last was out of memory, of which"
    )


@pytest.mark.long
def test_a_call_outlives_many_workers_and_waits_for_the_next(tmp_path: Path) -> None:
    """The first worker notes its number and dies, and so do the next four."""
    notes = tmp_path / "notes"

    def start_six_workers(start_worker: Callable[[], subprocess.Popen[bytes]]) -> None:
        for number in range(1, 7):
            worker = start_worker()
            wait_until(partial(has_notes, notes, number), "a call", [worker])
            if number < 6:
                worker.kill()
                worker.wait()
        (notes.with_name("end")).touch()

    with (
        scheduler(tmp_path) as (address, start_worker),
        Cluster(ClusterConfig(scheduler=address)) as cluster,
        ThreadPoolExecutor() as threads,
    ):
        started = threads.submit(start_six_workers, start_worker)
        assert list(cluster.run(note_and_wait, [(notes,)])) == [6]
        started.result()


def notes_of(notes: Path) -> int:
    return len(notes.read_bytes()) if notes.exists() else 0


def has_notes(notes: Path, number: int) -> bool:
    return notes_of(notes) == number


def note_and_wait(notes: Path) -> int:
    """Count the workers that began this call, until it may end."""
    with notes.open("ab") as file:
        file.write(b"!")
    wait_until(notes.with_name("end").exists, "the end")
    return notes_of(notes)


@pytest.mark.long
def test_searches_outlast_silent_hosts_of_workers_and_of_the_scheduler(
    store: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """A short silence costs nothing; calls of a worker that is silent for good run again.

    A scheduler that falls silent is one line, and the search goes on later.
    """
    run = tmp_path / "workers-cut"
    with (
        network(4) as (first, last, *workers),
        scheduler(tmp_path, host=first.address, under=(*first.under, *SILENCE)) as (
            address,
            start_worker,
        ),
    ):
        for host in workers:
            start_worker(under=(*host.under, *SILENCE))
        under = (*last.under, *SILENCE)
        config = config_of(store, run, scheduler=address)
        with searching(config, under) as process:
            workers[0].cut()
            wait_for_row(run, process)
            workers[0].restore()
            workers[1].cut()
            _, errors = process.communicate(timeout=BOUND_S)
        assert process.returncode == 0, errors
        assert_same_end(run, undisturbed)

        run = tmp_path / "scheduler-cut"
        config = config_of(store, run, scheduler=address)
        with searching(config, under) as process:
            first.cut()
            line = refusal(process, 2)
    assert f"{address}: the connection to the scheduler is lost; start it again" in line
    assert_goes_on(config_of(store, run), undisturbed)
