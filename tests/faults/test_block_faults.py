"""A fit in blocks under kill -9 of its workers."""

from pathlib import Path

import numpy as np
import psutil
import pytest

from looplib.als import AlsConfig
from recsys.blockwise import cut_blocks, fit_blocks
from recsys.cluster.cluster import open_cluster
from recsys.cluster.config import ClusterConfig
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.workspace import open_workspace
from tests.faults.searches import workers_below
from tests.recsys.fits import fit_als
from tests.recsys.logs import make_store, random_sessions
from tests.recsys.opened import dataset_of

PARAMS = AlsConfig(factors=8, regularization=0.1, alpha=10.0, nu=0.5)
ITERATIONS = 3
pytestmark = pytest.mark.dask


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("blocks")
    store = make_store(
        folder, random_sessions(5, listeners=100, tracks=150, sessions=1000), tracks=150
    )
    config = SearchConfig(store=store, run=folder / "run")
    return dataset_of(config)


def test_killed_workers_cost_nothing_but_time(dataset: Dataset, tmp_path: Path) -> None:
    """One dies after each iteration but the last: what it is given before its death is known is
    lost."""
    killed: list[int] = []

    def kill_one(iteration: float) -> None:
        if iteration < ITERATIONS and (
            alive := [
                worker
                for worker in workers_below(psutil.Process())
                if worker.pid not in killed
            ]
        ):
            killed.append(alive[0].pid)
            alive[0].kill()

    with open_cluster(ClusterConfig(workers=2)) as cluster:
        blocks = cut_blocks(cluster, dataset, "train", 4)
        state = fit_blocks(
            cluster,
            blocks,
            PARAMS,
            4,
            ITERATIONS,
            open_workspace(tmp_path / "fit"),
            kill_one,
        )
    model = fit_als(dataset.matrix("train"), PARAMS, seed=4, iterations=ITERATIONS)
    assert killed
    assert np.array_equal(state["user_factors"], model.factors.user_factors)
    assert np.array_equal(state["item_factors"], model.factors.item_factors)
    kept = {block.file(ITERATIONS).name for side in blocks for block in side}
    assert {"newest.json", *kept} == {
        *(file.name for file in (tmp_path / "fit").iterdir())
    }
