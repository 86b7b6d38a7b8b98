"""Fit an ALS model on many workers: an iteration solves blocks of listeners, then of tracks.

The result equals that of a fit in one process (`recsys.models.als`) to the bit, for any number of
workers and blocks. Beside the factors of the other axis, a worker holds no more than its block of
the interactions. A block that is solved again, after its worker died, writes the same bytes. The
factors of an iteration are written to the disk while the next iteration is solved, a file for each
block::

    listeners-<iteration>-<first>-<last>.npy    float32, shape (last - first, factors)
    tracks-<iteration>-<first>-<last>.npy
    newest.json                                 names the files of the last whole iteration
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple
from uuid import uuid4

import numpy as np
from scipy.sparse import csr_matrix

from looplib.als import AlsConfig
from looplib.arrays import Float32Array, IntArray
from looplib.checksums import seal, unseal
from looplib.files import fsync
from recsys.cluster.cluster import Plan
from recsys.cluster.config import ClusterConfig
from recsys.cluster.processes import call_threads
from recsys.dataset.dataset import Dataset, Summary, open_dataset
from recsys.dataset.layout import SplitName
from recsys.models.base import MAPPED, State
from recsys.models.solver import check_finite, first_factors, solve
from recsys.models.trial import Trial
from recsys.storage import Workspace, open_workspace

# These interactions are half a gigabyte, mapped from the disk. Each block also rotates the factors
# of the other axis, whatever its size.
LARGEST_BLOCK = 64_000_000
# The seconds of an iteration by factor and interaction, and by factor, factor and row; the smallest
# fit that is cut.
_ENTRY_S, _ROW_S = 1.2e-9, 0.2e-9
SMALLEST_S = 1.0
_ROW_WORK = 32  # cost of a row beside its interactions, in interactions
_NEWEST = "newest.json"  # names the files of the last whole iteration
Axis = Literal["listeners", "tracks"]
AXES: tuple[Axis, Axis] = ("listeners", "tracks")
# blocks of the two axes; every row is in one block
Blocks = tuple[tuple["Block", ...], tuple["Block", ...]]


class FactorFile(NamedTuple):
    """A file of factors: of the rows `first` to `last - 1` of an axis after an iteration."""

    axis: Axis
    iteration: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """The file's name in the folder of the fit."""
        return f"{self.axis}-{self.iteration}-{self.first}-{self.last}.npy"


Files = dict[Axis, tuple[FactorFile, ...]]  # files of both axes


@dataclass(frozen=True)
class Block:
    """Consecutive listeners or tracks of a dataset: `first` to `last - 1`."""

    axis: Axis
    first: int
    last: int
    dataset: str  # its address
    split: SplitName  # the interactions to fit
    count: int  # rows of the other axis that have interactions

    def file(self, iteration: int) -> FactorFile:
        """Name the file in which `solve_block` leaves its factors."""
        return FactorFile(self.axis, iteration, self.first, self.last)

    def load(self) -> csr_matrix:
        """Map its interactions from disk, shape (rows, rows of the other axis)."""
        dataset = open_dataset(self.dataset)
        rows = (self.split, self.first, self.last)
        return dataset.matrix(*rows, by_track=self.axis == "tracks")


