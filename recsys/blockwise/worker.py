"""Solve a block of rows: what runs on a worker for each block of listeners, and of tracks.

Plain functions, paths in. A block holds the equations of its own rows alone; the factors of the other side are mapped
from their file, so the processes of a machine share one copy. A block that is solved again, after its worker died,
writes the same bytes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from looplib.arrays import Float32Array
from looplib.files import atomic_directory, atomic_write
from recsys.dataset.dataset import CSR, Side, load_matrix, open_dataset
from recsys.models.als import AlsParams
from recsys.models.normal_equations import make_equations
from recsys.workspace import Workspace, open_workspace

Of = Literal["listeners", "tracks"]
SIDES: tuple[Of, Of] = ("listeners", "tracks")


@dataclass(frozen=True)
class Block:
    """Consecutive listeners or tracks of a dataset: `first` to `last - 1`."""

    of: Of
    first: int
    last: int
    dataset: str  # its address
    side: Side  # its interactions that are fitted
    folder: str  # address of the folder where `gather_tracks` leaves the interactions of tracks

    @property
    def gathered(self) -> Workspace:
        """The folder with the interactions of a block of tracks, by track."""
        return open_workspace(self.folder).sub(f"{self.side}-tracks-{self.first}-{self.last}")

    def load(self) -> tuple[csr_matrix, csr_matrix | None]:
        """Map listening times, and skips where they are known, from disk; shape (rows, others)."""
        if self.of == "listeners":
            dataset = open_dataset(self.dataset)
            skipped = dataset.skips(self.side)
            return self._rows(dataset.matrix(self.side)), None if skipped is None else self._rows(skipped)
        self.gathered.download_all()
        folder, shape = self.gathered.folder, (self.last - self.first, len(open_dataset(self.dataset).users))
        has_skips = (folder / "skips-indptr.npy").exists()
        return load_matrix(folder, "heard", shape), load_matrix(folder, "skips", shape) if has_skips else None

    def _rows(self, matrix: csr_matrix) -> csr_matrix:
        """Slice a matrix and share its memory, so that no page of other rows is touched."""
        start, end = matrix.indptr[self.first], matrix.indptr[self.last]
        indptr = matrix.indptr[self.first : self.last + 1] - start
        arrays = (matrix.data[start:end], matrix.indices[start:end], indptr)
        return csr_matrix(arrays, shape=(self.last - self.first, matrix.shape[1]), copy=False)


def gather_tracks(block: Block) -> None:
    """Write the interactions of a block of tracks by track; reads those of all listeners, and holds its own."""
    gathered = block.gathered
    if gathered.download_all():
        return
    dataset = open_dataset(block.dataset)
    with atomic_directory(gathered.folder) as folder:
        for name, matrix in (("heard", dataset.matrix(block.side)), ("skips", dataset.skips(block.side))):
            if matrix is None:
                continue
            columns = csr_matrix(matrix[:, block.first : block.last].T)
            for array, values in zip(CSR, (columns.data, columns.indices, columns.indptr), strict=True):
                np.save(folder / f"{name}-{array}.npy", values)
    gathered.upload_all()


def factors_name(of: Of, sweep: int) -> str:
    """Return the name of the file of a side's factors after a sweep."""
    return f"{of}-{sweep}.npy"


def rows_name(block: Block, sweep: int) -> str:
    """Return the name of the file in which `solve_block` leaves a block's rows of factors."""
    return f"rows-{block.of}-{block.first}-{block.last}-{sweep}.npy"


def solve_block(block: Block, params: AlsParams, fit: str, sweep: int, threads: int) -> None:
    """Solve the rows of a block in a sweep, from 1, of the fit at an address, and leave them in a file of their own.

    Conjugate gradients begin at the side's factors before the sweep. The other side's are, for listeners, those before
    the sweep too; for tracks, those after it.

    Raises:
        TrialError: The equations of a row have no single solution.
    """
    workspace = open_workspace(fit)
    _evict_stale(workspace, sweep)
    before = workspace.cached(factors_name(block.of, sweep - 1))
    of_listeners = block.of == "listeners"
    others = workspace.cached(factors_name("tracks", sweep - 1) if of_listeners else factors_name("listeners", sweep))
    heard, skips = block.load()
    rows: Float32Array = np.array(np.load(before, mmap_mode="r")[block.first : block.last])
    # The solver has threads of its own; BLAS threads beside them cost more than they bring.
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        make_equations(heard, skips, params).solve(rows, np.load(others, mmap_mode="c"), threads)
    name = rows_name(block, sweep)
    with atomic_write(workspace.folder / name) as file:
        np.save(file, rows)
    workspace.upload(name)
    workspace.evict(name)


def _evict_stale(fit: Workspace, sweep: int) -> None:
    """Remove this machine's copies of factors of earlier sweeps and of other fits; fits run one after the other."""
    fit.evict(*(factors_name(of, sweep - 2) for of in SIDES))
    fits = open_workspace(fit.address.rpartition("/")[0])
    files = (file.relative_to(fits.folder) for file in fits.folder.glob("*/*.npy") if file.parent != fit.folder)
    fits.evict(*(file.as_posix() for file in files))
