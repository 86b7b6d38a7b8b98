"""Time of a fit in blocks, and the memory of its largest worker process.

    python -m benchmarks.blocks

Fits on 1, 2 and 4 workers, beside one fit of two threads in this process, and prints what the largest worker held (PSS,
sampled 50 times a second) above what an idle one does. The times begin with the interactions on the disk.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import typer

from benchmarks.data import dataset_of
from benchmarks.harness import SEED_STORE, sampled, seconds, show, show_machine
from recsys.blockwise import cut_blocks, fit_blocks
from recsys.cluster.cluster import Cluster, open_cluster
from recsys.config import ClusterConfig, SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.models.als import Als, AlsParams, load_kernels
from recsys.workspace import Workspace, open_workspace

SEED = 42


def main(store: Path = SEED_STORE, factors: int = 64, sweeps: int = 10) -> None:
    """Fit on 1, 2 and 4 workers, and in this process."""
    params, rows = AlsParams(factors, 0.1, 10.0), []
    load_kernels()
    for workers in (1, 2, 4):
        with _opened(store, workers) as (cluster, dataset, folder):
            for outcome in cluster.run(_import_fit, [(number,) for number in range(4 * workers)]):
                outcome.result()
            idle = max(_worker_mib().values())
            whole_s, _ = seconds(lambda: Als(dataset.matrix("train"), params, SEED, 2).sweep(sweeps))
            with sampled(_worker_mib, interval_s=0.02) as peaks:
                blocks_s, _ = seconds(lambda: _fit(cluster, dataset, params, sweeps, folder))
            largest = max(peaks.values())
            times = (f"{blocks_s:.1f}", f"{whole_s:.1f}", f"{blocks_s / whole_s:.2f}")
            rows.append((workers, *times, f"{largest:,.0f}", f"{idle:,.0f}", f"{largest - idle:,.0f}"))
    header = ("workers", "s", "one fit, 2 threads, s", "ratio", "largest worker, MiB", "idle, MiB", "the fit's, MiB")
    show(f"{sweeps} sweeps at rank {factors}", header, rows)
    show_machine("implicit", "dask", "numpy", "scipy")


@contextmanager
def _opened(store: Path, workers: int) -> Iterator[tuple[Cluster, Dataset, Workspace]]:
    """Start workers, and open the dataset of a search with the default settings and a temporary folder."""
    config = SearchConfig(store=str(store), run=str(store.parent / "no-run"))
    with open_cluster(ClusterConfig(workers=workers)) as cluster, tempfile.TemporaryDirectory() as folder:
        yield cluster, dataset_of(config, cluster), open_workspace(folder)


def _import_fit(_number: int) -> None:
    """Make a worker import what a fit imports."""
    __import__("recsys.blockwise")
    load_kernels()
    time.sleep(0.05)


def _fit(cluster: Cluster, dataset: Dataset, params: AlsParams, sweeps: int, folder: Workspace) -> None:
    fit_blocks(
        cluster, cut_blocks(cluster, dataset, "train", folder.sub("blocks")), params, SEED, sweeps, folder.sub("fit")
    )


def _worker_mib() -> dict[int, float]:
    """Return the PSS of the worker processes below this one, by process id."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            if "spawn_main" in " ".join(process.cmdline()):
                found[process.pid] = process.memory_full_info().pss / 2**20
        except psutil.NoSuchProcess:
            continue
    return found


if __name__ == "__main__":
    typer.run(main)
