"""Rank the whole catalogue by factors, and fill lists up with popular tracks."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.sparse import csr_matrix, eye_array

from looplib.arrays import (
    NO_TRACK,
    BoolArray,
    Float32Array,
    FloatArray,
    Int32Array,
    IntArray,
)
from recsys.dataset.interactions import Interactions

Pool = Literal["all", "repeat", "new"]
"""The tracks a list is made of: any, those that its listener has heard, or the others."""


@dataclass(frozen=True)
class Factors:
    """Vectors of listeners and tracks, whose inner products are scores."""

    user_factors: Float32Array  # shape (listeners, factors)
    item_factors: Float32Array  # shape (tracks, factors)

    def rank(
        self,
        k: int,
        threads: int,
        seen: csr_matrix | None = None,
        *,
        only_seen: bool = False,
    ) -> tuple[Int32Array, FloatArray]:
        """Rank tracks by their inner products with each listener's vector.

        Args:
            k: The length of the lists.
            threads: The number of threads.
            seen: Tracks with a value are left out, shape (listeners, tracks).
            only_seen: All other tracks are left out instead.

        Returns:
            Tracks, best first, `NO_TRACK` at the end of short lists, and products; both of shape
                (listeners, min(k, tracks)).
        """
        from recsys.models.kernels.ranking import rank_tracks

        k = min(k, len(self.item_factors))
        arrays = (self.user_factors, self.item_factors)
        return rank_tracks(*arrays, k, threads, seen, only_seen=only_seen)

    def similar(
        self, tracks: IntArray, k: int, threads: int
    ) -> tuple[Int32Array, FloatArray]:
        """Rank the other tracks by their cosine with each of some tracks; see `rank`."""
        lengths = np.linalg.norm(self.item_factors, axis=1, keepdims=True)
        unit = self.item_factors / np.maximum(lengths, np.finfo(np.float32).tiny)
        itself = csr_matrix(eye_array(len(unit), format="csr"))[tracks]
        return Factors(unit[tracks], unit).rank(k, threads, itself)

    def score(self, places: csr_matrix) -> Float32Array:
        """Compute the products at some places, shape (listeners, tracks), in their order."""
        scores = np.empty(places.nnz, np.float32)
        for row, (start, end) in enumerate(pairwise(places.indptr)):
            tracks = self.item_factors[places.indices[start:end]]
            scores[start:end] = tracks @ self.user_factors[row]
        return scores

    def recommend(
        self,
        train: Interactions,
        k: int,
        threads: int,
        pool: Pool = "all",
        listeners: IntArray | None = None,
    ) -> Int32Array:
        """Recommend tracks to listeners; who has heard nothing gets popular tracks.

        Returns:
            Columns, best first, shape (listeners, ≤ k); `NO_TRACK` at the end of short lists.
        """
        user_factors = self.user_factors
        if listeners is not None:
            user_factors = user_factors[listeners]
        train = train.select(listeners)
        has_heard = train.counts > 0
        asked = Factors(user_factors[has_heard], self.item_factors)
        seen = None if pool == "all" else train.matrix[has_heard]
        lists, _ = asked.rank(k, threads, seen, only_seen=pool == "repeat")
        return _add_cold(lists, train, pool)

    def recommend_pools(
        self,
        train: Interactions,
        k: int,
        threads: int,
        listeners: IntArray | None = None,
    ) -> dict[Pool, Int32Array]:
        """Recommend from each pool: the best of all are among the best of the other pools."""
        user_factors = self.user_factors
        if listeners is not None:
            user_factors = user_factors[listeners]
        train = train.select(listeners)
        has_heard = train.counts > 0
        heard = train.matrix[has_heard]
        asked = Factors(user_factors[has_heard], self.item_factors)
        repeat, repeat_scores = asked.rank(k, threads, heard, only_seen=True)
        new, new_scores = asked.rank(k, threads, heard)
        both = np.hstack([repeat, new])
        scores = np.hstack([repeat_scores, new_scores])
        scores[both == NO_TRACK] = -np.inf
        best = np.lexsort((both, -scores))[:, : new.shape[1]]
        ranked: dict[Pool, Int32Array] = {
            "all": np.take_along_axis(both, best, axis=1),
            "repeat": repeat,
            "new": new,
        }
        return {pool: _add_cold(lists, train, pool) for pool, lists in ranked.items()}


def _add_cold(lists: Int32Array, train: Interactions, pool: Pool) -> Int32Array:
    """Add the lists of listeners who have heard nothing: popular tracks, or no repeats."""
    popular = train.by_popularity[: lists.shape[1]]
    cold = np.full_like(popular, NO_TRACK) if pool == "repeat" else popular
    whole = np.tile(cold, (len(train.counts), 1))
    whole[train.counts > 0] = lists
    return whole


def keep_tracks(lists: Int32Array, is_kept: BoolArray) -> Int32Array:
    """Leave out some tracks of lists; `NO_TRACK` fills their ends."""
    left = np.where(is_kept, lists, np.int32(NO_TRACK))
    order = np.argsort(left == NO_TRACK, axis=1, kind="stable")
    return np.take_along_axis(left, order, axis=1)


def fill_up(lists: Int32Array, more: Int32Array) -> Int32Array:
    """Put further tracks at the end of short lists, each once; both of shape (listeners, k)."""
    is_short = (lists == NO_TRACK).any(axis=1)
    short = lists[is_short]
    added = more[is_short]
    is_there = (added[:, :, np.newaxis] == short[:, np.newaxis, :]).any(axis=2)
    both = np.concatenate([short, np.where(is_there, NO_TRACK, added)], axis=1)
    filled = lists.copy()
    filled[is_short] = keep_tracks(both, both != NO_TRACK)[:, : lists.shape[1]]
    return filled
