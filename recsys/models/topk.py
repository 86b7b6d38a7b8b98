"""Rank the whole catalogue by factors: lists for listeners, which search and export share."""

from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import Float32Array, Int32Array
from recsys.dataset.dataset import Dataset, Side
from recsys.models.als import Fit, load_kernels
from recsys.models.sparse import rank_rows

NO_TRACK = -1
_PRODUCTS = 2**20  # that are computed at once
Pool = Literal["all", "heard", "new"]
"""Which tracks a list is made of: any, those that its listener has heard, or the others."""


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
    pool: Pool = "all",
) -> Int32Array:
    """Recommend the k best tracks to each listener; of those heard or of the others, if asked for.

    Without an interaction, those with the most listening time.

    Returns:
        Columns, best first, shape (listeners, ≤ k); `NO_TRACK` where the pool has fewer.
    """
    if pool == "heard":
        heard = heard_tracks(dataset, side)
        listener = np.repeat(np.arange(heard.shape[0]), np.diff(heard.indptr))
        factors = model.user_factors, model.item_factors
        for first in range(0, heard.nnz, _PRODUCTS):
            part = slice(first, first + _PRODUCTS)
            rows = factors[0][listener[part]], factors[1][heard.indices[part]]
            heard.data[part] = np.einsum("ij,ij->i", *rows)
        return rank_rows(heard, k)
    counts = dataset.counts(side)
    lists = np.empty((len(counts), min(k, len(dataset.tracks))), np.int32)
    for first, last in dataset.ranges(side):
        known = first + np.flatnonzero(counts[first:last])
        seen = None
        if pool == "new":
            seen = dataset.matrix(side, first, last)[known - first]
        lists[known] = top_tracks(
            model.user_factors[known], model.item_factors, k, threads, seen
        )
    if not counts.all():
        lists[counts == 0] = dataset.most_popular(side, k)
    return lists


def heard_tracks(dataset: Dataset, side: Side) -> csr_matrix:
    """Return the listening time of what each listener heard, without what was only skipped.

    Shape (listeners, tracks).
    """
    heard = csr_matrix(dataset.matrix(side).maximum(0))
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
