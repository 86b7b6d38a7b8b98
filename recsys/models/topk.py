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
    """Recommend the k best tracks to each listener, and to those who heard none the popular ones.

    `filter_seen` leaves out what the listener has heard or skipped, and may leave lists short, as
    of `top_tracks`.
    """
    has_heard = dataset.counts(side) > 0
    lists = np.empty((len(has_heard), min(k, len(dataset.tracks))), np.int32)
    chosen = [(model, has_heard)]
    if not has_heard.all():
        chosen.append((popular_fit(dataset, side), ~has_heard))
    for first, last in dataset.ranges(side):
        matrix = dataset.matrix(side, first, last) if filter_seen else None
        for fit, is_chosen in chosen:
            own = np.flatnonzero(is_chosen[first:last])
            users = fit.user_factors[first + own]
            seen = None if matrix is None else matrix[own]
            lists[first + own] = top_tracks(users, fit.item_factors, k, threads, seen)
    return lists


def popular_fit(dataset: Dataset, side: Side) -> Fit:
    """Return factors by which everybody's best tracks are those with the most listening time."""
    tracks = len(dataset.tracks)
    best_first = dataset.most_popular(side, tracks)
    score = np.empty((tracks, 1), np.float32)
    score[best_first, 0] = np.arange(tracks, 0, -1)
    return Fit(0, np.ones((len(dataset.users), 1), np.float32), score)
