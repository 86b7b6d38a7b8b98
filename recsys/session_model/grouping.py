"""Group the organic tracks of a listener into interests."""

from itertools import pairwise

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from looplib.arrays import AnyIntArray, Float32Array, Int32Array


def group_openings(
    listener: AnyIntArray, organic: AnyIntArray, vectors: Float32Array, distance: float
) -> Int32Array:
    """Group each listener's organic tracks by complete linkage, within a cosine distance.

    Args:
        listener: Listener of each opening, ascending, shape (openings,).
        organic: Organic track of each opening, shape (openings,).
        vectors: Of each track, shape (tracks, k); their mean is taken from each.
        distance: The largest cosine distance within a group, 0..2.

    Returns:
        The interest of each opening, numbered over all listeners without gaps, shape (openings,).
    """
    centred = vectors - vectors.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    directions = centred / np.where(lengths > 0, lengths, 1)
    interest = np.empty(len(listener), dtype=np.int32)
    starts = np.flatnonzero(np.diff(listener, prepend=-1))
    known = 0
    for start, end in pairwise([*starts.tolist(), len(listener)]):
        own = directions[organic[start:end]]
        groups = np.zeros(1, dtype=np.int32)
        if len(own) > 1:
            upper = np.triu_indices(len(own), 1)
            cosines = (own @ own.T)[upper]
            distances = 1.0 - cosines.astype(np.float64)
            tree = linkage(np.maximum(distances, 0.0), "complete")
            groups = fcluster(tree, distance, "distance") - 1
        interest[start:end] = known + groups
        known += int(groups.max()) + 1
    return interest
