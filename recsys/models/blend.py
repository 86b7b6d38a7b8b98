"""A blend of what is played again and of what is new, by the probability of being played.

A logistic model scores candidates: the tracks that a listener has heard, and new ones that are
near to these or by the same artists, also those of the catalogue that nobody has played. It learns
which candidates are among the newest plays from the plays before them, all of training, so nothing
that is held out is seen.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import optimize, special
from scipy.sparse import csr_matrix, vstack

from looplib.arrays import BoolArray, FloatArray, Int32Array, IntArray, offsets
from looplib.randomness import make_generator
from recsys.dataset.plays import (
    UNKNOWN_ARTIST,
    Plays,
    find_unplayed,
    read_artists,
)
from recsys.errors import TrialError
from recsys.models.model import Model
from recsys.models.params import BlendParams
from recsys.models.repetition import activation, sum_plays
from recsys.models.sparse import products_at, rank_rows, top_neighbours, top_products
from recsys.models.topk import NO_TRACK, Pool

_NEWEST = 0.2  # share of a listener's plays that is predicted from those before
_DECAYS = (0.35, 0.8, 1.5)  # of the activations of a track
_DECAY = 0.8  # of the activation of an artist
_POWER = 0.3  # of the normalisation of closeness, see `top_neighbours`
_NEIGHBOURS = 200
_LISTENERS = 1024  # whose candidates are in memory at once
_RIDGE = 1.0
_LEAST = 1e-4  # added to what may be 0 before its logarithm


@dataclass(frozen=True)
class Candidates:
    """Tracks that may be recommended to some listeners, and what is known of each."""

    places: csr_matrix  # 1 where the track was heard, else 0; shape (listeners, tracks)
    features: FloatArray  # shape (candidates, features)


class Finder:
    """Finds candidates by what was played."""

    def __init__(
        self,
        plays: Plays,
        artists: Int32Array,
        unplayed: IntArray,
        params: BlendParams,
        threads: int,
    ) -> None:
        """Count and compare.

        Args:
            plays: Of all listeners.
            artists: The artist of each track, shape (tracks,).
            unplayed: Tracks that nobody has played and that are candidates by their artist.
            params: How far to look.
            threads: They change no result.
        """
        tracks = len(artists)
        self._params = params
        self._threads = threads
        self._activations = [
            sum_plays(plays, activation(plays, decay), tracks) for decay in _DECAYS
        ]
        self._counts = plays.counts
        self._track_plays = np.bincount(plays.tracks, minlength=tracks)
        is_known = artists != UNKNOWN_ARTIST
        shape = (int(artists.max(initial=0)) + 1, tracks)

        def by_artist(columns: IntArray, values: FloatArray | IntArray) -> csr_matrix:
            """Return values of tracks, shape (artists, tracks)."""
            return csr_matrix((values, (artists[columns], columns)), shape)

        known = np.flatnonzero(is_known)
        self._is_by = by_artist(known, np.ones(len(known)))
        self._by_artist = by_artist(known, self._track_plays[known])
        self._unplayed = by_artist(unplayed, np.ones(len(unplayed)))
        artist_plays = self._by_artist.sum(axis=1).A1
        self._artist_plays = np.where(is_known, artist_plays[artists], 0)
        has_artist = is_known[plays.tracks]
        of_artists = plays.select(has_artist)
        self._artists = sum_plays(
            Plays(of_artists.indptr, artists[of_artists.tracks]),
            activation(plays, _DECAY)[has_artist],
            shape[0],
        )
        self._near = top_neighbours(
            plays.indptr,
            plays.tracks,
            tracks,
            params.window,
            _POWER,
            _NEIGHBOURS,
            threads,
        )

    def find(self, rows: IntArray) -> Candidates:
        """Find the candidates of some listeners."""
        activations = [matrix[rows] for matrix in self._activations]
        heard = activations[0]
        profile = activations[1]
        artists = self._artists[rows]
        near = self._near
        threads = self._threads
        count = self._params.candidates
        new = [
            top_products(profile, near, count, threads, heard)[0],
            top_products(artists, self._by_artist, count, threads, heard)[0],
            top_products(artists, self._unplayed, count, threads)[0],
        ]
        places = _unite(heard, np.concatenate(new, axis=1))
        features = [np.zeros(places.nnz) for _ in activations]
        is_heard = places.data > 0
        for feature, matrix in zip(features, activations, strict=True):
            feature[is_heard] = np.log(matrix.data)
        track = places.indices
        of_track = [
            np.log(products_at(artists, self._is_by, places, threads) + _LEAST),
            np.log(products_at(profile, near, places, threads) + _LEAST),
            np.log1p(self._track_plays[track]),
            np.log1p(self._artist_plays[track]),
        ]
        plays = np.maximum(self._counts[rows], 1)
        of_listener = [np.diff(heard.indptr) / plays, np.log1p(plays)]
        candidates = np.diff(places.indptr)
        features += of_track
        features += [np.repeat(values, candidates) for values in of_listener]
        features.append(np.ones(places.nnz))
        # each feature has another weight for new tracks than for those heard before
        features += [
            np.where(is_heard, 0, values) for values in features[len(_DECAYS) :]
        ]
        return Candidates(places, np.stack(features, axis=1))


class Blend(Model):
    """Rank candidates by the probability that they are played soon."""

    name = "blend"
    params_type = BlendParams
    needs_order = True

    def lists(self, k: int, pool: Pool = "all") -> Int32Array:
        """Return the likeliest candidates, and popular tracks where there are too few new ones."""
        scores, heard = self._scores
        if pool != "all":
            is_heard = heard.data > 0
            scores = _select(scores, is_heard if pool == "heard" else ~is_heard)
        best = rank_rows(scores, k)
        return best if pool == "heard" else self._fill_up(best)

    @cached_property
    def _scores(self) -> tuple[csr_matrix, csr_matrix]:
        """Return the log odds of the candidates of each listener, and 1 where they were heard."""
        weights = self._learn()
        finder = self._finder(self._plays, find_unplayed(self._dataset))
        scores = []
        heard = []
        listeners = np.arange(len(self._dataset.users))
        for rows in np.split(listeners, range(_LISTENERS, len(listeners), _LISTENERS)):
            found = finder.find(rows)
            odds = weights.score(found.features)
            heard.append(found.places)
            scores.append(found.places.copy())
            scores[-1].data = odds
        return vstack(scores, "csr"), vstack(heard, "csr")

    def _learn(self) -> "Logistic":
        """Fit the probability that a candidate is among a listener's newest plays."""
        plays = self._plays
        is_newest = plays.age <= _NEWEST * np.repeat(plays.counts, plays.counts)
        before = plays.select(~is_newest)
        newest = plays.select(is_newest)
        listeners = np.flatnonzero((newest.counts > 0) & (before.counts > 0))
        if not len(listeners):
            raise TrialError(
                "no listener has five plays, of which the newest are predicted"
            )
        generator = make_generator(self._seed, "blend")
        count = min(len(listeners), self._params.learned_from)
        rows = np.sort(generator.choice(listeners, count, replace=False))
        found = self._finder(before, np.empty(0, np.int64)).find(rows)
        targets = sum_plays(
            newest, np.ones(len(newest.tracks)), len(self._dataset.tracks)
        )
        places = found.places
        listener = np.repeat(rows, np.diff(places.indptr))
        is_played = np.ravel(targets[listener, places.indices]) > 0
        return fit_logistic(found.features, is_played)

    def _finder(self, plays: Plays, unplayed: IntArray) -> Finder:
        artists = read_artists(self._dataset)
        return Finder(plays, artists, unplayed, self._params, self._threads)


