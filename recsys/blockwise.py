"""Fit one model on many workers: each sweep solves blocks of listeners, then blocks of tracks.

The result equals that of a fit in one process (`recsys.models.als`) to the bit, for any number of
workers and blocks. Beside the factors of the other side, a worker holds no more than its block of
the interactions; all of them may be more than a matrix can hold. A block that is solved again,
after its worker died, writes the same bytes. The factors are on disk after every sweep, a file for
each block::

    listeners-<sweep>-<first>-<last>.npy    float32, shape (last - first, factors)
    tracks-<sweep>-<first>-<last>.npy
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, hstack

from looplib.als import AlsParams
from looplib.arrays import Float32Array, IntArray
from looplib.files import atomic_directory
from recsys.cluster.cluster import Cluster
from recsys.dataset.dataset import CSR, Dataset, Side, load_matrix, open_dataset
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
Axis = Literal["listeners", "tracks"]
AXES: tuple[Axis, Axis] = ("listeners", "tracks")
_BY_TRACK = "by_track"  # names the files of interactions by track
_PART = re.compile(r"(listeners|tracks)-(\d+)-(\d+)-(\d+)\.npy")
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
    side: Side  # its interactions that are fitted
    folder: str  # address of the folder where `transpose` leaves its interactions
    others: int  # of the other side that have interactions

    @property
    def transposed_name(self) -> str:
        """Name the folder with its interactions by track."""
        return f"{self.side}-{self.axis}-{self.first}-{self.last}"

    def part(self, sweep: int) -> Part:
        """Return the file in which `solve_block` leaves its factors."""
        return Part(self.axis, sweep, self.first, self.last)

    def load(self) -> csr_matrix:
        """Map its interactions from disk, shape (rows, others)."""
        dataset = open_dataset(self.dataset)
        if self.axis == "listeners":
            return dataset.matrix(self.side, self.first, self.last)
        return self.load_transposed(len(dataset.users))

    def load_transposed(self, columns: int, *tracks: int) -> csr_matrix:
        """Map what `transpose` left: of all tracks, or from a first to a last one."""
        transposed = open_workspace(self.folder).sub(self.transposed_name)
        transposed.download_all()
        return load_matrix(transposed.folder, _BY_TRACK, columns, *tracks)


def cut_blocks(
    cluster: Cluster,
    dataset: Dataset,
    side: Side,
    folder: Workspace,
    blocks: int | None = None,
) -> Blocks:
    """Cut a dataset into blocks of about as many interactions.

    Workers write the blocks of tracks to a folder. By default each side has as many blocks as the
    cluster runs calls at once, or a multiple of that so that none holds more than `LARGEST_BLOCK`
    interactions.
    """
    popularity = dataset.popularity(side)
    at_once = cluster.slots()
    rounds = -(-int(popularity.sum()) // (at_once * LARGEST_BLOCK))
    number = blocks or at_once * max(1, rounds)

    def cut(axis: Axis, counts: IntArray, others: IntArray) -> tuple[Block, ...]:
        edges = pairwise(_even_edges(counts, number))
        known = int(np.count_nonzero(others))
        return tuple(
            Block(axis, first, last, dataset.address, side, folder.address, known)
            for first, last in edges
        )

    counts = dataset.counts(side)
    listeners = cut("listeners", counts, popularity)
    tracks = cut("tracks", popularity, counts)
    folder.folder.mkdir(parents=True, exist_ok=True)
    done = f"{side}-{number}.transposed"
    if done not in folder.names():
        for outcome in cluster.run(transpose, [(block,) for block in listeners]):
            outcome.result()
        for outcome in cluster.run(transpose, [(block, listeners) for block in tracks]):
            outcome.result()
        with folder.create(done):
            folder.delete(*(block.transposed_name for block in listeners))
    return listeners, tracks


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
    parts = _newest(workspace, blocks, sweeps)
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
        workspace.delete(*(part.name for side in before.values() for part in side))
        if report:
            report(sweep)
    user_factors = np.concatenate(_load(workspace, parts["listeners"]))
    item_factors = np.concatenate(_load(workspace, parts["tracks"]))
    return Fit(sweeps, user_factors, item_factors)


def transpose(block: Block, listeners: Sequence[Block] = ()) -> None:
    """Write a block's interactions by track, to a folder that appears whole.

    A block of listeners takes them from the dataset, a block of tracks from the folders of all
    blocks of listeners.
    """
    transposed = open_workspace(block.folder).sub(block.transposed_name)
    if transposed.download_all():
        return
    if block.axis == "listeners":
        by_track = csr_matrix(block.load().T)
    else:
        left = [
            listener_block.load_transposed(
                listener_block.last - listener_block.first, block.first, block.last
            )
            for listener_block in listeners
        ]
        by_track = csr_matrix(hstack(left, format="csr"))
    arrays = (by_track.data, by_track.indices, by_track.indptr)
    with atomic_directory(transposed.folder) as folder:
        for name, array in zip(CSR, arrays, strict=True):
            np.save(folder / f"{_BY_TRACK}-{name}.npy", array)
    transposed.upload_all()


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
    workspace: Workspace, parts: Sequence[Part], first: int = 0, last: int | None = None
) -> list[Float32Array]:
    """Map the factors of all rows, or from a first to a last one, from their files."""
    last = parts[-1].last if last is None else last
    found = []
    for part in parts:
        if part.first < last and first < part.last:
            factors = np.load(workspace.cached(part.name), mmap_mode="c")
            found.append(factors[max(first - part.first, 0) : last - part.first])
    return found


def _newest(
    workspace: Workspace, blocks: Blocks, largest: int
) -> dict[Axis, tuple[Part, ...]]:
    """Find the files of the last sweep, up to the largest allowed, that has every row.

    All others are removed: those of an interrupted sweep may be of blocks that were cut otherwise.
    """
    known = []
    for name in workspace.names():
        match = _PART.fullmatch(name)
        if match:
            axis, *numbers = match.groups()
            known.append(Part(axis, *map(int, numbers)))  # type: ignore[arg-type]
    known.sort()
    newest: dict[Axis, tuple[Part, ...]] = {}
    for sweep in sorted({part.sweep for part in known if part.sweep <= largest}):
        listeners, tracks = (
            tuple(part for part in known if (part.axis, part.sweep) == (axis, sweep))
            for axis in AXES
        )
        users, items = blocks
        if _is_whole(listeners, users[-1].last) and _is_whole(tracks, items[-1].last):
            newest = {"listeners": listeners, "tracks": tracks}
    kept = {part for side in newest.values() for part in side}
    workspace.delete(*(part.name for part in known if part not in kept))
    return newest


def _is_whole(parts: Sequence[Part], rows: int) -> bool:
    firsts = [part.first for part in parts]
    lasts = [part.last for part in parts]
    return [*firsts, rows] == [0, *lasts]


def _evict_stale(fit: Workspace, sweep: int) -> None:
    """Remove this machine's copies of factors of earlier sweeps and of earlier fits."""
    if not fit.is_remote:
        return
    fits = open_workspace(fit.address.rpartition("/")[0])
    for file in fits.folder.glob("*/*.npy"):
        match = _PART.fullmatch(file.name)
        if file.parent != fit.folder or (match and int(match[2]) < sweep - 1):
            fits.evict(file.relative_to(fits.folder).as_posix())
