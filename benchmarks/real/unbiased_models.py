"""Twelve models that score all tracks for all people: what `benchmarks.real.deezer` compares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.real.product import THREADS
from benchmarks.real.tables import SEED
from looplib.als import AlsConfig
from looplib.arrays import BoolArray, FloatArray
from looplib.randomness import make_generator
from recsys.models.item_knn import ItemKnnConfig, weigh
from recsys.models.solver import first_factors, solve
from recsys.models.sparse import nearest

ITERATIONS = 15


@dataclass(frozen=True)
class Log:
    """What is learned from; flags of shape (people, tracks)."""

    is_known: BoolArray
    is_liked: BoolArray  # of what was known

    @property
    def known_by(self) -> FloatArray:
        """How many know each track, shape (tracks,)."""
        return np.asarray(self.is_known.sum(axis=0), np.float64)

    @property
    def liked_by(self) -> FloatArray:
        """How many like each track, shape (tracks,)."""
        return np.asarray(self.is_liked.sum(axis=0), np.float64)


# scores of tracks, of shape (tracks,) for all people alike or (people, tracks)
Scores = Callable[[Log], FloatArray]


def liked_share(log: Log) -> FloatArray:
    """Score by how many of those who knew it liked it, drawn towards the share of all tracks."""
    known, liked = log.known_by, log.liked_by
    mean = liked.sum() / known.sum()
    shares: FloatArray = (liked + 5 * mean) / (known + 5)
    return shares


def at_random(log: Log) -> FloatArray:
    """Score by chance."""
    return make_generator(SEED, "random scores").random(log.is_known.shape)


def item_knn(**params: object) -> Scores:
    """Build a model that scores by closeness to what was liked."""
    config = ItemKnnConfig.model_validate(params)

    def score(log: Log) -> FloatArray:
        liked = csr_matrix(log.is_liked.astype(np.float64))
        by_track = weigh(csr_matrix(liked.T), config)
        by_listener = csr_matrix(by_track.T)
        near = nearest(by_track, by_listener, config.neighbours, THREADS)
        return np.asarray((liked @ near).toarray(), np.float64)

    return score


def als(factors: int, **params: float) -> Scores:
    """Build a model of factors of what was liked."""
    config = AlsConfig.model_validate({"factors": factors, **params})

    def score(log: Log) -> FloatArray:
        liked = csr_matrix(log.is_liked.astype(np.float32))
        users, items = first_factors(liked.shape, factors, SEED)
        by_track = csr_matrix(liked.T)
        for _ in range(ITERATIONS):
            solve(users, [items], liked, config, THREADS)
            solve(items, [users], by_track, config, THREADS)
        return np.asarray(users @ items.T, np.float64)

    return score


MODELS: Mapping[str, Scores] = {
    "popular": lambda log: log.known_by,
    "most liked": lambda log: log.liked_by,
    "liked share": liked_share,
    "random": at_random,
    "item_knn bm25": item_knn(),
    "item_knn cosine": item_knn(weighting="cosine"),
    "item_knn cosine, 20": item_knn(weighting="cosine", neighbours=20),
    "als 8": als(8, regularization=0.1, alpha=1.0),
    "als 32": als(32, regularization=0.1, alpha=1.0),
    "als 8, weight 40": als(8, regularization=1.0, alpha=40.0),
    "als 32, weight 40": als(32, regularization=1.0, alpha=40.0),
    "als 16, unobserved .1": als(
        16, regularization=0.003, alpha=1.0, cg_steps=3, unobserved_weight=0.1, nu=1.0
    ),
}