@dataclass(frozen=True)
class Logistic:
    """A logistic model of features, which it brings to mean 0 and standard deviation 1."""

    means: FloatArray  # shape (features,)
    deviations: FloatArray  # shape (features,)
    weights: FloatArray  # shape (features + 1,), the intercept last

    def score(self, features: FloatArray) -> FloatArray:
        """Return the log odds, shape (rows,)."""
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
        """Return the loss and its gradient."""
        odds = scaled @ weights
        misfit = np.logaddexp(0, odds).sum() - odds[is_true].sum()
        gradient = scaled.T @ (special.expit(odds) - is_true) + _RIDGE * weights
        return misfit + _RIDGE / 2 * (weights @ weights), gradient

    def curvature(weights: FloatArray) -> FloatArray:
        chance = special.expit(scaled @ weights)
        spread = (chance * (1 - chance))[:, np.newaxis]
        return scaled.T @ (scaled * spread) + _RIDGE * np.eye(len(weights))

    start = np.zeros(scaled.shape[1])
    found = optimize.minimize(
        loss, start, method="trust-exact", jac=True, hess=curvature
    )
    return Logistic(means, deviations, found.x)


def _unite(heard: csr_matrix, new: Int32Array) -> csr_matrix:
    """Return 1 for each track heard and 0 for each new one, shape (listeners, tracks)."""
    listener, rank = np.nonzero(new != NO_TRACK)
    rows = np.concatenate([heard.tocoo(copy=False).row, listener])
    columns = np.concatenate([heard.indices, new[listener, rank]])
    values = np.concatenate([np.ones(heard.nnz), np.zeros(len(listener))])
    return csr_matrix((values, (rows, columns)), heard.shape)


def _select(scores: csr_matrix, is_kept: BoolArray) -> csr_matrix:
    """Return some of the values of a matrix; a flag for each."""
    before = offsets(is_kept)
    arrays = (scores.data[is_kept], scores.indices[is_kept], before[scores.indptr])
    return csr_matrix(arrays, scores.shape)
