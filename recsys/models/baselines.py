"""Make the recommendations that a model must beat."""

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import Int32Array
from recsys.models.topk import NO_TRACK


def random_lists(listeners: int, tracks: int, k: int, generator: np.random.Generator) -> Int32Array:
    """Draw distinct tracks for each listener, every list equally likely; shape (listeners, min(k, tracks)).

    Lists with a repeat are drawn again, which leaves the rest uniform; where repeats are the rule (k near the number
    of tracks), each list is the beginning of a shuffle instead.
    """
    length = min(k, tracks)
    if length * length > tracks:
        rows = (generator.permutation(tracks)[:length] for _ in range(listeners))
        return np.stack(list(rows)).astype(np.int32) if listeners else np.empty((0, length), dtype=np.int32)
    lists = generator.integers(tracks, size=(listeners, length), dtype=np.int32)
    while len(repeated := np.flatnonzero((np.diff(np.sort(lists, axis=1), axis=1) == 0).any(axis=1))):
        lists[repeated] = generator.integers(tracks, size=(len(repeated), length), dtype=np.int32)
    return lists


def unseen(lists: Int32Array, seen: csr_matrix, k: int) -> Int32Array:
    """Remove from lists what their listeners have seen.

    Args:
        lists: Distinct tracks, best first; shape (listeners, any length).
        seen: Shape (listeners, tracks); tracks that a listener has a value for are left out.
        k: Length of the lists that are left.

    Returns:
        Shape (listeners, k); `NO_TRACK` at the end of lists that are too short.
    """
    kept = np.full((len(lists), k), NO_TRACK, dtype=np.int32)
    for row, columns in enumerate(lists):
        own = seen.indices[seen.indptr[row] : seen.indptr[row + 1]]
        first = columns[: k + len(own)]  # at most the own ones of these are left out
        left = first[np.isin(first, own, invert=True)][:k]
        kept[row, : len(left)] = left
    return kept
