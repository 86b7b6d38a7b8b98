"""Fit one model on many workers: every sweep solves blocks of listeners, then blocks of tracks, as calls of a cluster.

Equal to the bit to the same fit in one process (`recsys.models.als`), for any number of workers and blocks. A worker
holds no more than its block of the interactions, and maps the factors of the other side from their file; all of them
may be more than a matrix can hold. A block that is solved again, after its worker died, writes the same bytes. The
factors are on disk after every sweep::

    listeners-<sweep>.npy, tracks-<sweep>.npy     float32, shape (rows, factors)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix, hstack
from threadpoolctl import threadpool_limits

from looplib.arrays import Float32Array, IntArray
from looplib.files import TEMPORARY_PREFIX, atomic_directory, fsync
from recsys.cluster.cluster import Cluster
from recsys.cluster.retry import Outcome
from recsys.dataset.dataset import CSR, Dataset, Side, load_matrix, new_array, open_dataset
from recsys.models.als import AlsParams, Fit, check_finite, first_factors, make_equations
from recsys.workspace import Workspace, open_workspace

# So many interactions take about 130 MB, and their confidences another half of that.
LARGEST_BLOCK = 16_000_000
_ROW_WORK = 32  # what a row costs beside its interactions, in interactions
Of = Literal["listeners", "tracks"]
SIDES: tuple[Of, Of] = ("listeners", "tracks")
Blocks = tuple[tuple["Block", ...], tuple["Block", ...]]  # of the two sides; every row is in one block


@dataclass(frozen=True)
class Block:
    """Consecutive listeners or tracks of a dataset: `first` to `last - 1`."""

    of: Of
    first: int
    last: int
    dataset: str  # its address
    side: Side  # its interactions that are fitted
    folder: str  # address of the folder where `turn` leaves its interactions

    @property
    def turned_name(self) -> str:
        """Name the folder with its interactions by track."""
        return f"{self.side}-{self.of}-{self.first}-{self.last}"

    def rows_name(self, sweep: int) -> str:
        """Return the name of the file in which `solve_block` leaves the block's rows of factors."""
        return f"rows-{self.of}-{self.first}-{self.last}-{sweep}.npy"

    def load(self) -> tuple[csr_matrix, csr_matrix | None]:
        """Map listening times, and skips where they are known, from disk; shape (rows, others)."""
        dataset, rows = open_dataset(self.dataset), (self.first, self.last)
        if self.of == "listeners":
            return dataset.matrix(self.side, *rows), dataset.skips(self.side, *rows)
        return self.load_turned(len(dataset.users))

    def load_turned(self, columns: int, *tracks: int) -> tuple[csr_matrix, csr_matrix | None]:
        """Map the same by track, as `turn` left it, of all tracks or of those from a first to a last."""
        turned = open_workspace(self.folder).sub(self.turned_name)
        turned.download_all()
        has_skips = (turned.folder / "skips-indptr.npy").exists()
        heard = load_matrix(turned.folder, "heard", columns, *tracks)
        return heard, load_matrix(turned.folder, "skips", columns, *tracks) if has_skips else None


