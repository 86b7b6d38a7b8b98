"""Types of NumPy arrays, one for each kind of element; docstrings say the shapes."""

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
WordArray = npt.NDArray[np.uint64]
AnyArray = npt.NDArray[Any]
NO_TRACK = -1  # the number of a track that is not there, as at the end of short lists


def column_values(column: Any) -> AnyArray:  # noqa: ANN401
    """Return the numbers of an Arrow column without gaps; its `to_numpy` would import pandas."""
    return np.from_dlpack(column.combine_chunks())


def offsets(counts: AnyArray) -> IntArray:
    """Return where each of some groups of these sizes begins, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(counts)])


def find_id(ids: IntArray, wanted: int) -> int | None:
    """Return the position of an id among ascending ones; None where it is not there."""
    position = int(ids.searchsorted(wanted))
    return position if position < len(ids) and ids[position] == wanted else None
