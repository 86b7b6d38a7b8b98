"""One fit across workers: every sweep solves blocks of listeners, then blocks of tracks, each a task of the cluster.

Equal to the bit to the same fit in one process (`recsys.models.als`), for any number of workers and blocks. No worker
holds more than its block of the interactions. The factors are on disk after every sweep::

    listeners-<sweep>.npy, tracks-<sweep>.npy     float32, shape (rows, factors)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from looplib.arrays import Float32Array, IntArray
from looplib.files import TEMPORARY_PREFIX, atomic_write, fsync_directory, fsync_file
from recsys.blockwise.worker import Block, Of, factors_name, gather_tracks, rows_name, solve_block
from recsys.cluster.cluster import Cluster
from recsys.cluster.retry import Outcome
from recsys.dataset.arrays import new_array
from recsys.dataset.dataset import Dataset, Side
from recsys.models.als import check_finite, first_factors
from recsys.models.params import AlsParams
from recsys.workspace import Workspace

# So many interactions take about 130 MB, and their confidences another half of that.
LARGEST_BLOCK = 16_000_000
_ROW_WORK = 32  # what a row costs beside its interactions, in interactions
_SIDES: tuple[Of, Of] = ("listeners", "tracks")


@dataclass(frozen=True)
class Blocks:
    """The rows of a dataset, cut: every listener is in one block, and every track."""

    listeners: tuple[Block, ...]
    tracks: tuple[Block, ...]


@dataclass(frozen=True)
class BlockFit:
    """A fit after some sweeps; the factors are mapped from their files.

    Attributes:
        sweeps: Sweeps done.
        user_factors: Shape (listeners, factors).
        item_factors: Shape (tracks, factors).
    """

    sweeps: int
    user_factors: Float32Array
    item_factors: Float32Array


def cut_blocks(cluster: Cluster, dataset: Dataset, side: Side, folder: Workspace, blocks: int | None = None) -> Blocks:
    """Cuts a dataset into blocks of about as many interactions, and gathers those of the tracks.

    Args:
        cluster: Gathers.
        dataset: What is cut.
        side: Which interactions of it.
        folder: Where the gathered interactions go; every worker must see it.
        blocks: How many on each side; by default one for each call that the cluster runs at once, and so many more
            that none holds over `LARGEST_BLOCK` interactions.
    """
    matrix = dataset.matrix(side)
    at_once = cluster.slots()
    number = blocks or at_once * max(1, -(-matrix.nnz // (at_once * LARGEST_BLOCK)))
    of_track = np.bincount(matrix.indices, minlength=matrix.shape[1])
    cut = Blocks(
        tuple(_block("listeners", ends, dataset, side, folder) for ends in _cut(np.diff(matrix.indptr), number)),
        tuple(_block("tracks", ends, dataset, side, folder) for ends in _cut(of_track, number)),
    )
    folder.folder.mkdir(parents=True, exist_ok=True)
    for outcome in cluster.run(gather_tracks, [(block,) for block in cut.tracks]):
        outcome.result()
    return cut


def fit_blocks(
    cluster: Cluster,
    blocks: Blocks,
    params: AlsParams,
    seed: int,
    sweeps: int,
    fit: Workspace,
    *,
    threads: int = 1,
    report: Callable[[float], None] = lambda _sweeps: None,
) -> BlockFit:
    """Fits, going on from the last sweep that the folder has.

    Args:
        cluster: Solves; a block whose worker dies is solved again elsewhere.
        blocks: What `cut_blocks` gave.
        params: Hyperparameters.
        seed: Decides the first factors.
        sweeps: How many sweeps the fit has in the end.
        fit: Of this fit alone: of these blocks' interactions, these parameters and this seed.
        threads: Threads for a block.
        report: Called with the sweeps done.

    Raises:
        TrialError: A factor is not finite, or a row has no solution.
        SearchError: The scheduler is lost, or there has been no worker for a while.
        OSError: The disk is full.
    """
    done = _last_sweep(fit, sweeps)
    if done is None:
        _write_first(fit, blocks, params, seed)
        done = 0
    for sweep in range(done + 1, sweeps + 1):
        for side in (blocks.listeners, blocks.tracks):
            calls = [(block, params, fit.address, sweep, threads) for block in side]
            _join_rows(fit, side, params.factors, sweep, cluster.run(solve_block, calls))
        check_finite(*_load(fit, sweep), sweep)
        fit.delete(*(factors_name(of, sweep - 1) for of in _SIDES))
        report(sweep)
    return BlockFit(sweeps, *_load(fit, sweeps))


def _join_rows(
    fit: Workspace, side: Sequence[Block], factors: int, sweep: int, outcomes: Iterable[Outcome[None]]
) -> None:
    """Write one side's factors, which are there when all of its blocks are solved."""
    name = factors_name(side[0].of, sweep)
    unfinished = fit.folder / f"{TEMPORARY_PREFIX}{name}"
    new_array(unfinished, np.float32, (side[-1].last, factors))
    for outcome in outcomes:
        outcome.result()
        block = side[outcome.key]
        rows = rows_name(block, sweep)
        fit.download(rows)
        np.load(unfinished, mmap_mode="r+")[block.first : block.last] = np.load(fit.folder / rows)
        fit.delete(rows)
    fsync_file(unfinished)
    unfinished.replace(fit.folder / name)
    fsync_directory(fit.folder)
    fit.upload(name)


def _write_first(fit: Workspace, blocks: Blocks, params: AlsParams, seed: int) -> None:
    fit.folder.mkdir(parents=True, exist_ok=True)
    shape = (blocks.listeners[-1].last, blocks.tracks[-1].last)
    for of, factors in zip(_SIDES, first_factors(shape, params.factors, seed), strict=True):
        with atomic_write(fit.folder / factors_name(of, 0)) as file:
            np.save(file, factors)
        fit.upload(factors_name(of, 0))


def _last_sweep(fit: Workspace, largest: int) -> int | None:
    """Return the last sweep up to a number of which both sides are there."""
    names = fit.names()
    sweeps = (int(name[len("tracks-") : -len(".npy")]) for name in names if name.startswith("tracks-"))
    return max((n for n in sweeps if n <= largest and factors_name("listeners", n) in names), default=None)


def _load(fit: Workspace, sweep: int) -> tuple[Float32Array, Float32Array]:
    listeners, tracks = (np.load(fit.cached(factors_name(of, sweep)), mmap_mode="c") for of in _SIDES)
    return listeners, tracks


def _block(of: Of, ends: tuple[int, int], dataset: Dataset, side: Side, folder: Workspace) -> Block:
    return Block(of, *ends, dataset.address, side, folder.address)


def _cut(counts: IntArray, number: int) -> list[tuple[int, int]]:
    """Consecutive rows (first, last + 1) in up to so many parts of about as much work.

    Args:
        counts: Interactions of each row; shape (rows,).
        number: How many parts are wanted; none is empty.
    """
    work = np.cumsum(counts + _ROW_WORK)
    cuts = np.searchsorted(work, work[-1] * np.arange(1, number) / number) + 1
    edges = np.unique(np.concatenate(([0], cuts, [len(counts)])))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
