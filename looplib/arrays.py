"""Types of NumPy arrays by the kind of their elements; docstrings say the shapes."""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
AnyFloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]
AnyIntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
ByteArray = npt.NDArray[np.uint8]
UInt32Array = npt.NDArray[np.uint32]
WordArray = npt.NDArray[np.uint64]
AnyArray = npt.NDArray[Any]

NO_TRACK = -1  # stands for a track that is not there, as at the end of short lists


def column_values(column: Any) -> AnyArray:  # noqa: ANN401
    """Convert an Arrow column without gaps to numbers; its `to_numpy` would import pandas."""
    return np.from_dlpack(column.combine_chunks())


def offsets(counts: npt.ArrayLike) -> IntArray:
    """Compute the bounds of consecutive groups from their sizes.

    Returns:
        The position at which each group begins, and the end of the last, shape (groups + 1,).

    Example:
        >>> offsets([2, 0, 3])
        array([0, 2, 2, 5])
    """
    return np.concatenate([[0], np.cumsum(counts)])


def count_up(counts: IntArray) -> IntArray:
    """Count 0, 1, … in each of some consecutive groups, by their sizes.

    Example:
        >>> count_up(np.array([2, 0, 3]))
        array([0, 1, 0, 1, 2])
    """
    starts = counts.cumsum() - counts
    return np.arange(counts.sum()) - np.repeat(starts, counts)
