"""Fit a model across workers: every sweep solves blocks of listeners, then blocks of tracks, as calls of the cluster.

Equal to the bit to the same fit in one process (`recsys.models.als`), for any number of workers and blocks. No worker
holds more than its block of the interactions. The factors are on disk after every sweep::

    listeners-<sweep>.npy, tracks-<sweep>.npy     float32, shape (rows, factors)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from looplib.arrays import IntArray
from looplib.files import TEMPORARY_PREFIX, atomic_write, fsync_directory, fsync_file
from recsys.blockwise.worker import SIDES, Block, Of, factors_name, gather_tracks, rows_name, solve_block
from recsys.cluster.cluster import Cluster
from recsys.cluster.retry import Outcome
from recsys.dataset.dataset import Dataset, Side, new_array
from recsys.models.als import AlsParams, Fit, check_finite, first_factors
from recsys.workspace import Workspace

# So many interactions take about 130 MB, and their confidences another half of that.
LARGEST_BLOCK = 16_000_000
_ROW_WORK = 32  # what a row costs beside its interactions, in interactions


@dataclass(frozen=True)
class Blocks:
    """The rows of a dataset, cut: every listener is in one block, and every track."""

    listeners: tuple[Block, ...]
    tracks: tuple[Block, ...]


def cut_blocks(cluster: Cluster, dataset: Dataset, side: Side, folder: Workspace, blocks: int | None = None) -> Blocks:
    """Cut a dataset into blocks of about as many interactions; workers gather those of the tracks in a folder.

    By default there are as many on each side as the cluster runs calls at once, or a multiple of that so that none
    holds over `LARGEST_BLOCK` interactions.
    """
    matrix = dataset.matrix(side)
    at_once = cluster.slots()
    number = blocks or at_once * max(1, -(-matrix.nnz // (at_once * LARGEST_BLOCK)))

    def cut(of: Of, counts: IntArray) -> tuple[Block, ...]:
        return tuple(Block(of, *ends, dataset.address, side, folder.address) for ends in _cut(counts, number))

    of_track = np.bincount(matrix.indices, minlength=matrix.shape[1])
    found = Blocks(cut("listeners", np.diff(matrix.indptr)), cut("tracks", of_track))
    folder.folder.mkdir(parents=True, exist_ok=True)
    for outcome in cluster.run(gather_tracks, [(block,) for block in found.tracks]):
        outcome.result()
    return found


def fit_blocks(
    cluster: Cluster,
    blocks: Blocks,
    params: AlsParams,
    seed: int,
    sweeps: int,
    workspace: Workspace,
    report: Callable[[float], None] | None = None,
) -> Fit:
    """Fit a model to a number of sweeps, continuing from the last one that its own workspace has.

    A block whose worker dies is solved again elsewhere. `report` is called with the sweeps done.

    Returns:
        The factors, mapped from their files.

    Raises:
        TrialError: A factor is not finite, or a row has no solution.
        SearchError: The scheduler is lost, or there has been no worker for a while.
        OSError: The disk is full.
    """
    done = _last_sweep(workspace, sweeps)
    if done is None:
        _write_first(workspace, blocks, params, seed)
        done = 0
    for sweep in range(done + 1, sweeps + 1):
        for side in (blocks.listeners, blocks.tracks):
            calls = [(block, params, workspace.address, sweep, cluster.threads) for block in side]
            _join_rows(workspace, side, params.factors, sweep, cluster.run(solve_block, calls))
        check_finite(_load(workspace, sweep))
        workspace.delete(*(factors_name(of, sweep - 1) for of in SIDES))
        if report:
            report(sweep)
    return _load(workspace, sweeps)


def _join_rows(
    workspace: Workspace, side: Sequence[Block], factors: int, sweep: int, outcomes: Iterable[Outcome[None]]
) -> None:
    """Write one side's factors; their file appears when all of its blocks are solved."""
    folder, name = workspace.folder, factors_name(side[0].of, sweep)
    unfinished = folder / f"{TEMPORARY_PREFIX}{name}"
    new_array(unfinished, np.float32, (side[-1].last, factors))
    for outcome in outcomes:
        outcome.result()
        block = side[outcome.key]
        rows = rows_name(block, sweep)
        workspace.download(rows)
        np.load(unfinished, mmap_mode="r+")[block.first : block.last] = np.load(folder / rows)
        workspace.delete(rows)
    fsync_file(unfinished)
    unfinished.replace(folder / name)
    fsync_directory(folder)
    workspace.upload(name)


def _write_first(workspace: Workspace, blocks: Blocks, params: AlsParams, seed: int) -> None:
    shape = (blocks.listeners[-1].last, blocks.tracks[-1].last)
    for of, factors in zip(SIDES, first_factors(shape, params.factors, seed), strict=True):
        with atomic_write(workspace.folder / factors_name(of, 0)) as file:
            np.save(file, factors)
        workspace.upload(factors_name(of, 0))


def _last_sweep(workspace: Workspace, largest: int) -> int | None:
    """Find the last sweep, up to the largest allowed, of which both sides are there."""
    names = workspace.names()
    sweeps = (int(name[len("tracks-") : -len(".npy")]) for name in names if name.startswith("tracks-"))
    return max((n for n in sweeps if n <= largest and factors_name("listeners", n) in names), default=None)


def _load(workspace: Workspace, sweep: int) -> Fit:
    return Fit(sweep, *(np.load(workspace.cached(factors_name(of, sweep)), mmap_mode="c") for of in SIDES))


def _cut(counts: IntArray, number: int) -> list[tuple[int, int]]:
    """Cut rows, by their interactions, into up to so many parts (first, last + 1) of equal work; none is empty."""
    work = np.cumsum(counts + _ROW_WORK)
    cuts = np.searchsorted(work, work[-1] * np.arange(1, number) / number) + 1
    edges = np.unique(np.concatenate(([0], cuts, [len(counts)])))
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
