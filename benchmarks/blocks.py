"""Time of a fit in blocks, and the memory of its largest worker process.

    python -m benchmarks.blocks --interactions 20_000_000 --listeners 100_000

Fits random plays on 1, 2, 4 and 8 workers, beside one fit of two threads in this process; prints
the median times, which begin with the interactions on the disk, and what the largest worker held
(PSS, sampled 50 times a second) above an idle one. Then it computes an iteration on machines of one
core that share an object store alone: the CPU seconds of a block of each axis, measured; the
seconds of calls; and all factors once through a machine's link, its own sent and the others'
received.
"""

import os
import tempfile
import time
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from benchmarks.billion import import_fit, write_dataset
from benchmarks.harness import (
    median_ratio,
    memory_mib,
    sampled,
    seconds,
    show,
    show_machine,
    take_turns,
)
from looplib.als import AlsConfig
from recsys.blockwise import cut_blocks, plan_blocks
from recsys.cluster.cluster import Cluster
from recsys.cluster.config import ClusterConfig
from recsys.dataset.dataset import Dataset
from recsys.models.solver import first_factors, load_kernels, solve
from recsys.storage import open_workspace
from tests.recsys.fits import fit_als

SEED = 42
GBIT = (1, 10)  # the rate of a machine's link


def main(
    interactions: int = 2_400_000,
    listeners: int = 10_000,
    tracks: int = 50_000,
    factors: int = 64,
    iterations: int = 10,
    turns: int = 3,
    calls_s: float = 0.2,
    most: Annotated[int, typer.Option(help="Workers, doubled from 1.")] = 8,
    out: Annotated[Path, typer.Option(help="Scratch; 24 bytes each.")] = Path(
        "out/blocks"
    ),
) -> None:
    """Fit on 1, 2, 4, … workers, and in this process."""
    params = AlsConfig(factors=factors, regularization=0.1, alpha=10.0)
    dataset = write_dataset(out, interactions, listeners, tracks)
    os.sync()  # writing it back to the disk meanwhile would slow the fits
    load_kernels()
    rows = [
        (2**n, *_measure(2**n, dataset, params, iterations, turns))
        for n in range(most.bit_length())
    ]
    times = ("s", "one fit, 2 threads, s", "ratio")
    memory = ("largest worker, MiB", "idle, MiB", "the fit's, MiB")
    show(
        f"{iterations} iterations at rank {factors}", ("workers", *times, *memory), rows
    )
    computed = [
        (machines, *predict(dataset, params, calls_s, machines))
        for machines in (1, 2, 4, 8, 16, 32, 64)
    ]
    header = ("machines", "solving, CPU s", *(f"{rate} Gbit/s, s" for rate in GBIT))
    show("an iteration, computed", header, computed)
    show_machine("dask", "numpy", "scipy")


def _measure(
    workers: int, dataset: Dataset, params: AlsConfig, iterations: int, turns: int
) -> tuple[str, ...]:
    """Return the cells of a row: the times of both, and the memory of the largest worker."""
    numbers = count()

    def fit_here() -> None:
        fit_als(dataset.matrix("training"), params, SEED, iterations, threads=2)

    def fit_on_workers() -> None:
        folder_of_fit = open_workspace(folder).sub(str(next(numbers)))
        fit = (params, SEED, iterations, folder_of_fit)
        cluster.run_plan(plan_blocks(workers, dataset, "training", *fit))

    with (
        Cluster(ClusterConfig(workers=workers)) as cluster,
        tempfile.TemporaryDirectory(dir=dataset.path.parent) as folder,
    ):
        pids = set(cluster.run(import_fit, [()] * 4 * workers))
        idle = max(map(memory_mib, pids))
        kinds = {"here": fit_here, "on workers": fit_on_workers}
        timed = {name: partial(seconds, fit) for name, fit in kinds.items()}
        here_s, workers_s = take_turns(timed, turns).values()
        with sampled(pids, interval_s=0.02) as peaks:  # which slows the workers down
            fit_on_workers()
    largest = max(peaks.values())
    ratio = median_ratio(workers_s, here_s)
    times = (f"{median(workers_s):.1f}", f"{median(here_s):.1f}", f"{ratio:.2f}")
    return (*times, f"{largest:,.0f}", f"{idle:,.0f}", f"{largest - idle:,.0f}")


def predict(
    dataset: Dataset, params: AlsConfig, calls_s: float, machines: int
) -> list[str]:
    """Measure the seconds that a machine solves in an iteration, and compute those of all."""
    blocks = cut_blocks(machines, dataset, "training")
    shape = (len(dataset.users), len(dataset.tracks_of("training")))
    factors = first_factors(shape, params.factors, SEED)
    solve_s = 0.0
    for cut, before, across in zip(blocks, factors, reversed(factors), strict=True):
        rows, interactions = before[cut[0].first : cut[0].last], cut[0].load()
        interactions.sum()  # reads it from the disk
        began = time.process_time()
        solve(rows, [across], interactions, params, 1, count=cut[0].count)
        solve_s += time.process_time() - began
    link_bits = 8 * sum(array.nbytes for array in factors) if machines > 1 else 0
    total_s = [solve_s + calls_s + link_bits / (rate * 1e9) for rate in GBIT]
    return [f"{time_s:.2f}" for time_s in (solve_s, *total_s)]


if __name__ == "__main__":
    typer.run(main)
