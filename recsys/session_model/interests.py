"""Group the organic tracks of a listener: each group is one of the listener's interests."""

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from looplib.arrays import AnyIntArray, Float32Array, Int32Array


def group_openings(
    listener: AnyIntArray, organic: AnyIntArray, directions: Float32Array, distance: float
) -> Int32Array:
    """Group each listener's organic tracks by complete linkage: any two of a group are within a cosine distance.

    Args:
        listener: Listener of each opening, ascending, shape (openings,).
        organic: Organic track of each opening, shape (openings,).
        directions: Vectors of length 1, or 0 where nothing is known of the track, shape (tracks, k).
        distance: The largest cosine distance within a group, 0..2.

    Returns:
        The interest of each opening, numbered over all listeners without gaps, shape (openings,).
    """
    interest = np.empty(len(listener), dtype=np.int32)
    starts = np.flatnonzero(np.diff(listener, prepend=-1)).tolist()
    known = 0
    for start, end in zip(starts, [*starts[1:], len(listener)], strict=True):
        groups = _complete_linkage(directions[organic[start:end]], distance)
        interest[start:end] = known + groups
        known += int(groups.max()) + 1
    return interest


def centred_directions(vectors: Float32Array) -> Float32Array:
    """Subtract the mean of vectors and scale each to length 1; 0 stays 0."""
    centred = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    directions: Float32Array = (centred / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return directions


def _complete_linkage(directions: Float32Array, distance: float) -> Int32Array:
    """Number the group of each, from 0."""
    if len(directions) == 1:
        return np.zeros(1, dtype=np.int32)
    upper = np.triu_indices(len(directions), 1)
    distances = np.maximum(1.0 - (directions @ directions.T)[upper].astype(np.float64), 0.0)
    groups: Int32Array = fcluster(linkage(distances, "complete"), distance, "distance") - 1
    return groups
