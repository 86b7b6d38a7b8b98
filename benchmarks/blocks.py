"""Time of a fit in blocks, and the memory of its largest worker process.

    python -m benchmarks.blocks

Fits on 1, 2, 4 and 8 workers, beside one fit of two threads in this process; prints the median
times, which begin with the interactions on the disk, and what the largest worker held (PSS, sampled
50 times a second) above an idle one.
"""

import os
import tempfile
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from statistics import median

import typer

from benchmarks.data import dataset_of
from benchmarks.harness import (
    SEED_STORE,
    median_ratio,
    memory_mib,
    sampled,
    seconds,
    show,
    show_machine,
)
from looplib.als import AlsConfig
from recsys.blockwise import cut_blocks, fit_blocks
from recsys.cluster.cluster import Cluster, open_cluster
from recsys.cluster.config import ClusterConfig
from recsys.config import SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.models.solver import load_kernels
from recsys.storage import Workspace, open_workspace
from tests.recsys.fits import fit_als

SEED = 42


def main(
    store: Path = SEED_STORE, factors: int = 64, iterations: int = 10, turns: int = 3
) -> None:
    """Fit on 1, 2, 4 and 8 workers, and in this process."""
    params, rows = AlsConfig(factors=factors, regularization=0.1, alpha=10.0), []
    config = SearchConfig(store=str(store), run=str(store.parent / "no-run"))
    load_kernels()
    for workers in (1, 2, 4, 8):
        with (
            open_cluster(ClusterConfig(workers=workers)) as cluster,
            tempfile.TemporaryDirectory() as folder,
        ):
            dataset = dataset_of(config, cluster)
            fit = partial(_fit, cluster, dataset, params, iterations)
            whole = partial(_fit_here, dataset, params, iterations)
            pids = import_fits(cluster, 4 * workers)
            rows.append((workers, *_measure(fit, whole, pids, folder, turns)))
    times = ("s", "one fit, 2 threads, s", "ratio")
    memory = ("largest worker, MiB", "idle, MiB", "the fit's, MiB")
    show(
        f"{iterations} iterations at rank {factors}", ("workers", *times, *memory), rows
    )
    show_machine("implicit", "dask", "numpy", "scipy")


def _measure(
    fit: Callable[[Workspace], None],
    whole: Callable[[], None],
    pids: Collection[int],
    folder: str,
    turns: int,
) -> tuple[str, ...]:
    """Return the cells of a row: the times of both, and the memory of the largest worker."""
    idle = max(map(memory_mib, pids))
    workspace = open_workspace(folder)
    whole_s, blocks_s = [], []
    for turn in range(turns):
        whole_s.append(seconds(whole))
        blocks_s.append(seconds(fit, workspace.sub(str(turn))))
    with sampled(pids, interval_s=0.02) as peaks:  # which slows the workers down
        fit(workspace.sub("sampled"))
    largest = max(peaks.values())
    ratio = median_ratio(blocks_s, whole_s)
    times = (f"{median(blocks_s):.1f}", f"{median(whole_s):.1f}", f"{ratio:.2f}")
    return (*times, f"{largest:,.0f}", f"{idle:,.0f}", f"{largest - idle:,.0f}")


def import_fits(cluster: Cluster, calls: int) -> set[int]:
    """Make all workers import what a fit imports; return their process ids."""
    return set(cluster.run(_import_fit, [()] * calls))


def _import_fit() -> int:
    """Make a worker import what a fit imports; return its process id."""
    __import__("recsys.blockwise")
    load_kernels()
    time.sleep(0.05)
    return os.getpid()


def _fit_here(dataset: Dataset, params: AlsConfig, iterations: int) -> None:
    fit_als(dataset.matrix("training"), params, SEED, iterations, threads=2)


def _fit(
    cluster: Cluster,
    dataset: Dataset,
    params: AlsConfig,
    iterations: int,
    folder: Workspace,
) -> None:
    blocks = cut_blocks(cluster, dataset, "training")
    fit_blocks(cluster, blocks, params, SEED, iterations, folder.sub("fit"))


if __name__ == "__main__":
    typer.run(main)
