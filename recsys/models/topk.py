"""Rank the whole catalogue by factors: lists for listeners, which search and export share."""

from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix, eye_array

from looplib.arrays import BoolArray, Float32Array, FloatArray, Int32Array, IntArray
from recsys.dataset.dataset import Dataset
from recsys.dataset.layout import SplitName
from recsys.models.als import Fit

NO_TRACK = -1
Pool = Literal["all", "heard", "new"]
"""Which tracks a list is made of: any, those that its listener has heard, or the others."""


def top_tracks(
    user_factors: Float32Array,
    item_factors: Float32Array,
    k: int,
    threads: int,
    seen: csr_matrix | None = None,
) -> tuple[Int32Array, FloatArray]:
    """Find the k tracks with the largest inner product with each listener's factors.

    Of `seen`, shape (listeners, tracks), what a listener has a value for is left out.

    Returns:
        Tracks, best first, `NO_TRACK` where `seen` leaves fewer, and products; both of shape
            (listeners, min(k, tracks)).
    """
    from recsys.models.kernels.ranking import rank_tracks

    k = min(k, len(item_factors))
    return rank_tracks(user_factors, item_factors, k, threads, seen)


def similar_tracks(
    item_factors: Float32Array,
    tracks: IntArray,
    k: int,
    threads: int,
) -> tuple[Int32Array, FloatArray]:
    """Find the k other tracks with the largest cosine with each of some tracks, as `top_tracks`."""
    lengths = np.linalg.norm(item_factors, axis=1, keepdims=True)
    unit = item_factors / np.maximum(lengths, np.finfo(np.float32).tiny)
    itself = csr_matrix(eye_array(len(unit), format="csr"))[tracks]
    return top_tracks(unit[tracks], unit, k, threads, itself)


def personal_lists(
    model: Fit,
    dataset: Dataset,
    side: SplitName,
    k: int,
    threads: int,
    pool: Pool = "all",
) -> Int32Array:
    """Recommend the k best tracks to each listener, and to those who heard none the popular ones.

    The pool says whether they are of all tracks, of those heard or of the others.

    Returns:
        Columns, best first, shape (listeners, ≤ k); `NO_TRACK` where the pool has fewer.
    """
    if pool == "heard":
        return _rank_heard(model, dataset, side, k)
    heard = dataset.matrix(side)
    has_heard = np.diff(heard.indptr) > 0
    popular = dataset.most_popular(side, k)
    lists = np.tile(popular, (len(has_heard), 1))
    seen = heard[has_heard] if pool == "new" else None
    users = model.user_factors[has_heard]
    lists[has_heard], _ = top_tracks(users, model.item_factors, k, threads, seen)
    return lists


def _rank_heard(
    model: Fit,
    dataset: Dataset,
    side: SplitName,
    k: int,
) -> Int32Array:
    heard = dataset.matrix(side)
    lists = np.full((len(dataset.users), k), NO_TRACK, np.int32)
    for row, (start, end) in enumerate(pairwise(heard.indptr)):
        tracks = heard.indices[start:end]
        scores = model.item_factors[tracks] @ model.user_factors[row]
        best = tracks[np.lexsort((tracks, -scores))[:k]]
        lists[row, : len(best)] = best
    return lists


def popular_lists(
    dataset: Dataset,
    side: SplitName,
    k: int,
    threads: int,
    pool: Pool,
) -> Int32Array:
    """Recommend the tracks with the most listening time to all listeners."""
    tracks = len(dataset.tracks)
    score = np.empty((tracks, 1), np.float32)
    score[dataset.most_popular(side, tracks), 0] = np.arange(tracks, 0, -1)
    fit = Fit(0, np.ones((len(dataset.users), 1), np.float32), score)
    return personal_lists(fit, dataset, side, k, threads, pool)


def keep_some(lists: Int32Array, is_kept: BoolArray) -> Int32Array:
    """Leave out some tracks of lists; `NO_TRACK` fills their ends."""
    kept = np.where(is_kept, lists, np.int32(NO_TRACK))
    order = np.argsort(kept == NO_TRACK, axis=1, kind="stable")
    return np.take_along_axis(kept, order, axis=1)


def fill_up(lists: Int32Array, others: Int32Array) -> Int32Array:
    """Put other tracks at the end of short lists, each once; both of shape (listeners, k)."""
    is_short = (lists == NO_TRACK).any(axis=1)
    short = lists[is_short]
    more = others[is_short]
    is_there = (more[:, :, np.newaxis] == short[:, np.newaxis, :]).any(axis=2)
    both = np.concatenate([short, np.where(is_there, NO_TRACK, more)], axis=1)
    filled = lists.copy()
    filled[is_short] = keep_some(both, both != NO_TRACK)[:, : lists.shape[1]]
    return filled