def cut_blocks(cluster: Cluster, dataset: Dataset, side: Side, folder: Workspace, blocks: int | None = None) -> Blocks:
    """Cut a dataset into blocks of about as many interactions; workers gather those of the tracks in a folder.

    By default there are as many on each side as the cluster runs calls at once, or a multiple of that so that none
    holds over `LARGEST_BLOCK` interactions.
    """
    of_listener, of_track = dataset.counts(side), dataset.popularity(side)
    at_once = cluster.slots()
    number = blocks or at_once * max(1, -(-int(of_track.sum()) // (at_once * LARGEST_BLOCK)))

    def cut(of: Of, counts: IntArray) -> tuple[Block, ...]:
        work = np.cumsum(counts + _ROW_WORK)
        cuts = np.searchsorted(work, work[-1] * np.arange(1, number) / number) + 1
        edges = np.unique(np.concatenate(([0], cuts, [len(counts)]))).tolist()
        return tuple(Block(of, *ends, dataset.address, side, folder.address) for ends in pairwise(edges))

    listeners, tracks = cut("listeners", of_listener), cut("tracks", of_track)
    folder.folder.mkdir(parents=True, exist_ok=True)
    done = f"{side}-{len(tracks)}.turned"
    if done not in folder.names():
        for calls in ([(block,) for block in listeners], [(block, listeners) for block in tracks]):
            for outcome in cluster.run(turn, calls):
                outcome.result()
        with folder.write(done):
            folder.delete(*(block.turned_name for block in listeners))
    return listeners, tracks


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
        done, shape = 0, (blocks[0][-1].last, blocks[1][-1].last)
        for of, factors in zip(SIDES, first_factors(shape, params.factors, seed), strict=True):
            _write(workspace, _name(of, 0), factors)
    for sweep in range(done + 1, sweeps + 1):
        for side in blocks:
            calls = [(block, params, workspace.address, sweep, cluster.threads) for block in side]
            _join_rows(workspace, side, params.factors, sweep, cluster.run(solve_block, calls))
        check_finite(_load(workspace, sweep))
        workspace.delete(*(_name(of, sweep - 1) for of in SIDES))
        if report:
            report(sweep)
    return _load(workspace, sweeps)


def turn(block: Block, listeners: Sequence[Block] = ()) -> None:
    """Write a block's interactions by track: a block of listeners' its own, one of tracks what all of those left."""
    turned = open_workspace(block.folder).sub(block.turned_name)
    if turned.download_all():
        return
    if block.of == "listeners":
        parts = [None if rows is None else csr_matrix(rows.T) for rows in block.load()]
    else:
        pieces = zip(*(of.load_turned(of.last - of.first, block.first, block.last) for of in listeners), strict=True)
        parts = [None if piece[0] is None else csr_matrix(hstack(piece, format="csr")) for piece in pieces]
    with atomic_directory(turned.folder) as folder:
        for name, matrix in zip(("heard", "skips"), parts, strict=True):
            if matrix is None:
                continue
            for array, values in zip(CSR, (matrix.data, matrix.indices, matrix.indptr), strict=True):
                np.save(folder / f"{name}-{array}.npy", values)
    turned.upload_all()


def solve_block(block: Block, params: AlsParams, fit: str, sweep: int, threads: int) -> None:
    """Solve the rows of a block in a sweep, from 1, of the fit at an address, and leave them in a file of their own.

    Conjugate gradients begin at the side's factors before the sweep. The other side's are, for listeners, those before
    the sweep too; for tracks, those after it.

    Raises:
        TrialError: The equations of a row have no single solution.
    """
    workspace = open_workspace(fit)
    _evict_stale(workspace, sweep)
    before = workspace.cached(_name(block.of, sweep - 1))
    others = workspace.cached(_name("tracks", sweep - 1) if block.of == "listeners" else _name("listeners", sweep))
    heard, skips = block.load()
    rows: Float32Array = np.array(np.load(before, mmap_mode="r")[block.first : block.last])
    # The solver has threads of its own; BLAS threads beside them cost more than they bring.
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        make_equations(heard, skips, params).solve(rows, np.load(others, mmap_mode="c"), threads)
    name = block.rows_name(sweep)
    _write(workspace, name, rows)
    workspace.evict(name)


def _name(of: Of, sweep: int) -> str:
    """Name the file of a side's factors after a sweep."""
    return f"{of}-{sweep}.npy"


def _write(workspace: Workspace, name: str, factors: Float32Array) -> None:
    with workspace.write(name) as file:
        np.save(file, factors)


def _load(workspace: Workspace, sweep: int) -> Fit:
    return Fit(sweep, *(np.load(workspace.cached(_name(of, sweep)), mmap_mode="c") for of in SIDES))


def _join_rows(
    workspace: Workspace, side: Sequence[Block], factors: int, sweep: int, outcomes: Iterable[Outcome[None]]
) -> None:
    """Write one side's factors; their file appears when all of its blocks are solved."""
    folder, name = workspace.folder, _name(side[0].of, sweep)
    unfinished = folder / f"{TEMPORARY_PREFIX}{name}"
    new_array(unfinished, np.float32, (side[-1].last, factors))
    for outcome in outcomes:
        outcome.result()
        block = side[outcome.key]
        rows = block.rows_name(sweep)
        workspace.download(rows)
        np.load(unfinished, mmap_mode="r+")[block.first : block.last] = np.load(folder / rows)
        workspace.delete(rows)
    fsync(unfinished)
    unfinished.replace(folder / name)
    fsync(folder)
    workspace.upload(name)


def _last_sweep(workspace: Workspace, largest: int) -> int | None:
    """Find the last sweep, up to the largest allowed, of which both sides are there."""
    names = workspace.names()
    return next((n for n in range(largest, -1, -1) if all(_name(of, n) in names for of in SIDES)), None)


def _evict_stale(fit: Workspace, sweep: int) -> None:
    """Remove this machine's copies of factors of earlier sweeps and of other fits; fits run one after the other."""
    fit.evict(*(_name(of, sweep - 2) for of in SIDES))
    fits = open_workspace(fit.address.rpartition("/")[0])
    files = (file.relative_to(fits.folder) for file in fits.folder.glob("*/*.npy") if file.parent != fit.folder)
    fits.evict(*(file.as_posix() for file in files))
