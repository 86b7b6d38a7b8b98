"""One fit in blocks across worker processes against one fit in one process, on the same interactions.

    python -m benchmarks.blocks compare
    python -m benchmarks.blocks memory

`compare` fits in one process with two threads, and in blocks on two workers with one thread each, in turns; starting
the processes and cutting the blocks, which a search does once, is timed apart. `memory` fits in blocks on 1, 2 and 4
workers and prints what the largest worker held (PSS, sampled 50 times a second) above what an idle one does.
"""

import hashlib
import tempfile
import time
from itertools import count
from pathlib import Path

import psutil
import typer

from analysis.store import open_store
from benchmarks.harness import SEED_STORE, console, median_ratio, sampled, show, show_machine, take_turns
from recsys.blockwise.fit import cut_blocks, fit_blocks
from recsys.cluster.cluster import Cluster, open_cluster
from recsys.config import ClusterConfig, SearchConfig
from recsys.dataset.build import build_dataset
from recsys.dataset.dataset import Dataset
from recsys.models.als import Als, AlsParams
from recsys.models.params import Fit

SEED = 42
app = typer.Typer(add_completion=False)


@app.command()
def compare(store: Path = SEED_STORE, factors: int = 64, sweeps: int = 5, repeats: int = 3) -> None:
    """Fit whole and in blocks, in turns."""
    params, digests, numbers = AlsParams(factors, 0.1, 10.0), set(), count()
    with open_cluster(ClusterConfig(workers=2)) as cluster, tempfile.TemporaryDirectory() as folder:
        dataset = dataset_of(store, cluster)
        began = time.perf_counter()
        blocks = cut_blocks(cluster, dataset, "train", Path(folder) / "blocks")
        console.print(f"start and cut: {time.perf_counter() - began:.2f} s")

        def whole() -> float:
            began = time.perf_counter()
            model = Als(dataset.matrix("train"), params, SEED, threads=2)
            model.sweep(sweeps)
            seconds = time.perf_counter() - began
            digests.add(digest_of(model))
            return seconds

        def in_blocks() -> float:
            began = time.perf_counter()
            fit = fit_blocks(cluster, blocks, params, SEED, sweeps, Path(folder) / f"fit-{next(numbers)}")
            seconds = time.perf_counter() - began
            digests.add(digest_of(fit))
            return seconds

        seconds = take_turns({"whole": whole, "blocks": in_blocks}, repeats)
    rows = [(name, ", ".join(f"{value:.2f}" for value in found)) for name, found in seconds.items()]
    show("Seconds of a fit", ("", "all runs"), rows)
    same = "equal to the bit" if len(digests) == 1 else "DIFFERENT"
    console.print(f"blocks / whole: {median_ratio(seconds['blocks'], seconds['whole']):.2f}; factors {same}")
    show_machine("implicit", "dask", "numpy", "scipy")


@app.command()
def memory(store: Path = SEED_STORE, factors: int = 64, sweeps: int = 2) -> None:
    """Fit in blocks on 1, 2 and 4 workers."""
    rows = []
    for workers in (1, 2, 4):
        with open_cluster(ClusterConfig(workers=workers)) as cluster, tempfile.TemporaryDirectory() as folder:
            dataset = dataset_of(store, cluster)
            for outcome in cluster.run(_import_fit, [(number,) for number in range(4 * workers)]):
                outcome.result()
            idle = max(_worker_mib().values())
            with sampled(_worker_mib, interval_s=0.02) as peaks:
                blocks = cut_blocks(cluster, dataset, "train", Path(folder) / "blocks")
                fit = fit_blocks(cluster, blocks, AlsParams(factors, 0.1, 10.0), SEED, sweeps, Path(folder) / "fit")
            largest = max(peaks.values())
            rows.append((workers, f"{largest:,.0f}", f"{idle:,.0f}", f"{largest - idle:,.0f}", digest_of(fit)))
    show("Memory, MiB", ("workers", "largest worker", "idle", "the fit's", "factors"), rows)
    show_machine("implicit", "dask", "numpy", "scipy")


def dataset_of(store: Path, cluster: Cluster) -> Dataset:
    """Return the dataset of a search with the default settings."""
    config = SearchConfig(store=store, run=store.parent / "no-run")
    return build_dataset(open_store(store), config, cluster, lambda _done, _note="": None)


def digest_of(fit: Fit) -> str:
    """Return a text that is equal where the factors are equal to the bit."""
    return hashlib.sha256(fit.user_factors.tobytes() + fit.item_factors.tobytes()).hexdigest()[:12]


def _import_fit(_number: int) -> None:
    """Make a worker import what a fit imports."""
    __import__("recsys.blockwise.worker")
    time.sleep(0.05)


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
    app()
