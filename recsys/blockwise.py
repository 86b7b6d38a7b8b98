"""Fit one model on many workers: each sweep solves blocks of listeners, then blocks of tracks.

The result equals that of a fit in one process (`recsys.models.als`) to the bit, for any number of
workers and blocks. Beside the factors of the other side, a worker holds no more than its block of
the interactions. A block that is solved again, after its worker died, writes the same bytes. The
factors are on disk after every sweep, a file for each block::

    listeners-<sweep>-<first>-<last>.npy    float32, shape (last - first, factors)
    tracks-<sweep>-<first>-<last>.npy
    newest.json                             names those of the last whole sweep
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from looplib.als import AlsParams
from looplib.arrays import Float32Array, IntArray
from looplib.checksums import seal, unseal
from recsys.cluster.cluster import Cluster
from recsys.dataset.dataset import Dataset, open_dataset
from recsys.dataset.layout import SplitName
from recsys.models.als import (
    Fit,
    check_finite,
    first_factors,
    make_equations,
)
from recsys.workspace import Workspace, open_workspace

# So many interactions take about 130 MB, and their confidences another half of that.
LARGEST_BLOCK = 16_000_000
_ROW_WORK = 32  # what a row costs beside its interactions, in interactions
_NEWEST = "newest.json"  # names the files of the last whole sweep
Axis = Literal["listeners", "tracks"]
AXES: tuple[Axis, Axis] = ("listeners", "tracks")
# of the two sides; every row is in one block
Blocks = tuple[tuple["Block", ...], tuple["Block", ...]]


class Part(NamedTuple):
    """A file of factors: of the rows `first` to `last - 1` of a side after a sweep."""

    axis: Axis
    sweep: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """The file's name in the folder of the fit."""
        return f"{self.axis}-{self.sweep}-{self.first}-{self.last}.npy"


@dataclass(frozen=True)
class Block:
    """Consecutive listeners or tracks of a dataset: `first` to `last - 1`."""

    axis: Axis
    first: int
    last: int
    dataset: str  # its address
    side: SplitName  # its interactions that are fitted
    others: int  # of the other side that have interactions

    def part(self, sweep: int) -> Part:
        """Return the file in which `solve_block` leaves its factors."""
        return Part(self.axis, sweep, self.first, self.last)

    def load(self) -> csr_matrix:
        """Map its interactions from disk, shape (rows, others)."""
        dataset = open_dataset(self.dataset)
        load = dataset.matrix if self.axis == "listeners" else dataset.by_track
        return load(self.side, self.first, self.last)


