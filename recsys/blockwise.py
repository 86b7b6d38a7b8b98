"""Fit one model on many workers: every sweep solves blocks of listeners, then blocks of tracks, as calls of a cluster.

Equal to the bit to the same fit in one process (`recsys.models.als`), for any number of workers and blocks. A worker
holds no more than its block of the interactions, beside the factors of the other side; all of them may be more than a
matrix can hold. A block that is solved again, after its worker died, writes the same bytes. The factors are on disk
after every sweep, a file for each block::

    listeners-<sweep>-<first>-<last>.npy, and the same of tracks     float32, shape (last - first, factors)
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, hstack
from threadpoolctl import threadpool_limits

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
Of = Literal["listeners", "tracks"]
SIDES: tuple[Of, Of] = ("listeners", "tracks")
_PART = re.compile(r"(listeners|tracks)-(\d+)-(\d+)-(\d+)\.npy")
# of the two sides; every row is in one block
Blocks = tuple[tuple["Block", ...], tuple["Block", ...]]


class Part(NamedTuple):
    """A file of factors: of the rows `first` to `last - 1` of a side after a sweep."""

    of: Of
    sweep: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """The file's name in the folder of the fit."""
        return f"{self.of}-{self.sweep}-{self.first}-{self.last}.npy"


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

    def part(self, sweep: int) -> Part:
        """Return the file in which `solve_block` leaves its factors."""
        return Part(self.of, sweep, self.first, self.last)

    def load(self) -> tuple[csr_matrix, csr_matrix | None]:
        """Map listening times, and skips where they are known, from disk; shape (rows, others)."""
        dataset, rows = open_dataset(self.dataset), (self.first, self.last)
        if self.of == "listeners":
            return dataset.matrix(self.side, *rows), dataset.skips(self.side, *rows)
        return self.load_turned(len(dataset.users))

    def load_turned(
        self, columns: int, *tracks: int
    ) -> tuple[csr_matrix, csr_matrix | None]:
        """Map the same by track, as `turn` left it: of all tracks, or from a first to a last one."""
        turned = open_workspace(self.folder).sub(self.turned_name)
        turned.download_all()
        has_skips = (turned.folder / "skips-indptr.npy").exists()
        heard = load_matrix(turned.folder, "heard", columns, *tracks)
        return heard, load_matrix(
            turned.folder, "skips", columns, *tracks
        ) if has_skips else None


