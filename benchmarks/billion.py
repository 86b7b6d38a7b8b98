"""A billion interactions, too many for a 32-bit matrix: fitted by blocks, then lists of everybody.

    python -m benchmarks.billion

Draws play counts (no data of anybody: a track's popularity falls by its rank to the power of 0.8),
writes them as a dataset, fits it in blocks, and ranks the 30 best new tracks of each listener, with
their scores. Prints the time of each step, and what the largest worker process held (PSS, sampled 5
times a second).
"""

import os
import shutil
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import typer

from benchmarks.harness import console, memory_mib, sampled, seconds, show, show_machine
from looplib.als import AlsConfig
from looplib.arrays import IntArray
from looplib.checksums import seal
from recsys.blockwise import plan_blocks, read_state
from recsys.cluster.cluster import Cluster
from recsys.cluster.config import ClusterConfig
from recsys.dataset.dataset import Dataset, Summary, open_dataset
from recsys.dataset.layout import SUMMARY, new_array
from recsys.dataset.matrices import write_by_track
from recsys.models.factors import Factors
from recsys.models.solver import load_kernels
from recsys.storage import open_workspace

SEED = 42
_AT_ONCE = 20_000  # listeners whose plays are drawn together
_FLAT = 20.0  # added to a track's rank: so many of the first are about as popular


def main(
    interactions: int = 10**9,
    listeners: int = 2_000_000,
    tracks: int = 500_000,
    factors: int = 64,
    workers: int = 2,
    iterations: int = 10,
    out: Annotated[Path, typer.Option(help="Scratch; 24 bytes each.")] = Path(
        "out/big"
    ),
) -> None:
    """Write the dataset, fit it by blocks, and write the lists."""
    write_s = seconds(write_dataset, out, interactions, listeners, tracks)
    params = AlsConfig(factors=factors, regularization=0.1, alpha=10.0)
    load_kernels()
    with Cluster(ClusterConfig(workers=workers)) as cluster:
        pids = set(cluster.run(import_fit, [()] * 4 * workers))
        idle = max(map(memory_mib, pids))
        dataset = open_dataset(str(out / "data"))
        fit = open_workspace(out / "fit")
        rest = (params, SEED, iterations, fit)
        with sampled(pids, interval_s=0.2) as fitting:
            began = time.perf_counter()
            plan = plan_blocks(workers, dataset, "training", *rest)
            state = read_state(fit, cluster.run_plan(plan))
            fit_s = time.perf_counter() - began
        for axis in ("user_factors", "item_factors"):
            np.save(out / f"{axis}.npy", state[axis])
        with sampled(pids, interval_s=0.2) as ranking:
            calls = [(out, first) for first in range(0, listeners, _AT_ONCE)]
            lists_s = seconds(list, cluster.run(rank_part, calls))
    rate = iterations * dataset.summary.interactions / fit_s / 1e6
    rows = [
        ("draw and write", f"{write_s:,.0f}", ""),
        (f"{iterations} iterations", f"{fit_s:,.0f}", f"{max(fitting.values()):,.0f}"),
        ("lists", f"{lists_s:,.0f}", f"{max(ranking.values()):,.0f}"),
    ]
    caption = f"{dataset.summary.interactions:,} interactions, rank {factors}"
    show(caption, ("step", "s", "largest worker, MiB"), rows)
    console.print(f"{rate:.1f} million interactions a second; idle {idle:,.0f} MiB")
    show_machine("dask", "numba", "numpy")
    shutil.rmtree(out)


def import_fit() -> int:
    """Make a worker import what a fit imports; return its process id."""
    __import__("recsys.blockwise")
    load_kernels()
    time.sleep(0.05)
    return os.getpid()


def rank_part(out: Path, first: int) -> None:
    """Write the lists and scores of some listeners."""
    users, items = (
        np.load(out / f"{axis}.npy", mmap_mode="r")
        for axis in ("user_factors", "item_factors")
    )
    last = min(first + _AT_ONCE, len(users))
    heard = open_dataset(str(out / "data")).matrix("training", first, last)
    part = Factors(np.array(users[first:last]), np.array(items))
    lists, scores = part.rank(30, 1, heard)
    np.savez(out / f"lists-{first}.npz", lists=lists, scores=scores)


def write_dataset(out: Path, interactions: int, listeners: int, tracks: int) -> Dataset:
    """Write a dataset of random plays in place of a folder, by listener and by track."""
    folder = out / "data"
    shutil.rmtree(out, ignore_errors=True)
    folder.mkdir(parents=True)
    generator = np.random.default_rng(SEED)
    activity = generator.lognormal(0, 1, listeners)
    counts = np.ceil(activity * (interactions / activity.sum())).astype(np.int64)
    indptr = np.concatenate(([0], np.cumsum(counts)))
    total = int(indptr[-1])
    values = new_array(folder / "training-values.npy", np.float32, (total,))
    indices = new_array(folder / "training-indices.npy", np.int32, (total,))
    order = generator.permutation(tracks).astype(np.int32)
    for first in range(0, listeners, _AT_ONCE):
        start, end = indptr[first], indptr[min(first + _AT_ONCE, listeners)]
        indices[start:end] = order[_ranks(generator, int(end - start), tracks)]
        values[start:end] = generator.integers(1, 11, end - start)
    np.save(folder / "training-indptr.npy", indptr)
    np.save(folder / "users.npy", np.arange(listeners))
    np.save(folder / "tracks.npy", np.arange(tracks))
    counted = (
        listeners,
        tracks,
        tracks,
        (),
        True,
        1,
        total,
        listeners,
        total,
        0,
        listeners,
        0,
    )
    summary = Summary("billion", *counted, {})
    (folder / SUMMARY).write_bytes(orjson.dumps(seal(summary)))
    write_by_track(folder, "training", tracks)
    return open_dataset(str(folder))


def _ranks(generator: np.random.Generator, number: int, tracks: int) -> IntArray:
    """Draw ranks by inverting the integral of (rank + 20)^-0.8."""
    low, high = _FLAT**0.2, (tracks + _FLAT) ** 0.2
    drawn = (low + generator.random(number) * (high - low)) ** 5 - _FLAT
    ranks: IntArray = np.minimum(drawn.astype(np.int64), tracks - 1)
    return ranks


if __name__ == "__main__":
    typer.run(main)