def cut_blocks(
    cluster: Cluster,
    dataset: Dataset,
    side: SplitName,
    blocks: int | None = None,
) -> Blocks:
    """Cut a dataset into blocks of about as many interactions.

    By default each side has as many blocks as the cluster runs calls at once, or a multiple of that
    so that none holds more than `LARGEST_BLOCK` interactions.
    """
    counts = dataset.counts(side)
    popularity = dataset.popularity(side)
    at_once = cluster.slots()
    rounds = -(-int(counts.sum()) // (at_once * LARGEST_BLOCK))
    number = blocks or at_once * max(1, rounds)

    def cut(axis: Axis, counts: IntArray, others: IntArray) -> tuple[Block, ...]:
        known = int(np.count_nonzero(others))
        return tuple(
            Block(axis, first, last, dataset.address, side, known)
            for first, last in pairwise(_even_edges(counts, number))
        )

    return cut("listeners", counts, popularity), cut("tracks", popularity, counts)


def _even_edges(counts: IntArray, number: int) -> list[int]:
    """Return where to cut rows into a number of blocks of about the same work."""
    work = np.cumsum(counts + _ROW_WORK)
    shares = np.arange(1, number) / number
    cuts = np.searchsorted(work, work[-1] * shares) + 1
    edges = np.concatenate(([0], cuts, [len(counts)]))
    return np.unique(edges).tolist()  # type: ignore[no-any-return]  # numpy says Any


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
        The factors.

    Raises:
        TrialError: A factor is not finite.
        SearchError: The scheduler is lost, or there has been no worker for a while.
        OSError: The disk is full.
    """
    parts = _find_newest(workspace, sweeps)
    if not parts:
        shape = (blocks[0][-1].last, blocks[1][-1].last)
        first = first_factors(shape, params.factors, seed)
        for axis, factors in zip(
            AXES, (first.user_factors, first.item_factors), strict=True
        ):
            part = Part(axis, 0, 0, len(factors))
            parts[axis] = (part,)
            _write(workspace, part, factors)
    for sweep in range(parts["tracks"][0].sweep + 1, sweeps + 1):
        before = dict(parts)
        for axis, other, side in zip(AXES, reversed(AXES), blocks, strict=True):
            fit = (params, workspace.address, sweep, cluster.threads)
            factors_of_sides = (before[axis], parts[other])
            calls = [(block, *fit, *factors_of_sides) for block in side]
            for outcome in cluster.run(solve_block, calls):
                outcome.result()
            parts[axis] = tuple(block.part(sweep) for block in side)
        newest = {axis: [*map(tuple, side)] for axis, side in parts.items()}
        with workspace.create(_NEWEST) as file:
            file.write(json.dumps(seal(newest)).encode())
        workspace.delete(*(part.name for side in before.values() for part in side))
        if report:
            report(sweep)
    user_factors = np.concatenate(_load(workspace, parts["listeners"]))
    item_factors = np.concatenate(_load(workspace, parts["tracks"]))
    return Fit(sweeps, user_factors, item_factors)


def solve_block(
    block: Block,
    params: AlsParams,
    fit: str,
    sweep: int,
    threads: int,
    before: Sequence[Part],
    others: Sequence[Part],
) -> None:
    """Solve the rows of a block in a sweep, and leave them in a file of their own.

    Args:
        block: What is solved.
        params: The hyperparameters.
        fit: Address of the fit.
        sweep: The number of the sweep, from 1.
        threads: How many the solver uses.
        before: The side's factors after the sweep before, where conjugate gradients begin.
        others: The other side's newest factors: of tracks after the sweep before, or of listeners
            after this sweep.

    Raises:
        TrialError: A factor is not finite.
    """
    workspace = open_workspace(fit)
    _evict_stale(workspace, sweep)
    rows: Float32Array = np.concatenate(
        _load(workspace, before, block.first, block.last)
    )
    equations = make_equations(block.load(), params, block.others)
    equations.solve(rows, _load(workspace, others), threads)
    check_finite(sweep, rows)
    _write(workspace, block.part(sweep), rows)


def _write(workspace: Workspace, part: Part, factors: Float32Array) -> None:
    with workspace.create(part.name) as file:
        np.save(file, factors)


def _load(
    workspace: Workspace,
    parts: Sequence[Part],
    first: int = 0,
    last: int | None = None,
) -> list[Float32Array]:
    """Map the factors of all rows, or from a first to a last one, from their files."""
    last = parts[-1].last if last is None else last
    found = []
    for part in parts:
        if part.first < last and first < part.last:
            factors = np.load(workspace.cached(part.name), mmap_mode="c")
            found.append(factors[max(first - part.first, 0) : last - part.first])
    return found


def _find_newest(workspace: Workspace, largest: int) -> dict[Axis, tuple[Part, ...]]:
    """Find the files of the last whole sweep; none if that is beyond the largest allowed.

    All others are removed: those of an interrupted sweep may be of blocks that were cut otherwise.
    """
    newest: dict[Axis, tuple[Part, ...]] = {}
    with suppress(ValueError):
        found = unseal(workspace.read(_NEWEST) or b"")
        newest = {axis: tuple(Part(*part) for part in found[axis]) for axis in AXES}
    if newest and newest["tracks"][0].sweep > largest:
        newest = {}
    kept = {part.name for side in newest.values() for part in side}
    workspace.delete(*(workspace.names() - kept - {_NEWEST}))
    return newest


def _evict_stale(fit: Workspace, sweep: int) -> None:
    """Remove this machine's copies of factors of earlier sweeps and of earlier fits."""
    if not fit.is_remote:
        return
    fits = open_workspace(fit.address.rpartition("/")[0])
    for file in fits.folder.glob("*/*.npy"):
        if file.parent != fit.folder or int(file.name.split("-")[1]) < sweep - 1:
            fits.evict(file.relative_to(fits.folder).as_posix())
