"""Rank the whole catalogue by factors: lists for listeners, which search and export share."""

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import Float32Array, Int32Array
from recsys.dataset.dataset import Dataset, Side
from recsys.models.als import Fit, load_kernels

NO_TRACK = -1


def top_tracks(
    user_factors: Float32Array,
    item_factors: Float32Array,
    k: int,
    threads: int,
    seen: csr_matrix | None = None,
) -> Int32Array:
    """Find the k tracks with the largest inner product with each listener's factors.

    Of `seen`, shape (listeners, tracks), what a listener has a value for is left out.

    Returns:
        Tracks, best first, shape (listeners, min(k, tracks)); `NO_TRACK` where `seen` leaves fewer.
    """
    k = min(k, len(item_factors))
    load_kernels()
    from recsys.models.rank_kernels import rank_tracks

    return rank_tracks(user_factors, item_factors, k, threads, seen)


def personal_lists(
    model: Fit,
    dataset: Dataset,
    side: Side,
    k: int,
    threads: int,
    filter_seen: bool = False,
) -> Int32Array:
    """Recommend the k best tracks to each listener.

    Without an interaction, those with the most listening time.

    `filter_seen` leaves out what the listener has heard or skipped, and may leave lists short, as
    of `top_tracks`.
    """
    counts = dataset.counts(side)
    lists = np.empty((len(counts), min(k, len(dataset.tracks))), np.int32)
    for first, last in dataset.ranges(side):
        known = first + np.flatnonzero(counts[first:last])
        seen = None
        if filter_seen:
            seen = dataset.matrix(side, first, last)[known - first]
        lists[known] = top_tracks(
            model.user_factors[known], model.item_factors, k, threads, seen
        )
    if not counts.all():
        lists[counts == 0] = dataset.most_popular(side, k)
    return lists
