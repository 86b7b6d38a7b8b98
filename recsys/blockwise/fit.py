"""One fit across workers: every sweep solves blocks of listeners, then blocks of tracks, each a task of the cluster.

Equal to the bit to the same fit in one process (`recsys.models.als`), for any number of workers and blocks. No worker
holds more than its block of the interactions. The factors are on disk after every sweep::

    listeners-<sweep>.npy, tracks-<sweep>.npy     float32, shape (rows, factors)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from looplib.arrays import Float32Array, IntArray
from looplib.files import TEMPORARY_PREFIX, atomic_write, fsync_directory, fsync_file
from recsys.blockwise.worker import Block, Of, gather_tracks, rows_file, solve_block
from recsys.cluster.cluster import Cluster
from recsys.dataset.arrays import new_array
from recsys.dataset.dataset import Dataset, Side
from recsys.mirror import fetch, forget, give, names_in
from recsys.models.als import check_finite, first_factors
from recsys.models.params import AlsParams
from recsys.places import Mirrored

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


def cut_blocks(cluster: Cluster, dataset: Dataset, side: Side, folder: Path, blocks: int | None = None) -> Blocks:
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
    folder.mkdir(parents=True, exist_ok=True)
    for outcome in cluster.run(gather_tracks, [(block,) for block in cut.tracks]):
        outcome.result()
    return cut


def fit_blocks(
    cluster: Cluster,
    blocks: Blocks,
    params: AlsParams,
    seed: int,
    sweeps: int,
    folder: Path,
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
        folder: Of this fit alone: of these blocks' interactions, these parameters and this seed.
        threads: Threads for a block.
        report: Called with the sweeps done.

    Raises:
        TrialError: A factor is not finite, or a row has no solution.
        SearchError: The scheduler is lost, or there has been no worker for a while.
        OSError: The disk is full.
    """
    done = _last_sweep(folder, sweeps)
    if done is None:
        _write_first(folder, blocks, params, seed)
        done = 0
    for sweep in range(done + 1, sweeps + 1):
        _solve(cluster, blocks.listeners, params, folder, sweep, _file(folder, "tracks", sweep - 1), threads)
        _solve(cluster, blocks.tracks, params, folder, sweep, _file(folder, "listeners", sweep), threads)
        check_finite(*_load(folder, sweep), sweep)
        for of in _SIDES:
            forget(_file(folder, of, sweep - 1))
        report(sweep)
    return BlockFit(sweeps, *_load(folder, sweeps))


def _solve(
    cluster: Cluster,
    blocks: Sequence[Block],
    params: AlsParams,
    folder: Path,
    sweep: int,
    others: Path,
    threads: int,
) -> None:
    """Solves one side; its factors are there when all of its blocks are."""
    of = blocks[0].of
    before, after = _file(folder, of, sweep - 1), _file(folder, of, sweep)
    unfinished = after.with_name(f"{TEMPORARY_PREFIX}{after.name}")
    new_array(unfinished, np.float32, (blocks[-1].last, params.factors))
    calls = [(block, params, before, others, unfinished, threads) for block in blocks]
    for outcome in cluster.run(solve_block, calls):
        outcome.result()
        if isinstance(unfinished, Mirrored):
            _take_rows(unfinished, blocks[outcome.key])
    fsync_file(unfinished)
    unfinished.replace(after)
    fsync_directory(folder)
    give(after)


def _take_rows(unfinished: Path, block: Block) -> None:
    """Brings a block's rows, which came by way of an address, into the file of their side."""
    rows = fetch(rows_file(unfinished, block))
    np.load(unfinished, mmap_mode="r+")[block.first : block.last] = np.load(rows)
    forget(rows)


def _write_first(folder: Path, blocks: Blocks, params: AlsParams, seed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shape = (blocks.listeners[-1].last, blocks.tracks[-1].last)
    for of, factors in zip(_SIDES, first_factors(shape, params.factors, seed), strict=True):
        with atomic_write(_file(folder, of, 0)) as file:
            np.save(file, factors)
        give(_file(folder, of, 0))


def _last_sweep(folder: Path, largest: int) -> int | None:
    """The last sweep up to a number of which both sides are there."""
    files = [name for name in names_in(folder) if name.endswith(".npy")]
    sides = ({int(name[len(of) + 1 : -4]) for name in files if name.startswith(f"{of}-")} for of in _SIDES)
    return max((sweep for sweep in set.intersection(*sides) if sweep <= largest), default=None)


def _file(folder: Path, of: Of, sweep: int) -> Path:
    return folder / f"{of}-{sweep}.npy"


def _load(folder: Path, sweep: int) -> tuple[Float32Array, Float32Array]:
    listeners, tracks = (np.load(fetch(_file(folder, of, sweep)), mmap_mode="c") for of in _SIDES)
    return listeners, tracks


def _block(of: Of, ends: tuple[int, int], dataset: Dataset, side: Side, folder: Path) -> Block:
    # Workers of other machines have another current folder.
    return Block(of, *ends, dataset.path.absolute(), side, folder.absolute())


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
