"""A search across hosts of a network, whose cables are pulled: a host that dies so closes no connection."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from recsys.cluster_config import ClusterConfig
from recsys.config import SearchConfig
from tests.faults.searches import LONG, assert_same_end, config_of, refusal, rows, started, wait_until
from tests.hosts import Host, network
from tests.recsys.by_hand import scheduler
from tests.recsys.logs import make_store, random_sessions

SWEEPS = {"whole": LONG, "blocks": 8}
BOUND_S = 240  # less than the five minutes after which Dask misses a worker by its heartbeats alone
RECOMMENDATIONS = "export/current/recommendations.jsonl"
Fit = Literal["whole", "blocks"]


@dataclass(frozen=True)
class Hosts:
    """A scheduler, workers and whoever searches, each on a host of its own.

    Attributes:
        address: The scheduler's.
        of_scheduler: Its host.
        of_workers: Theirs.
        of_search: Where the search is started.
    """

    address: str
    of_scheduler: Host
    of_workers: tuple[Host, ...]
    of_search: Host


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sessions = random_sessions(5, listeners=100, tracks=300, sessions=1500)
    return make_store(tmp_path_factory.mktemp("hosts"), sessions, tracks=300)


@pytest.fixture(scope="module")
def here(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Fit], Path]:
    """The run folder of the same search on processes of this machine."""
    folder = tmp_path_factory.mktemp("here")

    def run(fit: Fit) -> Path:
        done = folder / fit
        if not (done / "winner.json").exists():
            finish(config_of(store, done, ClusterConfig(workers=2, fit=fit), SWEEPS[fit]))
        return done

    return run


@contextmanager
def hosts(folder: Path) -> Iterator[Hosts]:
    with (
        network(4) as (first, second, third, fourth),
        scheduler(folder, host=first.address, under=first.under) as (address, start_worker),
    ):
        for host in (second, third):
            start_worker(under=host.under)
        yield Hosts(address, first, (second, third), fourth)


@contextmanager
def under_way(there: Hosts, config: SearchConfig) -> Iterator["subprocess.Popen[str]"]:
    """A search that has written some rows, and goes on."""
    with started(config, under=there.of_search.under) as process:
        wait_until(lambda: len(rows(Path(config.run))) >= 3, process)
        yield process


def finish(config: SearchConfig) -> None:
    with started(config) as process:
        end_well(process)


def end_well(process: "subprocess.Popen[str]") -> None:
    _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 0, errors


def assert_same_export(run: Path, here: Path) -> None:
    assert_same_end(run, here)
    assert (run / RECOMMENDATIONS).read_bytes() == (here / RECOMMENDATIONS).read_bytes()


@pytest.mark.slow
def test_a_cable_that_is_out_for_a_while_changes_nothing(
    store: Path, here: Callable[[Fit], Path], tmp_path: Path
) -> None:
    with hosts(tmp_path) as there:
        run = tmp_path / "run"
        config = config_of(store, run, ClusterConfig(scheduler=there.address), LONG)
        with under_way(there, config) as process:
            there.of_workers[0].cut()
            before = len(rows(run))
            wait_until(lambda: len(rows(run)) >= before + 2, process)
            there.of_workers[0].mend()
            end_well(process)
    assert_same_export(run, here("whole"))


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["whole", "blocks"])
def test_the_work_of_a_host_that_falls_silent_is_done_again(
    store: Path, here: Callable[[Fit], Path], tmp_path: Path, fit: Fit
) -> None:
    with hosts(tmp_path) as there:
        run = tmp_path / "run"
        config = config_of(store, run, ClusterConfig(scheduler=there.address, fit=fit), SWEEPS[fit])
        with under_way(there, config) as process:
            there.of_workers[0].cut()
            end_well(process)
    assert_same_export(run, here(fit))


@pytest.mark.slow
def test_a_scheduler_that_falls_silent_is_one_line_and_the_search_goes_on_later(
    store: Path, here: Callable[[Fit], Path], tmp_path: Path
) -> None:
    with hosts(tmp_path) as there:
        run = tmp_path / "run"
        config = config_of(store, run, ClusterConfig(scheduler=there.address), LONG)
        with under_way(there, config) as process:
            there.of_scheduler.cut()
            line = refusal(process, timeout_s=BOUND_S)
    assert f"{there.address}: the connection to the scheduler is lost; start it again" in line
    assert not (run / "winner.json").exists()
    assert not list(run.glob(".tmp-*"))
    before = rows(run)
    finish(config_of(store, run, ClusterConfig(workers=2), LONG))
    assert rows(run)[: len(before)] == before
    assert_same_export(run, here("whole"))
