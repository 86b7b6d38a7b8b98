"""Recommendations that a model must beat."""

import numpy as np

from recsys.models.ranking import Columns


def random_lists(listeners: int, tracks: int, k: int, generator: np.random.Generator) -> Columns:
    """min(k, tracks) distinct tracks for each listener, every list equally likely; shape (listeners, min(k, tracks)).

    Lists with a repeat are drawn again, which leaves the rest uniform; where repeats are the rule (k near the number
    of tracks), each list is a shuffle's beginning instead.
    """
    length = min(k, tracks)
    if length * length > tracks:
        rows = (generator.permutation(tracks)[:length] for _ in range(listeners))
        return np.stack(list(rows)).astype(np.int32) if listeners else np.empty((0, length), dtype=np.int32)
    lists = generator.integers(tracks, size=(listeners, length), dtype=np.int32)
    while len(repeated := np.flatnonzero((np.diff(np.sort(lists, axis=1), axis=1) == 0).any(axis=1))):
        lists[repeated] = generator.integers(tracks, size=(len(repeated), length), dtype=np.int32)
    return lists
