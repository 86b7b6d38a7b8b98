"""Nearest neighbours of tracks: recommend tracks near to the tracks heard."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from scipy.sparse import csr_matrix

from looplib.config import Config, Count, Positive, Share
from recsys.dataset.dataset import Summary
from recsys.dataset.interactions import Interactions
from recsys.models.similarity import SimilarityModel
from recsys.models.sparse import divide_rows, nearest

_WEIGHTED, _NEIGHBOUR = 60, 24  # bytes of an interaction and of a neighbour


class ItemKnnConfig(Config):
    """The hyperparameters of `ItemKnn`."""

    neighbours: Count = 200
    """nearest tracks kept of each"""
    weighting: Literal["bm25", "cosine"] = "bm25"
    """how interactions are weighted before tracks are compared"""
    k1: Positive = 1.2
    """bm25: how soon a large weight counts no more"""
    b: Share = 0.75
    """bm25: how much the plays of popular tracks count less"""


class ItemKnn(SimilarityModel):
    """Keep the nearest tracks of each, by the product of their weighted columns of interactions.

    Weights: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009,
    with a track as the document and a listener as the term; or the listening times, for the cosine.

    >>> train = Interactions(csr_matrix(np.float32([[3, 1, 0, 0], [2, 0, 5, 0], [0, 1, 0, 0]])))
    >>> model = ItemKnn(weighting="cosine").fit(train, seed=1, threads=1)
    >>> model.recommend(2, "new")
    array([[2, 3],
           [1, 3],
           [0, 2]], dtype=int32)
    """

    name = "item_knn"
    main_params: ClassVar = ("neighbours", "weighting")
    config: ItemKnnConfig

    @classmethod
    def estimate_bytes(cls, config: Any, summary: Summary) -> int:  # noqa: ANN401  of its class
        """Estimate the memory: weighted interactions, and the neighbours of each track."""
        weighted = _WEIGHTED * summary.interactions
        neighbours: int = _NEIGHBOUR * config.neighbours * summary.tracks
        return super().estimate_bytes(config, summary) + weighted + neighbours

    def fit(self, train: Interactions, *, seed: int, threads: int) -> Self:
        """Compare all tracks; see `Model.fit`."""
        by_track = weigh_plays(train.by_track, self.config)
        by_listener = csr_matrix(by_track.T)
        k = self.config.neighbours
        self.similarity = nearest(by_track, by_listener, k, threads)
        return super().fit(train, seed=seed, threads=threads)


def weigh_plays(by_track: csr_matrix, config: ItemKnnConfig) -> csr_matrix:
    """Weigh interactions, shape (tracks, listeners), for the comparison of tracks."""
    tracks, listeners = by_track.shape
    times = by_track.data.astype(np.float64)
    track = by_track.tocoo(copy=False).row
    if config.weighting == "cosine":
        norms = np.sqrt(np.bincount(track, times**2, minlength=tracks))
        return divide_rows(by_track, norms)
    heard = np.bincount(by_track.indices, minlength=listeners)
    rarity = (np.log(tracks) - np.log1p(heard))[by_track.indices]
    total = np.bincount(track, times, minlength=tracks)
    length = 1 - config.b + config.b * total / total.mean()
    k1 = config.k1
    times = times * (k1 + 1) / (k1 * length[track] + times) * rarity
    return csr_matrix((times, by_track.indices, by_track.indptr), by_track.shape)
