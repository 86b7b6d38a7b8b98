"""One fit in blocks of rows: what runs on a worker for each block of listeners, and of tracks.

Plain functions, paths in. A block holds the equations of its own rows alone; the factors of the other side are mapped
from their file, so the processes of a machine share one copy, and the Gram matrix follows from them. Writing a block
again, after its worker died, writes the same bytes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from threadpoolctl import threadpool_limits

from looplib.arrays import Float32Array, Int32Array
from looplib.files import atomic_directory, atomic_write
from recsys.dataset.dataset import Side, open_dataset
from recsys.models.normal_equations import make_equations
from recsys.models.params import AlsParams
from recsys.workspace import Workspace, open_workspace

SCANNED_AT_ONCE = 4_000_000  # interactions, while tracks are gathered
Of = Literal["listeners", "tracks"]
_ARRAYS = ("values", "indices", "indptr")


@dataclass(frozen=True)
class Block:
    """Consecutive rows of one side: listeners `first` to `last - 1`, or such tracks.

    Attributes:
        of: Which side.
        first: Its first row.
        last: The row after its last.
        dataset: The dataset's address.
        side: Which interactions of it.
        folder: Address of the folder where `gather_tracks` leaves the interactions of tracks.
    """

    of: Of
    first: int
    last: int
    dataset: str
    side: Side
    folder: str

    @property
    def gathered(self) -> Workspace:
        """The interactions of a block of tracks, by track."""
        return open_workspace(self.folder).sub(f"{self.side}-tracks-{self.first}-{self.last}")

    def load(self) -> tuple[csr_matrix, csr_matrix | None]:
        """Listening times, and skips where they are known; shape (rows, others), mapped from disk."""
        if self.of == "listeners":
            dataset = open_dataset(self.dataset)
            skipped = dataset.skips(self.side)
            return self._rows(dataset.matrix(self.side)), None if skipped is None else self._rows(skipped)
        self.gathered.download_all()
        skips = self.gathered.folder / "skips-indptr.npy"
        return self._mapped("heard"), self._mapped("skips") if skips.exists() else None

    def _rows(self, matrix: csr_matrix) -> csr_matrix:
        """A slice that shares the matrix's memory, so that no page of other rows is touched."""
        start, end = matrix.indptr[self.first], matrix.indptr[self.last]
        indptr = matrix.indptr[self.first : self.last + 1] - start
        arrays = (matrix.data[start:end], matrix.indices[start:end], indptr)
        return csr_matrix(arrays, shape=(self.last - self.first, matrix.shape[1]), copy=False)

    def _mapped(self, name: str) -> csr_matrix:
        # Copy on write: the solver refuses read-only memory, and does not write.
        arrays = tuple(np.load(self.gathered.folder / f"{name}-{array}.npy", mmap_mode="c") for array in _ARRAYS)
        listeners = len(open_dataset(self.dataset).users)
        return csr_matrix(arrays, shape=(self.last - self.first, listeners), copy=False)


def gather_tracks(block: Block) -> None:
    """Writes the interactions of a block of tracks by track; a look at all listeners', a part at a time."""
    gathered = block.gathered
    if gathered.download_all():
        return
    dataset = open_dataset(block.dataset)
    with atomic_directory(gathered.folder) as folder:
        for name, matrix in (("heard", dataset.matrix(block.side)), ("skips", dataset.skips(block.side))):
            if matrix is None:
                continue
            columns = _columns(matrix, block.first, block.last)
            for array, values in zip(_ARRAYS, (columns.data, columns.indices, columns.indptr), strict=True):
                np.save(folder / f"{name}-{array}.npy", values)
    gathered.upload_all()


def factors_name(of: Of, sweep: int) -> str:
    """Name of the file of a side's factors after a sweep."""
    return f"{of}-{sweep}.npy"


def rows_name(block: Block, sweep: int) -> str:
    """Name of the file where `solve_block` leaves a block's rows of factors."""
    return f"rows-{block.of}-{block.first}-{block.last}-{sweep}.npy"


def solve_block(block: Block, params: AlsParams, fit: str, sweep: int, threads: int) -> None:
    """Solve the rows of a block and leave them in a file of their own.

    Conjugate gradients begin at the side's factors before the sweep. The other side's are, for listeners, those before
    the sweep too; for tracks, those after it.

    Args:
        block: Which rows.
        params: The hyperparameters.
        fit: Address of the fit's folder.
        sweep: Number of the sweep, from 1.
        threads: Threads of the solver.

    Raises:
        TrialError: The equations of a row have no single solution.
    """
    workspace = open_workspace(fit)
    before = workspace.cached(factors_name(block.of, sweep - 1))
    is_of_listeners = block.of == "listeners"
    others = workspace.cached(
        factors_name("tracks", sweep - 1) if is_of_listeners else factors_name("listeners", sweep)
    )
    _evict_earlier(workspace, sweep)
    heard, skips = block.load()
    rows: Float32Array = np.array(np.load(before, mmap_mode="r")[block.first : block.last])
    # The solver has threads of its own; BLAS threads beside them cost more than they bring.
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
        make_equations(heard, skips, params).solve(rows, np.load(others, mmap_mode="c"), params, threads)
    name = rows_name(block, sweep)
    with atomic_write(workspace.folder / name) as file:
        np.save(file, rows)
    workspace.upload(name)
    workspace.evict(name)


def _evict_earlier(fit: Workspace, sweep: int) -> None:
    """Remove this machine's copies of factors of earlier sweeps and of other fits; fits run one after the other."""
    fit.evict(factors_name("listeners", sweep - 2), factors_name("tracks", sweep - 2))
    if fit.is_remote:
        for file in fit.folder.parent.glob("*/*.npy"):
            if file.parent != fit.folder:
                file.unlink(missing_ok=True)


def _columns(matrix: csr_matrix, first: int, last: int) -> csr_matrix:
    """The columns `first` to `last - 1` as rows, their values by row of the matrix; shape (columns, rows)."""
    parts: list[tuple[Float32Array, Int32Array, Int32Array]] = []
    for start in range(0, matrix.nnz, SCANNED_AT_ONCE):
        columns = matrix.indices[start : start + SCANNED_AT_ONCE]
        chosen = np.flatnonzero((columns >= first) & (columns < last))
        rows = np.searchsorted(matrix.indptr, chosen + start, side="right") - 1
        parts.append((matrix.data[start + chosen], rows.astype(np.int32), columns[chosen] - first))
    nothing = np.empty(0, dtype=np.int32)
    parts.append((np.empty(0, dtype=np.float32), nothing, nothing))
    values, rows, columns = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return csr_matrix(coo_matrix((values, (columns, rows)), shape=(last - first, matrix.shape[0])))
