"""Workers that take too long, and workers that die, on processes of this machine."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recsys.cluster import processes
from recsys.cluster.cluster import Cluster
from recsys.cluster.config import ClusterConfig
from recsys.cluster.lifetime import run_within
from recsys.dataset.interactions import Interactions
from recsys.errors import TrialTimeoutError, WorkerDiedError
from recsys.models.external import External, ExternalConfig

pytestmark = [pytest.mark.dask, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One worker, which is given up at the first death of a call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(processes._SETTINGS, "distributed.scheduler.allowed-failures", 0)
        patch.setattr(processes, "MEMORY_LIMIT", "1 GiB")
        with Cluster(ClusterConfig(workers=1)) as cluster:
            yield cluster


def call(cluster: Cluster, function: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
    (value,) = cluster.run(function, [arguments])
    return value


def test_a_call_that_takes_too_long_ends_and_its_worker_is_replaced(
    cluster: Cluster,
) -> None:
    before = call(cluster, run_within, 1, os.getpid)
    with pytest.raises(
        TrialTimeoutError, match=r"longer than 0\.001 search\.trial_min"
    ):
        call(cluster, run_within, 0.001, time.sleep, 3600)
    with pytest.raises(ZeroDivisionError):
        call(cluster, run_within, 1, divmod, 1, 0)
    while call(cluster, run_within, 1, os.getpid) == before:
        time.sleep(0.1)


def end_by(number: int) -> None:
    os.kill(os.getpid(), number)


def grow() -> None:
    grown = []
    while True:
        grown.append(np.ones(2**24))
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("function", "arguments", "how"),
    [
        (end_by, (signal.SIGKILL,), "was killed by signal 9"),
        (end_by, (signal.SIGSEGV,), "was killed by signal 11"),
        (os._exit, (3,), "exited with status 3"),
        (grow, (), "was out of memory, of which it had 1 GiB"),
    ],
)
def test_how_a_worker_died_is_said(
    cluster: Cluster, function: Callable[..., Any], arguments: tuple[int, ...], how: str
) -> None:
    with pytest.raises(WorkerDiedError) as died:
        call(cluster, function, *arguments)
    assert str(died.value) == f"1 workers died running it; the last {how}"


class Parallel:
    """A class whose fit starts processes."""

    def fit(self, user_items: csr_matrix) -> None:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            (factor,) = pool.map(abs, [-1.0])
        self.user_factors = np.full((user_items.shape[0], 1), factor)
        self.item_factors = np.full((user_items.shape[1], 1), factor)


def fit_parallel() -> float:
    model = External(ExternalConfig.model_validate({"class": f"{__name__}.Parallel"}))
    model.fit(Interactions(csr_matrix(np.eye(3, dtype=np.float32))), seed=1, threads=1)
    assert model.factors
    return float(model.factors.item_factors.sum())


def test_a_fit_may_start_processes(cluster: Cluster) -> None:
    assert call(cluster, fit_parallel) == 3
