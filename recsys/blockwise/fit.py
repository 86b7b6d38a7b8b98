"""Fit a model across workers: every sweep solves blocks of listeners, then blocks of tracks, as calls of the cluster.

Equal to the bit to the same fit in one process (`recsys.models.als`), for any number of workers and blocks. No worker
holds more than its block of the interactions. The factors are on disk after every sweep::

    listeners-<sweep>.npy, tracks-<sweep>.npy     float32, shape (rows, factors)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from looplib.arrays import IntArray
from looplib.files import TEMPORARY_PREFIX, atomic_write, fsync_directory, fsync_file
from recsys.blockwise.worker import SIDES, Block, Of, gather_tracks, rows_file, solve_block
from recsys.cluster.cluster import Cluster
from recsys.dataset.arrays import new_array
from recsys.dataset.dataset import Dataset, Side
from recsys.mirror import fetch, forget, give, names_in
from recsys.models.als import check_finite, first_factors
from recsys.models.params import AlsParams, Fit
from recsys.places import Mirrored

# So many interactions take about 130 MB, and their confidences another half of that.
LARGEST_BLOCK = 16_000_000
_ROW_WORK = 32  # what a row costs beside its interactions, in interactions


@dataclass(frozen=True)
class Blocks:
    """The rows of a dataset, cut: every listener is in one block, and every track."""

    listeners: tuple[Block, ...]
    tracks: tuple[Block, ...]


def cut_blocks(cluster: Cluster, dataset: Dataset, side: Side, folder: Path, blocks: int | None = None) -> Blocks:
    """Cut a dataset into blocks of about as many interactions, and gather those of the tracks.

    Args:
        cluster: Gathers.
        dataset: The dataset.
        side: Its interactions that are fitted.
        folder: Where the gathered interactions go; every worker must see it.
        blocks: How many on each side; by default one for each call that the cluster runs at once, or a multiple of
            that so that none holds over `LARGEST_BLOCK` interactions.
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
    report: Callable[[float], None] = lambda _sweeps: None,
) -> Fit:
    """Fit a model, continuing from the last sweep that the folder has.

    Args:
        cluster: Solves; a block whose worker dies is solved again elsewhere.
        blocks: Made by `cut_blocks`.
        params: Hyperparameters.
        seed: Decides the first factors.
        sweeps: Sweeps of the whole fit.
        folder: Belongs to this fit alone: to these interactions, these parameters and this seed.
        report: Called with the sweeps done.

    Returns:
        The factors, mapped from their files.

    Raises:
        TrialError: A factor is not finite, or a row has no solution.
        SearchError: The scheduler is lost, or there has been no worker for a while.
        OSError: The disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    done = _last_sweep(folder, sweeps)
    if done is None:
        _write_first(folder, blocks, params, seed)
        done = 0
    for sweep in range(done + 1, sweeps + 1):
        _solve(cluster, blocks.listeners, params, sweep, _file(folder, "tracks", sweep - 1))
        _solve(cluster, blocks.tracks, params, sweep, _file(folder, "listeners", sweep))
        check_finite(_load(folder, sweep))
        for of in SIDES:
            forget(_file(folder, of, sweep - 1))
        report(sweep)
    return _load(folder, sweeps)


def _solve(cluster: Cluster, blocks: Sequence[Block], params: AlsParams, sweep: int, others: Path) -> None:
    """Solve one side; the file of its factors appears when all of its blocks are solved."""
    folder, of = others.parent, blocks[0].of
    before, after = _file(folder, of, sweep - 1), _file(folder, of, sweep)
    unfinished = after.with_name(f"{TEMPORARY_PREFIX}{after.name}")
    new_array(unfinished, np.float32, (blocks[-1].last, params.factors))
    calls = [(block, params, before, others, unfinished, cluster.threads) for block in blocks]
    for outcome in cluster.run(solve_block, calls):
        outcome.result()
        if isinstance(unfinished, Mirrored):
            _take_rows(unfinished, blocks[outcome.key])
    fsync_file(unfinished)
    unfinished.replace(after)
    fsync_directory(folder)
    give(after)


def _take_rows(unfinished: Path, block: Block) -> None:
    """Copy a block's rows, which came by way of an address, into the file of their side."""
    rows = fetch(rows_file(unfinished, block))
    np.load(unfinished, mmap_mode="r+")[block.first : block.last] = np.load(rows)
    forget(rows)


def _write_first(folder: Path, blocks: Blocks, params: AlsParams, seed: int) -> None:
    shape = (blocks.listeners[-1].last, blocks.tracks[-1].last)
    for of, factors in zip(SIDES, first_factors(shape, params.factors, seed), strict=True):
        with atomic_write(_file(folder, of, 0)) as file:
            np.save(file, factors)
        give(_file(folder, of, 0))


def _last_sweep(folder: Path, largest: int) -> int | None:
    """Find the last sweep, up to the largest allowed, of which both sides are there."""
    files = [name for name in names_in(folder) if name.endswith(".npy")]
    sides = ({int(name[len(of) + 1 : -4]) for name in files if name.startswith(f"{of}-")} for of in SIDES)
    return max((sweep for sweep in set.intersection(*sides) if sweep <= largest), default=None)


def _file(folder: Path, of: Of, sweep: int) -> Path:
    return folder / f"{of}-{sweep}.npy"


def _load(folder: Path, sweep: int) -> Fit:
    return Fit(sweep, *(np.load(fetch(_file(folder, of, sweep)), mmap_mode="c") for of in SIDES))


def _block(of: Of, ends: tuple[int, int], dataset: Dataset, side: Side, folder: Path) -> Block:
    # Workers of other machines have another current folder.
    return Block(of, *ends, dataset.path.absolute(), side, folder.absolute())


def _cut(counts: IntArray, number: int) -> list[tuple[int, int]]:
    """Cut consecutive rows into up to so many parts (first, last + 1) of about as much work; none is empty.

    Args:
        counts: Interactions of each row; shape (rows,).
        number: How many parts are wanted.
    """
    work = np.cumsum(counts + _ROW_WORK)
    cuts = np.searchsorted(work, work[-1] * np.arange(1, number) / number) + 1
    edges = np.unique(np.concatenate(([0], cuts, [len(counts)])))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
