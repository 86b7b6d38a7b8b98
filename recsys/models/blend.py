"""A blend of what is played again and of what is new, by the probability of being played.

A logistic model scores candidates: the tracks that a listener has heard, and new ones that are
near to these or by the same artists, also those of the catalogue that nobody has played. It learns
which candidates are among the newest plays from the plays before them, all of training, so nothing
that is held out is seen.
"""

from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from annotated_types import Ge
from scipy import optimize, special
from scipy.sparse import csr_matrix, vstack

from looplib.arrays import (
    NO_TRACK,
    BoolArray,
    FloatArray,
    Int32Array,
    IntArray,
    offsets,
)
from looplib.config import Config, Count
from looplib.randomness import make_generator
from recsys.dataset.interactions import UNKNOWN_ARTIST, Interactions, Plays
from recsys.errors import TrialError
from recsys.models.activation import activation, sum_plays
from recsys.models.base import Model
from recsys.models.factors import Pool
from recsys.models.sparse import products_at, rank_rows, top_neighbours, top_products

_NEWEST = 0.2  # share of a listener's plays that is predicted from those before
_DECAYS = (0.35, 0.8, 1.5)  # of the activations of a track
_DECAY = 0.8  # of the activation of an artist
_POWER = 0.3  # of the normalisation of closeness, see `top_neighbours`
_NEIGHBOURS = 200
_LISTENERS = 1024  # whose candidates are in memory at once
_RIDGE = 1.0
_LEAST = 1e-4  # added to what may be 0 before its logarithm


class BlendConfig(Config):
    """The hyperparameters of `Blend`."""

    window: Count = 10
    """tracks played at most so far apart are close"""
    candidates: Count = 150
    """new tracks that are considered, from each source"""
    learned_from: Annotated[int, Ge(100)] = 5000
    """listeners whose newest plays it learns from, at most"""


class CandidateFinder:
    """Finds tracks that may be recommended to listeners, by what was played."""

    def __init__(
        self,
        plays: Plays,
        artists: Int32Array,
        unplayed: IntArray,
        config: BlendConfig,
        threads: int,
    ) -> None:
        """Count and compare.

        Args:
            plays: Of all listeners.
            artists: The artist of each track, shape (tracks,).
            unplayed: Tracks that nobody has played and that are candidates by their artist.
            config: How far to look.
            threads: They change no result.
        """
        tracks = len(artists)
        self._config = config
        self._threads = threads
        self._activations = [
            sum_plays(plays, activation(plays, decay), tracks) for decay in _DECAYS
        ]
        self._counts = plays.counts
        self._track_plays = np.bincount(plays.tracks, minlength=tracks)
        has_name = artists != UNKNOWN_ARTIST
        shape = (int(artists.max(initial=0)) + 1, tracks)

        def by_artist(columns: IntArray, values: FloatArray | IntArray) -> csr_matrix:
            """Arrange values of tracks, shape (artists, tracks)."""
            return csr_matrix((values, (artists[columns], columns)), shape)

        named = np.flatnonzero(has_name)
        self._is_by = by_artist(named, np.ones(len(named)))
        self._by_artist = by_artist(named, self._track_plays[named])
        self._unplayed = by_artist(unplayed, np.ones(len(unplayed)))
        artist_plays = self._by_artist.sum(axis=1).A1
        self._artist_plays = np.where(has_name, artist_plays[artists], 0)
        has_artist = has_name[plays.tracks]
        artist_plays_in_order = plays.select(has_artist)
        self._artists = sum_plays(
            Plays(artist_plays_in_order.indptr, artists[artist_plays_in_order.tracks]),
            activation(plays, _DECAY)[has_artist],
            shape[0],
        )
        self._near = top_neighbours(
            plays.indptr,
            plays.tracks,
            tracks,
            config.window,
            _POWER,
            _NEIGHBOURS,
            threads,
        )

    def find(self, rows: IntArray) -> tuple[csr_matrix, FloatArray]:
        """Find the candidates of some listeners, and describe each.

        Returns:
            1 where the track was heard, else 0, shape (listeners, tracks); and features, shape
                (candidates, features).
        """
        activations = [matrix[rows] for matrix in self._activations]
        heard = activations[0]
        profile = activations[1]
        artists = self._artists[rows]
        near = self._near
        threads = self._threads
        count = self._config.candidates
        new = [
            top_products(profile, near, count, threads, heard)[0],
            top_products(artists, self._by_artist, count, threads, heard)[0],
            top_products(artists, self._unplayed, count, threads)[0],
        ]
        candidates = _unite(heard, np.concatenate(new, axis=1))
        features = [np.zeros(candidates.nnz) for _ in activations]
        is_heard = candidates.data > 0
        for feature, matrix in zip(features, activations, strict=True):
            feature[is_heard] = np.log(matrix.data)
        track = candidates.indices
        track_features = [
            np.log(products_at(artists, self._is_by, candidates, threads) + _LEAST),
            np.log(products_at(profile, near, candidates, threads) + _LEAST),
            np.log1p(self._track_plays[track]),
            np.log1p(self._artist_plays[track]),
        ]
        plays = np.maximum(self._counts[rows], 1)
        listener_features = [np.diff(heard.indptr) / plays, np.log1p(plays)]
        counts = np.diff(candidates.indptr)
        features += track_features
        features += [np.repeat(values, counts) for values in listener_features]
        features.append(np.ones(candidates.nnz))
        # each feature has another weight for new tracks than for those heard before
        features += [
            np.where(is_heard, 0, values) for values in features[len(_DECAYS) :]
        ]
        return candidates, np.stack(features, axis=1)


