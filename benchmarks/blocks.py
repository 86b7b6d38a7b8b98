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
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psutil
import typer

from benchmarks.data import dataset_of
from benchmarks.harness import SEED_STORE, console, sampled, seconds, show, show_machine, show_turns, take_turns
from recsys.blockwise.fit import Blocks, cut_blocks, fit_blocks
from recsys.cluster.cluster import Cluster, open_cluster
from recsys.config import ClusterConfig, SearchConfig
from recsys.dataset.dataset import Dataset
from recsys.models.als import Als, AlsParams, Fit
from recsys.workspace import Workspace, open_workspace

SEED = 42
app = typer.Typer(add_completion=False)


@app.command()
def compare(store: Path = SEED_STORE, factors: int = 64, sweeps: int = 5, repeats: int = 3) -> None:
    """Fit whole and in blocks, in turns."""
    params, digests, numbers = AlsParams(factors, 0.1, 10.0), set(), count()
    with _opened(store, workers=2) as (cluster, dataset, folder):
        blocks: list[Blocks] = []
        cut_s, _ = seconds(lambda: blocks.append(cut_blocks(cluster, dataset, "train", folder.sub("blocks"))))
        console.print(f"start and cut: {cut_s:.2f} s")

        def whole() -> None:
            model = Als(dataset.matrix("train"), params, SEED, threads=2)
            model.sweep(sweeps)
            digests.add(digest_of(model))

        def in_blocks() -> None:
            fit = fit_blocks(cluster, blocks[0], params, SEED, sweeps, folder.sub(f"fit-{next(numbers)}"))
            digests.add(digest_of(fit))

        kinds = {"whole": lambda: seconds(whole)[0], "blocks": lambda: seconds(in_blocks)[0]}
        show_turns(f"{factors} factors, {sweeps} sweeps, seconds", take_turns(kinds, repeats), "whole")
    console.print(f"factors {'equal to the bit' if len(digests) == 1 else 'DIFFERENT'}")
    show_machine("implicit", "dask", "numpy", "scipy")


@app.command()
def memory(store: Path = SEED_STORE, factors: int = 64, sweeps: int = 2) -> None:
    """Fit in blocks on 1, 2 and 4 workers."""
    params, rows = AlsParams(factors, 0.1, 10.0), []
    for workers in (1, 2, 4):
        with _opened(store, workers) as (cluster, dataset, folder):
            for outcome in cluster.run(_import_fit, [(number,) for number in range(4 * workers)]):
                outcome.result()
            idle = max(_worker_mib().values())
            with sampled(_worker_mib, interval_s=0.02) as peaks:
                blocks = cut_blocks(cluster, dataset, "train", folder.sub("blocks"))
                fit = fit_blocks(cluster, blocks, params, SEED, sweeps, folder.sub("fit"))
            largest = max(peaks.values())
            rows.append((workers, f"{largest:,.0f}", f"{idle:,.0f}", f"{largest - idle:,.0f}", digest_of(fit)))
    show("Memory, MiB", ("workers", "largest worker", "idle", "the fit's", "factors"), rows)
    show_machine("implicit", "dask", "numpy", "scipy")


@contextmanager
def _opened(store: Path, workers: int) -> Iterator[tuple[Cluster, Dataset, Workspace]]:
    """Start workers, and open the dataset of a search with the default settings and a temporary folder."""
    config = SearchConfig(store=str(store), run=str(store.parent / "no-run"))
    with open_cluster(ClusterConfig(workers=workers)) as cluster, tempfile.TemporaryDirectory() as folder:
        yield cluster, dataset_of(config, cluster), open_workspace(folder)


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
