"""Twelve models that score all tracks for all people: what `benchmarks.real.deezer` compares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.real.product import Choice
from benchmarks.real.tables import SEED
from looplib.arrays import BoolArray, FloatArray
from looplib.randomness import make_generator
from recsys.dataset.interactions import Interactions

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


def fitted(kind: str, **params: object) -> Scores:
    """Build a model of the product that is fitted to what was liked."""
    choice = Choice(kind, params, ITERATIONS, 1)

    def score(log: Log) -> FloatArray:
        train = Interactions(csr_matrix(log.is_liked.astype(np.float32)))
        places = csr_matrix(np.ones(log.is_liked.shape, np.float32))
        scores = choice.fit_to(train).score(places)
        return scores.reshape(places.shape).astype(np.float64)

    return score


MODELS: Mapping[str, Scores] = {
    "popular": lambda log: log.known_by,
    "most liked": lambda log: log.liked_by,
    "liked share": liked_share,
    "random": at_random,
    "item_knn bm25": fitted("item_knn"),
    "item_knn cosine": fitted("item_knn", weighting="cosine"),
    "item_knn cosine, 20": fitted("item_knn", weighting="cosine", neighbours=20),
    "als 8": fitted("als", factors=8, regularization=0.1, alpha=1.0),
    "als 32": fitted("als", factors=32, regularization=0.1, alpha=1.0),
    "als 8, weight 40": fitted("als", factors=8, regularization=1.0, alpha=40.0),
    "als 32, weight 40": fitted("als", factors=32, regularization=1.0, alpha=40.0),
    "als 16, unobserved .1": fitted(
        "als",
        factors=16,
        regularization=0.003,
        alpha=1.0,
        unobserved_weight=0.1,
        nu=1.0,
    ),
}
