"""A search across hosts of a network, whose cables are pulled: a host that dies so closes no
connection."""

from pathlib import Path

import pytest

from recsys.cluster.config import ClusterConfig
from tests.faults.searches import (
    assert_same_end,
    config_of,
    refusal,
    rows,
    started,
)
from tests.hosts import network
from tests.recsys.by_hand import scheduler
from tests.recsys.in_process import without_processes
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.opened import search_of
from tests.waiting import wait_until

SILENCE = (
    "env",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP=11s",
)  # instead of Dask's 30 s; its least
SWEEPS = 50
BOUND_S = 240  # less than the five minutes after which Dask misses a worker by its heartbeats alone
pytestmark = [pytest.mark.slow, pytest.mark.dask]


def test_searches_outlast_silent_hosts_of_workers_and_of_the_scheduler(
    tmp_path: Path,
) -> None:
    """A short silence costs nothing; calls of a worker that is silent for good run again.

    A scheduler that falls silent is one line, and the search goes on later.
    """
    sessions = random_sessions(5, listeners=100, tracks=300, sessions=1500)
    store, here = make_store(tmp_path, sessions, tracks=300), tmp_path / "here"
    with without_processes():
        search_of(config_of(store, here, ClusterConfig(), SWEEPS))
    with (
        network(5) as (first, last, *others),
        scheduler(tmp_path, host=first.address, under=(*first.under, *SILENCE)) as (
            address,
            start_worker,
        ),
    ):
        for host in others:
            start_worker(under=(*host.under, *SILENCE))
        under = (*last.under, *SILENCE)
        run = tmp_path / "workers-cut"
        with started(
            config_of(store, run, ClusterConfig(scheduler=address), SWEEPS),
            "--no-export",
            under=under,
        ) as process:
            wait_until(lambda: len(rows(run)) >= 2, "the search", [process])
            others[0].cut()
            others[1].cut()
            before = len(rows(run))
            wait_until(lambda: len(rows(run)) > before, "the search", [process])
            others[0].restore()
            _, errors = process.communicate(timeout=BOUND_S)
        assert process.returncode == 0, errors
        assert_same_end(run, here)

        run = tmp_path / "scheduler-cut"
        with started(
            config_of(store, run, ClusterConfig(scheduler=address), SWEEPS),
            "--no-export",
            under=under,
        ) as process:
            wait_until(lambda: len(rows(run)) >= 2, "the search", [process])
            first.cut()
            line = refusal(process, timeout_s=BOUND_S)
        assert (
            f"{address}: the connection to the scheduler is lost; start it again"
            in line
        )
    assert not (run / "winner.json").exists()
    assert not list(run.glob(".tmp-*"))
    before_cut = rows(run)
    with without_processes():
        search_of(config_of(store, run, ClusterConfig(), SWEEPS))
    assert rows(run)[: len(before_cut)] == before_cut
    assert_same_end(run, here)
