"""One fit in blocks across worker processes against one fit in one process, on the same interactions.

    python -m benchmarks.blocks compare --store out/seed/store
    python -m benchmarks.blocks memory --store out/seed/store

`compare` fits in one process with two threads, and in blocks on two workers with one thread each, in turn; the ratio is
the median of the pairs'. Starting the processes and gathering the blocks, which a search does once, is told apart.
`memory` fits in blocks on 1, 2 and 4 workers and prints what the largest worker held, above what an idle one does:
its share of memory (PSS), sampled 50 times a second.
"""

import hashlib
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.measure import machine, peaks_of
from recsys.blockwise.fit import BlockFit, cut_blocks, fit_blocks
from recsys.cluster.cluster import Cluster, open_cluster
from recsys.cluster_config import ClusterConfig
from recsys.config import SearchConfig
from recsys.dataset.build import build_dataset
from recsys.dataset.dataset import Dataset
from recsys.models.als import Als, AlsParams
from recsys.store.remote import open_store
from recsys.workspace import open_workspace

SEED = 42
LIBRARIES = ("implicit", "dask", "numpy", "scipy")
app = typer.Typer(add_completion=False)
StoreOption = Annotated[Path, typer.Option()]


@app.command()
def compare(
    store: StoreOption = Path("out/seed/store"), factors: int = 64, sweeps: int = 5, repeats: int = 3, nu: float = 0.0
) -> None:
    """Whole against blocks, in turn."""
    params = AlsParams(factors, 0.1, 10.0, nu=nu)
    pairs: list[tuple[float, float]] = []
    with open_cluster(ClusterConfig(workers=2)) as cluster, tempfile.TemporaryDirectory() as folder:
        dataset = dataset_of(store, cluster)
        began = time.perf_counter()
        blocks = cut_blocks(cluster, dataset, "train", open_workspace(Path(folder) / "blocks"))
        print(f"start and gather: {time.perf_counter() - began:.2f} s")
        for number in range(repeats):
            began = time.perf_counter()
            model = Als(dataset.matrix("train"), params, SEED, threads=2)
            model.sweep(sweeps)
            middle = time.perf_counter()
            fit = fit_blocks(cluster, blocks, params, SEED, sweeps, open_workspace(Path(folder) / f"fit-{number}"))
            pairs.append((middle - began, time.perf_counter() - middle))
            same = "equal to the bit" if digest_of(fit) == digest_of(model) else "DIFFERENT"
            print(f"whole {pairs[-1][0]:.2f} s, blocks {pairs[-1][1]:.2f} s, {same}")
    ratio = statistics.median(in_blocks / whole for whole, in_blocks in pairs)
    print(f"blocks / whole: {ratio:.2f} (median of {repeats} pairs)")
    print(machine(*LIBRARIES))


@app.command()
def memory(store: StoreOption = Path("out/seed/store"), factors: int = 64, sweeps: int = 2) -> None:
    """The largest worker of 1, 2 and 4."""
    table = Table("workers", "blocks a side", "largest worker, MiB", "idle, MiB", "the fit's, MiB", "factors")
    for workers in (1, 2, 4):
        with open_cluster(ClusterConfig(workers=workers)) as cluster, tempfile.TemporaryDirectory() as folder:
            dataset = dataset_of(store, cluster)
            for outcome in cluster.run(_open, [(dataset.path, number) for number in range(4 * workers)]):
                outcome.result()
            idle = max(_worker_mib().values())
            with peaks_of(_worker_mib) as peaks:
                blocks = cut_blocks(cluster, dataset, "train", open_workspace(Path(folder) / "blocks"))
                fit = fit_blocks(
                    cluster, blocks, AlsParams(factors, 0.1, 10.0), SEED, sweeps, open_workspace(Path(folder) / "fit")
                )
            largest = max(peaks.values())
            cells = (len(blocks.listeners), f"{largest:,.0f}", f"{idle:,.0f}", f"{largest - idle:,.0f}", digest_of(fit))
            table.add_row(str(workers), *(str(cell) for cell in cells))
    Console(width=120).print(table)
    print(machine(*LIBRARIES))


def dataset_of(store: str | Path, cluster: Cluster) -> Dataset:
    """The dataset of a search that says nothing else."""
    opened = open_store(store)
    config = SearchConfig(store=str(store), run=f"{store}-run")
    return build_dataset(opened, config, cluster, _ignore)


def _ignore(_done: float, _word: str = "") -> None:
    """Progress that nobody looks at."""


def _open(_dataset: Path, _number: int) -> None:
    """Has a worker import what a fit imports."""
    import recsys.blockwise.worker

    time.sleep(0.05)
    if not recsys.blockwise.worker.__name__:
        raise ImportError


def digest_of(fit: BlockFit | Als) -> str:
    """Equal where the factors are equal to the bit."""
    return hashlib.sha256(fit.user_factors.tobytes() + fit.item_factors.tobytes()).hexdigest()[:12]


def _worker_mib() -> dict[int, float]:
    """Process id to PSS, of the worker processes under this one."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            if "spawn_main" in " ".join(process.cmdline()):
                found[process.pid] = process.memory_full_info().pss / 2**20
        except psutil.NoSuchProcess:
            continue
    return found


if __name__ == "__main__":
    app()
