"""Rank the whole catalogue by factors: lists for listeners, which search and export share."""

from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix, eye_array, vstack

from looplib.arrays import Float32Array, FloatArray, Int32Array, IntArray
from recsys.dataset.dataset import Dataset, Side
from recsys.models.als import Fit, load_ranking
from recsys.models.sparse import rank_rows

NO_TRACK = -1
_LISTENERS = 2**10  # whose tracks are in memory at once
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
    k = min(k, len(item_factors))
    found: tuple[Int32Array, FloatArray] = load_ranking().rank_tracks(
        user_factors, item_factors, k, threads, seen
    )
    return found


def similar_tracks(
    item_factors: Float32Array, tracks: IntArray, k: int, threads: int
) -> tuple[Int32Array, FloatArray]:
    """Find the k other tracks with the largest cosine with each of some tracks, as `top_tracks`."""
    lengths = np.linalg.norm(item_factors, axis=1, keepdims=True)
    unit = item_factors / np.maximum(lengths, np.finfo(np.float32).tiny)
    itself = csr_matrix(eye_array(len(unit), format="csr"))[tracks]
    return top_tracks(unit[tracks], unit, k, threads, itself)


def personal_lists(
    model: Fit,
    dataset: Dataset,
    side: Side,
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
    has_heard = dataset.counts(side) > 0
    lists = np.empty((len(has_heard), min(k, len(dataset.tracks))), np.int32)
    chosen = [(model, has_heard)]
    if not has_heard.all():
        chosen.append((popular_fit(dataset, side), ~has_heard))
    for first, last in dataset.ranges(side):
        matrix = dataset.matrix(side, first, last) if pool == "new" else None
        for fit, is_chosen in chosen:
            own = np.flatnonzero(is_chosen[first:last])
            users = fit.user_factors[first + own]
            seen = None if matrix is None else matrix[own]
            best, _ = top_tracks(users, fit.item_factors, k, threads, seen)
            lists[first + own] = best
    return lists


def _rank_heard(model: Fit, dataset: Dataset, side: Side, k: int) -> Int32Array:
    lists = np.empty((len(dataset.users), k), np.int32)
    for start, end in dataset.ranges(side):
        for first in range(start, end, _LISTENERS):
            last = min(first + _LISTENERS, end)
            heard = csr_matrix(dataset.matrix(side, first, last).maximum(0))
            heard.eliminate_zeros()
            listener = np.repeat(np.arange(first, last), np.diff(heard.indptr))
            users, tracks = (
                model.user_factors[listener],
                model.item_factors[heard.indices],
            )
            heard.data = np.einsum("ij,ij->i", users, tracks)
            lists[first:last] = rank_rows(heard, k)
    return lists


def popular_fit(dataset: Dataset, side: Side) -> Fit:
    """Return factors by which everybody's best tracks are those with the most listening time."""
    tracks = len(dataset.tracks)
    best_first = dataset.most_popular(side, tracks)
    score = np.empty((tracks, 1), np.float32)
    score[best_first, 0] = np.arange(tracks, 0, -1)
    return Fit(0, np.ones((len(dataset.users), 1), np.float32), score)


def heard_tracks(dataset: Dataset, side: Side) -> csr_matrix:
    """Return the listening time of what each listener heard, without what was only skipped.

    Shape (listeners, tracks).
    """
    parts = [dataset.matrix(side, *rows).maximum(0) for rows in dataset.ranges(side)]
    heard = csr_matrix(vstack(parts, "csr"))
    heard.eliminate_zeros()
    return heard


def fill_up(lists: Int32Array, others: Int32Array) -> Int32Array:
    """Put other tracks at the end of short lists, each once; both of shape (listeners, k)."""
    is_short = (lists == NO_TRACK).any(axis=1)
    short, more = lists[is_short], others[is_short]
    is_there = (more[:, :, np.newaxis] == short[:, np.newaxis, :]).any(axis=2)
    both = np.concatenate([short, np.where(is_there, NO_TRACK, more)], axis=1)
    order = np.argsort(both == NO_TRACK, axis=1, kind="stable")[:, : lists.shape[1]]
    filled = lists.copy()
    filled[is_short] = np.take_along_axis(both, order, axis=1)
    return filled
