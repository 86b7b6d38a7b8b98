"""Solve a block of rows: what runs on a worker for each block of listeners, and of tracks.

Plain functions, paths in. A block holds the equations of its own rows alone; the factors of the other side are mapped
from their file, so the processes of a machine share one copy. A block that is solved again, after its worker died,
writes the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from looplib.arrays import Float32Array
from looplib.files import atomic_directory, atomic_write
from recsys.dataset.dataset import CSR, Side, open_dataset
from recsys.mirror import drop, fetch, fetch_folder, give_folder, hand_over
from recsys.models.normal_equations import make_equations
from recsys.models.params import AlsParams
from recsys.places import Mirrored

Of = Literal["listeners", "tracks"]
SIDES: tuple[Of, Of] = ("listeners", "tracks")


@dataclass(frozen=True)
class Block:
    """Consecutive listeners or tracks of a dataset: `first` to `last - 1`.

    Attributes:
        of: Listeners or tracks.
        first: The first row.
        last: The row after the last.
        dataset: The dataset's folder.
        side: Its interactions that are fitted.
        folder: Where `gather_tracks` leaves the interactions of tracks.
    """

    of: Of
    first: int
    last: int
    dataset: Path
    side: Side
    folder: Path

    @property
    def gathered(self) -> Path:
        """The folder with the interactions of a block of tracks, by track."""
        return self.folder / f"{self.side}-tracks-{self.first}-{self.last}"

    def load(self) -> tuple[csr_matrix, csr_matrix | None]:
        """Map listening times, and skips where they are known, from disk; shape (rows, others)."""
        if self.of == "listeners":
            dataset = open_dataset(self.dataset)
            skipped = dataset.skips(self.side)
            return self._rows(dataset.matrix(self.side)), None if skipped is None else self._rows(skipped)
        fetch_folder(self.gathered)
        skips = self.gathered / "skips-indptr.npy"
        return self._mapped("heard"), self._mapped("skips") if skips.exists() else None

    def _rows(self, matrix: csr_matrix) -> csr_matrix:
        """Slice a matrix and share its memory, so that no page of other rows is touched."""
        start, end = matrix.indptr[self.first], matrix.indptr[self.last]
        indptr = matrix.indptr[self.first : self.last + 1] - start
        arrays = (matrix.data[start:end], matrix.indices[start:end], indptr)
        return csr_matrix(arrays, shape=(self.last - self.first, matrix.shape[1]), copy=False)

    def _mapped(self, name: str) -> csr_matrix:
        # Copy on write: the solver refuses read-only memory, and does not write.
        arrays = tuple(np.load(self.gathered / f"{name}-{array}.npy", mmap_mode="c") for array in CSR)
        listeners = len(open_dataset(self.dataset).users)
        return csr_matrix(arrays, shape=(self.last - self.first, listeners), copy=False)


def gather_tracks(block: Block) -> None:
    """Write the interactions of a block of tracks by track; reads those of all listeners, and holds its own."""
    if fetch_folder(block.gathered):
        return
    drop(block.gathered)
    dataset = open_dataset(block.dataset)
    with atomic_directory(block.gathered) as folder:
        for name, matrix in (("heard", dataset.matrix(block.side)), ("skips", dataset.skips(block.side))):
            if matrix is None:
                continue
            gathered = csr_matrix(matrix[:, block.first : block.last].T)
            for array, values in zip(CSR, (gathered.data, gathered.indices, gathered.indptr), strict=True):
                np.save(folder / f"{name}-{array}.npy", values)
    give_folder(block.gathered)


def rows_file(after: Path, block: Block) -> Path:
    """Return the path of a block's rows of factors at an address, which has no file to write them into."""
    return after.with_name(f"{after.name}-{block.first}-{block.last}.npy")


def solve_block(block: Block, params: AlsParams, before: Path, others: Path, after: Path, threads: int) -> None:
    """Solve the rows of a block.

    Args:
        block: The rows.
        params: Hyperparameters.
        before: File of the side's factors before the sweep, where conjugate gradients begin.
        others: File of the other side's factors.
        after: File of the side's factors after the sweep, into which the rows are written; at an address they get a
            file of their own.
        threads: Threads of the solver.

    Raises:
        TrialError: The equations of a row have no single solution.
    """
    for path in (before, others):
        fetch(path)
    _drop_earlier(before, others)
    heard, skips = block.load()
    rows: Float32Array = np.array(np.load(before, mmap_mode="r")[block.first : block.last])
    # The solver has threads of its own; BLAS threads beside them cost more than they bring.
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        make_equations(heard, skips, params).solve(rows, np.load(others, mmap_mode="c"), params, threads)
    if isinstance(after, Mirrored):
        with atomic_write(rows_file(after, block)) as file:
            np.save(file, rows)
        hand_over(rows_file(after, block))
        return
    # Written, not mapped: another machine need not see what is written to a map.
    start = np.load(after, mmap_mode="r").offset + block.first * rows[0].nbytes
    with after.open("r+b") as file:
        file.seek(start)
        file.write(rows.tobytes())


def _drop_earlier(before: Path, others: Path) -> None:
    """Delete factors of earlier sweeps from a mirror; the search deletes them at the address."""
    if not isinstance(before, Mirrored):
        return
    first = min(_sweep(before), _sweep(others))
    for of in SIDES:
        for file in before.parent.glob(f"{of}-*.npy"):
            if _sweep(file) < first:
                file.unlink(missing_ok=True)


def _sweep(factors: Path) -> int:
    return int(factors.stem.rpartition("-")[2])
