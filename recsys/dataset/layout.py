"""Name the files of a dataset, and map its arrays."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import AnyArray, AnyIntArray, Float32Array, IntArray, offsets
from looplib.platform import reserve_space

SCHEMA = 7
SUMMARY = "dataset.json"
USERS = "users.npy"
TRACKS = "tracks.npy"
GROUPS, WIDTHS, POINTS, DIMENSIONS = (
    f"{name}.npy" for name in ("groups", "widths", "points", "dimensions")
)  # `Features`
LATEST = "latest-{}.npy"  # each listener's latest moment in a split
PLAYS_INDPTR = "plays-indptr.npy"
PLAYS_TRACKS = "plays-tracks.npy"
PLAYS_HELDOUT = "plays-heldout.npy"
BY_TRACK = "{}-by-track"  # names the files of a split's matrix by track
CSR = ("values", "indices", "indptr")  # the files of a matrix

# Training sessions are not held out.
SplitName = Literal["training", "all"]
SPLITS: tuple[SplitName, SplitName] = ("training", "all")

# The folder of a run in which its workers leave tables `<piece>-<partition>.arrow`.
PIECES = "pieces"
Piece = Literal["interactions", "plays", "heldout", "users"]


def new_array(
    file: Path,
    dtype: type[np.generic],
    shape: tuple[int, ...],
) -> "np.memmap[Any, np.dtype[Any]]":
    """Create an array file, mapped for writing, with its space on the disk reserved.

    Raises:
        OSError: The disk is full; without the reservation, writing to the map would kill the
            process instead.
    """
    mapped = np.lib.format.open_memmap(file, mode="w+", dtype=dtype, shape=shape)
    with file.open("r+b") as handle:
        reserve_space(handle.fileno(), file.stat().st_size)
    return mapped


def save_array(file: Path, array: AnyArray) -> None:
    """Write an array to a file.

    Raises:
        OSError: The disk is full.
    """
    new_array(file, array.dtype.type, array.shape)[:] = array


def new_matrix(
    folder: Path,
    name: str,
    counts: IntArray,
) -> tuple[IntArray, AnyIntArray, Float32Array]:
    """Create the files of a CSR matrix with `counts` values in each row, shape (rows,).

    Returns:
        Its indptr, and its indices and values, to be filled.
    """
    indptr = offsets(counts)
    size = int(indptr[-1])
    save_array(folder / f"{name}-indptr.npy", indptr)
    indices = new_array(folder / f"{name}-indices.npy", np.int32, (size,))
    values = new_array(folder / f"{name}-values.npy", np.float32, (size,))
    return indptr, indices, values


def load_matrix(
    folder: Path,
    name: str,
    columns: int,
    first: int = 0,
    last: int | None = None,
) -> csr_matrix:
    """Map rows of a matrix from its files, copied on write: solvers refuse read-only memory."""
    values, indices, indptr = (
        np.load(folder / f"{name}-{array}.npy", mmap_mode="c") for array in CSR
    )
    ends = indptr[first:] if last is None else indptr[first : last + 1]
    part = slice(ends[0], ends[-1])
    arrays = (values[part], indices[part], ends - ends[0])
    return csr_matrix(arrays, shape=(len(ends) - 1, columns), copy=False)
