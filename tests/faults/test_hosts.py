"""A search across hosts of a network, whose cables are pulled: a host that dies so closes no connection."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from recsys.config import ClusterConfig
from tests.faults.searches import assert_same_end, config_of, refusal, rows, started, wait_until
from tests.hosts import Host, network
from tests.recsys.by_hand import scheduler
from tests.recsys.logs import make_store, random_sessions

SILENCE_S = 12  # instead of Dask's 30 s; its least is 11 s
SWEEPS = 100
SILENCE = ("env", f"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP={SILENCE_S}s")
BOUND_S = 240  # less than the five minutes after which Dask misses a worker by its heartbeats alone
RECOMMENDATIONS = "export/current/recommendations.jsonl"
pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Hosts:
    """A scheduler, three workers and a search, each on a host of its own.

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
def here(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the same search on processes of this machine."""
    run = tmp_path_factory.mktemp("here") / "run"
    finish(store, run)
    return run


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Hosts]:
    with (
        network(5) as (first, *others),
        scheduler(tmp_path, host=first.address, under=(*first.under, *SILENCE)) as (address, start_worker),
    ):
        for host in others[:3]:
            start_worker(under=(*host.under, *SILENCE))
        yield Hosts(address, first, tuple(others[:3]), others[3])


@contextmanager
def under_way(there: Hosts, store: Path, run: Path) -> Iterator["subprocess.Popen[str]"]:
    """A search that has written some rows, and goes on."""
    config = config_of(store, run, ClusterConfig(scheduler=there.address), SWEEPS)
    with started(config, under=(*there.of_search.under, *SILENCE)) as process:
        wait_until(lambda: len(rows(run)) >= 3, process)
        yield process


def finish(store: Path, run: Path) -> None:
    with started(config_of(store, run, ClusterConfig(workers=2), SWEEPS)) as process:
        end_well(process)


def end_well(process: "subprocess.Popen[str]") -> None:
    _, errors = process.communicate(timeout=BOUND_S)
    assert process.returncode == 0, errors


def assert_same_export(run: Path, here: Path) -> None:
    assert_same_end(run, here)
    assert (run / RECOMMENDATIONS).read_bytes() == (here / RECOMMENDATIONS).read_bytes()


def test_a_short_silence_costs_nothing_and_the_calls_of_a_host_silent_for_good_run_again(
    store: Path, here: Path, there: Hosts, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with under_way(there, store, run) as process:
        there.of_workers[0].cut()
        there.of_workers[1].cut()
        before = len(rows(run))
        wait_until(lambda: len(rows(run)) > before, process)
        there.of_workers[0].restore()
        end_well(process)
    assert_same_export(run, here)


def test_a_scheduler_that_falls_silent_is_one_line_and_the_search_goes_on_later(
    store: Path, here: Path, there: Hosts, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with under_way(there, store, run) as process:
        there.of_scheduler.cut()
        line = refusal(process, timeout_s=BOUND_S)
    assert f"{there.address}: the connection to the scheduler is lost; start it again" in line
    assert not (run / "winner.json").exists()
    assert not list(run.glob(".tmp-*"))
    before = rows(run)
    finish(store, run)
    assert rows(run)[: len(before)] == before
    assert_same_export(run, here)