class Blend(Model):
    """Rank candidates by the probability that they are played soon."""

    name = "blend"
    needs_order = True
    config: BlendConfig
    scores: csr_matrix  # log odds of the candidates of each listener
    heard: csr_matrix  # 1 where such a candidate was heard, else 0

    def fit(self, train: Interactions, *, seed: int, threads: int) -> Self:
        """Learn the odds, and score the candidates of all listeners; see `Model.fit`."""
        super().fit(train, seed=seed, threads=threads)
        plays = train.ordered_plays
        odds = self._learn(plays, seed)
        finder = self._finder(plays, train.unplayed)
        scores = []
        heard = []
        listeners = np.arange(len(plays.counts))
        for rows in np.split(listeners, range(_LISTENERS, len(listeners), _LISTENERS)):
            candidates, features = finder.find(rows)
            heard.append(candidates)
            scores.append(candidates.copy())
            scores[-1].data = odds.score(features)
        self.scores = vstack(scores, "csr")
        self.heard = vstack(heard, "csr")
        return self

    def recommend(self, k: int, pool: Pool = "all") -> Int32Array:
        """Recommend the likeliest candidates, then popular tracks where too few are new."""
        scores = self.scores
        if pool != "all":
            is_in_pool = (self.heard.data > 0) == (pool == "repeat")
            indptr = offsets(is_in_pool)[scores.indptr]
            arrays = (scores.data[is_in_pool], scores.indices[is_in_pool], indptr)
            scores = csr_matrix(arrays, scores.shape)
        best = rank_rows(scores, k)
        return best if pool == "repeat" else self.fill_up(best)

    def _learn(self, plays: Plays, seed: int) -> "Logistic":
        """Fit the probability that a candidate is among a listener's newest plays."""
        is_newest = plays.age <= _NEWEST * np.repeat(plays.counts, plays.counts)
        before = plays.select(~is_newest)
        newest = plays.select(is_newest)
        listeners = np.flatnonzero((newest.counts > 0) & (before.counts > 0))
        if not len(listeners):
            raise TrialError(
                "no listener has five plays, of which the newest are predicted"
            )
        generator = make_generator(seed, "blend")
        count = min(len(listeners), self.config.learned_from)
        rows = np.sort(generator.choice(listeners, count, replace=False))
        finder = self._finder(before, np.empty(0, np.int64))
        candidates, features = finder.find(rows)
        tracks = candidates.shape[1]
        targets = sum_plays(newest, np.ones(len(newest.tracks)), tracks)
        listener = np.repeat(rows, np.diff(candidates.indptr))
        is_played = np.ravel(targets[listener, candidates.indices]) > 0
        return fit_logistic(features, is_played)

    def _finder(self, plays: Plays, unplayed: IntArray) -> CandidateFinder:
        artists = self.train.artists
        return CandidateFinder(plays, artists, unplayed, self.config, self.threads)


@dataclass(frozen=True)
class Logistic:
    """A logistic model of features, which it brings to mean 0 and standard deviation 1."""

    means: FloatArray  # shape (features,)
    deviations: FloatArray  # shape (features,)
    weights: FloatArray  # shape (features + 1,), the intercept last

    def score(self, features: FloatArray) -> FloatArray:
        """Compute the log odds, shape (rows,)."""
        scaled = (features - self.means) / self.deviations
        odds: FloatArray = scaled @ self.weights[:-1] + self.weights[-1]
        return odds


def fit_logistic(features: FloatArray, is_true: BoolArray) -> Logistic:
    """Fit a logistic model with a small ridge on its weights.

    Args:
        features: Shape (rows, features).
        is_true: What is predicted, shape (rows,).
    """
    means = features.mean(axis=0)
    deviations = features.std(axis=0)
    deviations[deviations == 0] = 1
    scaled = np.column_stack([(features - means) / deviations, np.ones(len(features))])

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        """Compute the loss and its gradient."""
        odds = scaled @ weights
        misfit = np.logaddexp(0, odds).sum() - odds[is_true].sum()
        gradient = scaled.T @ (special.expit(odds) - is_true) + _RIDGE * weights
        return misfit + _RIDGE / 2 * (weights @ weights), gradient

    def curvature(weights: FloatArray) -> FloatArray:
        chance = special.expit(scaled @ weights)
        spread = (chance * (1 - chance))[:, np.newaxis]
        return scaled.T @ (scaled * spread) + _RIDGE * np.eye(len(weights))

    start = np.zeros(scaled.shape[1])
    fitted = optimize.minimize(
        loss, start, method="trust-exact", jac=True, hess=curvature
    )
    return Logistic(means, deviations, fitted.x)


def _unite(heard: csr_matrix, new: Int32Array) -> csr_matrix:
    """Mark each track heard by 1 and each new one by 0, shape (listeners, tracks)."""
    listener, rank = np.nonzero(new != NO_TRACK)
    rows = np.concatenate([heard.tocoo(copy=False).row, listener])
    columns = np.concatenate([heard.indices, new[listener, rank]])
    values = np.concatenate([np.ones(heard.nnz), np.zeros(len(listener))])
    return csr_matrix((values, (rows, columns)), heard.shape)