def cut_blocks(
    cluster: Cluster,
    dataset: Dataset,
    side: Side,
    folder: Workspace,
    blocks: int | None = None,
) -> Blocks:
    """Cut a dataset into blocks of about as many interactions; those of tracks are written to a folder, by workers.

    By default there are as many on each side as the cluster runs calls at once, or a multiple of
    that so that none holds over `LARGEST_BLOCK` interactions.
    """
    of_listener, of_track = dataset.counts(side), dataset.popularity(side)
    at_once = cluster.slots()
    number = blocks or at_once * max(
        1, -(-int(of_track.sum()) // (at_once * LARGEST_BLOCK))
    )

    def cut(of: Of, counts: IntArray) -> tuple[Block, ...]:
        work = np.cumsum(counts + _ROW_WORK)
        cuts = np.searchsorted(work, work[-1] * np.arange(1, number) / number) + 1
        edges = np.unique(np.concatenate(([0], cuts, [len(counts)]))).tolist()
        return tuple(
            Block(of, *ends, dataset.address, side, folder.address)
            for ends in pairwise(edges)
        )

    listeners, tracks = cut("listeners", of_listener), cut("tracks", of_track)
    folder.folder.mkdir(parents=True, exist_ok=True)
    done = f"{side}-{number}.turned"
    if done not in folder.names():
        for calls in (
            [(block,) for block in listeners],
            [(block, listeners) for block in tracks],
        ):
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
        The factors.

    Raises:
        TrialError: A factor is not finite, or a row has no solution.
        SearchError: The scheduler is lost, or there has been no worker for a while.
        OSError: The disk is full.
    """
    parts = _newest(workspace, blocks, sweeps)
    if not parts:
        shape = (blocks[0][-1].last, blocks[1][-1].last)
        for of, factors in zip(
            SIDES, first_factors(shape, params.factors, seed), strict=True
        ):
            parts[of] = (Part(of, 0, 0, len(factors)),)
            _write(workspace, parts[of][0], factors)
    for sweep in range(parts["tracks"][0].sweep + 1, sweeps + 1):
        before = dict(parts)
        for of, other, side in zip(SIDES, reversed(SIDES), blocks, strict=True):
            shared = (
                params,
                workspace.address,
                sweep,
                cluster.threads,
                before[of],
                parts[other],
            )
            for outcome in cluster.run(
                solve_block, [(block, *shared) for block in side]
            ):
                outcome.result()
            parts[of] = tuple(block.part(sweep) for block in side)
        workspace.delete(*(part.name for side in before.values() for part in side))
        if report:
            report(sweep)
    return Fit(sweeps, *(np.concatenate(_load(workspace, parts[of])) for of in SIDES))


def turn(block: Block, listeners: Sequence[Block] = ()) -> None:
    """Write a block's interactions by track: of listeners, from the dataset; of tracks, from what those blocks left."""
    turned = open_workspace(block.folder).sub(block.turned_name)
    if turned.download_all():
        return
    if block.of == "listeners":
        parts = [None if rows is None else csr_matrix(rows.T) for rows in block.load()]
    else:
        pieces = zip(
            *(
                of.load_turned(of.last - of.first, block.first, block.last)
                for of in listeners
            ),
            strict=True,
        )
        parts = [
            None if piece[0] is None else csr_matrix(hstack(piece, format="csr"))
            for piece in pieces
        ]
    with atomic_directory(turned.folder) as folder:
        for name, matrix in zip(("heard", "skips"), parts, strict=True):
            if matrix is None:
                continue
            for array, values in zip(
                CSR, (matrix.data, matrix.indices, matrix.indptr), strict=True
            ):
                np.save(folder / f"{name}-{array}.npy", values)
    turned.upload_all()


def solve_block(
    block: Block,
    params: AlsParams,
    fit: str,
    sweep: int,
    threads: int,
    before: Sequence[Part],
    others: Sequence[Part],
) -> None:
    """Solve the rows of a block in a sweep, from 1, of the fit at an address, and leave them in a file of their own.

    Args:
        block: What is solved.
        params: The hyperparameters.
        fit: Address of the fit.
        sweep: The number of the sweep.
        threads: How many the solver uses.
        before: The side's factors after the sweep before, where conjugate gradients begin.
        others: The other side's newest factors: for listeners, those after the sweep before, for
            tracks, of this one.

    Raises:
        TrialError: The equations of a row have no single solution, or a factor is not finite.
    """
    workspace = open_workspace(fit)
    _evict_stale(workspace, sweep)
    heard, skips = block.load()
    rows: Float32Array = np.concatenate(
        _load(workspace, before, block.first, block.last)
    )
    # The solver has threads of its own; BLAS threads beside them cost more than they bring.
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        make_equations(heard, skips, params).solve(
            rows, _load(workspace, others), threads
        )
    check_finite(sweep, rows)
    _write(workspace, block.part(sweep), rows)


def _write(workspace: Workspace, part: Part, factors: Float32Array) -> None:
    with workspace.write(part.name) as file:
        np.save(file, factors)


def _load(
    workspace: Workspace, parts: Sequence[Part], first: int = 0, last: int | None = None
) -> list[Float32Array]:
    """Map the factors of all rows, or from a first to a last one, from their files."""
    last = parts[-1].last if last is None else last
    return [
        np.load(workspace.cached(part.name), mmap_mode="c")[
            max(first - part.first, 0) : last - part.first
        ]
        for part in parts
        if part.first < last and first < part.last
    ]


def _newest(
    workspace: Workspace, blocks: Blocks, largest: int
) -> dict[Of, tuple[Part, ...]]:
    """Find the files of the last sweep, up to the largest allowed, that has every row, and remove all others.

    Those of a sweep that was interrupted may be of blocks that were cut differently.
    """
    names = {
        name: match.groups()
        for name in workspace.names()
        if (match := _PART.fullmatch(name))
    }
    known = [Part(of, *map(int, numbers)) for of, *numbers in names.values()]  # type: ignore[arg-type]
    newest: dict[Of, tuple[Part, ...]] = {}
    for sweep in sorted(
        {part.sweep for part in known if part.sweep <= largest}, reverse=True
    ):
        sides = {
            of: tuple(
                sorted(part for part in known if (part.of, part.sweep) == (of, sweep))
            )
            for of in SIDES
        }
        if all(
            _is_whole(sides[of], side[-1].last)
            for of, side in zip(SIDES, blocks, strict=True)
        ):
            newest = sides
            break
    kept = {part.name for side in newest.values() for part in side}
    workspace.delete(*(names.keys() - kept))
    return newest


def _is_whole(parts: Sequence[Part], rows: int) -> bool:
    return [part.first for part in parts] + [rows] == [0] + [
        part.last for part in parts
    ]


def _evict_stale(fit: Workspace, sweep: int) -> None:
    """Remove this machine's copies of factors of earlier sweeps and of other fits; fits run one after the other."""
    fits = open_workspace(fit.address.rpartition("/")[0])
    for file in fits.folder.glob("*/*.npy") if fit.is_remote else ():
        match = _PART.fullmatch(file.name)
        if file.parent != fit.folder or (match and int(match[2]) < sweep - 1):
            fits.evict(file.relative_to(fits.folder).as_posix())