def cut_blocks(at_once: int, dataset: Dataset, split: SplitName) -> Blocks:
    """Cut a dataset into blocks of about as many interactions.

    Each axis has as many blocks as workers solve at once, or a multiple of that so that none holds
    more than `LARGEST_BLOCK` interactions.
    """
    counts = dataset.counts(split)
    popularity = dataset.popularity(split)
    rounds = -(-int(counts.sum()) // (at_once * LARGEST_BLOCK))
    number = at_once * max(1, rounds)
    shares = np.arange(1, number) / number

    def cut(axis: Axis, counts: IntArray, across: IntArray) -> tuple[Block, ...]:
        count = int(np.count_nonzero(across))
        work = np.cumsum(counts + _ROW_WORK)
        cuts = np.searchsorted(work, work[-1] * shares) + 1
        edges = np.unique(np.concatenate(([0], cuts, [len(counts)]))).tolist()
        return tuple(
            Block(axis, first, last, dataset.address, split, count)
            for first, last in pairwise(edges)
        )

    return cut("listeners", counts, popularity), cut("tracks", popularity, counts)


def block_bytes(summary: Summary, config: AlsConfig, slots: int) -> int:
    """Estimate the memory of a worker that solves a block, beside an empty process."""
    entries = min(summary.interactions // slots, LARGEST_BLOCK)
    rows = max(summary.listeners, summary.tracks)
    return MAPPED // 2 * entries + 8 * config.factors * rows


def is_cut(
    cluster: ClusterConfig, trial: Trial, dataset: Dataset, split: SplitName
) -> bool:
    """Decide whether a fit is cut, as calls and files cost more than a small iteration."""
    if cluster.fit == "whole" or not trial.model_type.in_blocks:
        return False
    factors: int = trial.config.factors
    entries = int(dataset.array(split, "indptr")[-1])
    rows = len(dataset.users) + len(dataset.tracks_of(split))
    return _ENTRY_S * factors * entries + _ROW_S * factors**2 * rows >= SMALLEST_S


def read_state(workspace: Workspace, files: Files) -> State:
    """Read the state of a fit of `recsys.models.als.Als` from its files."""
    return {
        "iterations": files["tracks"][0].iteration,
        "user_factors": np.concatenate(_load(workspace, files["listeners"])),
        "item_factors": np.concatenate(_load(workspace, files["tracks"])),
    }


def plan_blocks(
    at_once: int,
    dataset: Dataset,
    split: SplitName,
    config: AlsConfig,
    seed: int,
    iterations: int,
    workspace: Workspace,
    report: Callable[[float], None] = lambda _: None,
) -> Plan[Files]:
    """Plan a fit, continuing from the last iteration that the fit's own workspace has.

    A block whose worker dies is solved again elsewhere.

    Args:
        at_once: How many blocks workers solve at once.
        dataset: The dataset to fit.
        split: The interactions to fit.
        config: The hyperparameters.
        seed: Decides the first factors.
        iterations: How many the fit has at its end.
        workspace: The fit's own.
        report: Is called with the iterations done.

    Returns:
        The files of the last iteration; see `read_state`.

    Raises:
        TrialError: A factor is not finite.
        SearchError: The scheduler is lost, or there has been no worker for a while.
        OSError: The disk is full.
    """
    cuts = cut_blocks(at_once, dataset, split)
    files = _find_newest(workspace, iterations)
    if not files:
        shape = (len(dataset.users), len(dataset.tracks_of(split)))
        begin = (workspace.address, shape, config.factors, seed)
        (files,) = yield [(write_first, *begin)]
    with ThreadPoolExecutor(1) as saver:
        saved = saver.submit(lambda: None)
        for iteration in range(files["tracks"][0].iteration + 1, iterations + 1):
            before = dict(files)
            for axis, across, cut in zip(AXES, reversed(AXES), cuts, strict=True):
                fit = (config, workspace.address, iteration)
                rest = (*fit, before[axis], files[across])
                yield [(solve_block, block, *rest) for block in cut]
                files[axis] = tuple(block.file(iteration) for block in cut)
            saved.result()
            saved = saver.submit(_save, workspace, dict(files), before)
            report(iteration)
        saved.result()
    return files


def write_first(fit: str, shape: tuple[int, int], factors: int, seed: int) -> Files:
    """Draw the factors with which a fit begins; leave them in files at its address."""
    files: Files = {}
    drawn = first_factors(shape, factors, seed)
    for axis, values in zip(AXES, drawn, strict=True):
        file = FactorFile(axis, 0, 0, len(values))
        _write(open_workspace(fit), file, values)
        files[axis] = (file,)
    return files


def solve_block(
    block: Block,
    config: AlsConfig,
    fit: str,
    iteration: int,
    before: Sequence[FactorFile],
    across: Sequence[FactorFile],
) -> None:
    """Solve the rows of a block in an iteration, and leave them in a file of their own.

    Args:
        block: The rows to solve.
        config: The hyperparameters.
        fit: Address of the fit.
        iteration: Its number, from 1.
        before: The axis's factors after the iteration before, where conjugate gradients begin.
        across: The newest factors of the other axis: tracks after the iteration before, or
            listeners after this iteration.

    Raises:
        TrialError: A factor is not finite.
    """
    workspace = open_workspace(fit)
    if workspace.is_remote:  # factors of earlier iterations and of earlier fits
        for file in workspace.folder.parent.glob("*/*.npy"):
            is_old = int(file.name.split("-")[1]) < iteration - 1
            if file.parent != workspace.folder or is_old:
                file.unlink(missing_ok=True)
    rows: Float32Array = np.concatenate(
        _load(workspace, before, block.first, block.last)
    )
    factors = _load(workspace, across)
    solve(rows, factors, block.load(), config, call_threads(), count=block.count)
    check_finite(iteration, rows)
    _write(workspace, block.file(iteration), rows)


def _write(workspace: Workspace, file: FactorFile, factors: Float32Array) -> None:
    """Write a file whole; `_save` brings it to the disk, while others are solved."""
    workspace.folder.mkdir(parents=True, exist_ok=True)
    part = workspace.folder / f"{file.name}-{uuid4().hex}"
    with part.open("wb") as target:
        np.save(target, factors)
    part.replace(workspace.folder / file.name)
    workspace.upload(file.name)


def _save(workspace: Workspace, files: Files, before: Files) -> None:
    """Make an iteration the newest, and delete the iteration before."""
    for file in _named(files):
        if not workspace.is_remote:
            fsync(workspace.folder / file.name)
    newest = {axis: [*map(tuple, named)] for axis, named in files.items()}
    with workspace.create(_NEWEST) as target:
        target.write(json.dumps(seal(newest)).encode())
    workspace.delete(*(file.name for file in _named(before)))


def _named(files: Files) -> list[FactorFile]:
    return [file for named in files.values() for file in named]


def _load(
    workspace: Workspace,
    files: Sequence[FactorFile],
    first: int = 0,
    last: int | None = None,
) -> list[Float32Array]:
    """Map the factors of all rows, or of the rows from `first` to `last`, from their files."""
    last = files[-1].last if last is None else last
    parts = []
    for file in files:
        if file.first < last and first < file.last:
            factors = np.load(workspace.cached(file.name), mmap_mode="c")
            parts.append(factors[max(first - file.first, 0) : last - file.first])
    return parts


def _find_newest(workspace: Workspace, largest: int) -> Files:
    """Find the files of the last whole iteration; none if that is beyond the largest allowed.

    All others are removed, because an interrupted iteration may have been cut into other blocks.
    """
    newest: Files = {}
    with suppress(ValueError):
        written = unseal(workspace.read(_NEWEST) or b"")
        newest = {
            axis: tuple(FactorFile(*file) for file in written[axis]) for axis in AXES
        }
    if newest and newest["tracks"][0].iteration > largest:
        newest = {}
    names = {file.name for file in _named(newest)}
    workspace.delete(*(workspace.names() - names - {_NEWEST}))
    return newest
