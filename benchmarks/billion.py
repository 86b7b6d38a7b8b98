"""One iteration of a fit by blocks on a billion interactions: too many for a 32-bit matrix.

    python -m benchmarks.billion

Draws play counts (no data of anybody: a track's popularity falls by its rank to the power of 0.8),
writes them as a dataset, and solves one iteration in blocks. Prints the time of each step,
and what the largest worker process held (PSS, sampled 5 times a second).
"""

import shutil
from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import typer

from benchmarks.blocks import import_fits
from benchmarks.harness import console, memory_mib, sampled, seconds, show, show_machine
from looplib.als import AlsConfig
from looplib.arrays import IntArray
from looplib.checksums import seal
from recsys.blockwise import cut_blocks, fit_blocks
from recsys.cluster.cluster import open_cluster
from recsys.cluster.config import ClusterConfig
from recsys.dataset.dataset import Summary, open_dataset
from recsys.dataset.layout import SUMMARY, new_array
from recsys.dataset.matrices import write_by_track
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
    out: Annotated[Path, typer.Option(help="Scratch; 24 bytes each.")] = Path(
        "out/big"
    ),
) -> None:
    """Write the dataset, by listener and by track, and solve one iteration of it by blocks."""
    shutil.rmtree(out, ignore_errors=True)
    (out / "data").mkdir(parents=True)
    write_s = seconds(_write, out / "data", interactions, listeners, tracks)
    turn_s = seconds(write_by_track, out / "data", "training", tracks)
    params = AlsConfig(factors=factors, regularization=0.1, alpha=10.0)
    load_kernels()
    with open_cluster(ClusterConfig(workers=workers)) as cluster:
        pids = import_fits(cluster, 4 * workers)
        idle = max(map(memory_mib, pids))
        dataset = open_dataset(str(out / "data"))
        blocks = cut_blocks(cluster, dataset, "training")
        with sampled(pids, interval_s=0.2) as iterating:
            folder = open_workspace(out / "fit")
            iteration_s = seconds(fit_blocks, cluster, blocks, params, SEED, 1, folder)
    rate = dataset.summary.interactions / iteration_s / 1e6
    rows = [
        ("draw and write", f"{write_s:,.0f}", ""),
        ("write by track", f"{turn_s:,.0f}", ""),
        ("an iteration", f"{iteration_s:,.0f}", f"{max(iterating.values()):,.0f}"),
    ]
    caption = f"{dataset.summary.interactions:,} interactions, rank {factors}"
    show(caption, ("step", "s", "largest worker, MiB"), rows)
    console.print(f"{rate:.1f} million interactions a second; idle {idle:,.0f} MiB")
    show_machine("dask", "numba", "numpy")
    shutil.rmtree(out)


def _write(folder: Path, interactions: int, listeners: int, tracks: int) -> None:
    """Write a dataset of random plays, some listeners at a time."""
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
    counted = (listeners, tracks, total, listeners, total, 0, listeners, 0)
    summary = Summary("billion", *counted, {})
    (folder / SUMMARY).write_bytes(orjson.dumps(seal(summary)))


def _ranks(generator: np.random.Generator, number: int, tracks: int) -> IntArray:
    """Draw ranks by inverting the integral of (rank + 20)^-0.8."""
    low, high = _FLAT**0.2, (tracks + _FLAT) ** 0.2
    drawn = (low + generator.random(number) * (high - low)) ** 5 - _FLAT
    ranks: IntArray = np.minimum(drawn.astype(np.int64), tracks - 1)
    return ranks


if __name__ == "__main__":
    typer.run(main)
