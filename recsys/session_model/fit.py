"""Fit the session model: how long a track is heard, given who listens and the organic track.

Sessions follow interests: a listener has a few, and the organic track tells which one a session
follows. With x the vector of the interest and v that of a track, the share heard has the mean

    expit(x . (v, 1)) * fatigue ** (earlier tracks of its artist in the session)
                      * tiredness ** (earlier recommended tracks in the session),

and a variance that is learned (`recsys.session_model.likelihood`). Under random recommendations
each response is an unbiased observation of one such product; under others it still is one, as what
was recommended depends on nothing that the product leaves out. Interests are not logged, so the fit
finds them:

1. coarse: each organic track is one interest of all listeners;
2. a listener's organic tracks that are close together are one interest, and interests and tracks
   are fitted in turn, each by one step of iteratively reweighted least squares a sweep;
3. now that the tracks' vectors are better, interests are grouped once more, and fitted to the end.

What listeners choose themselves is the prior: ALS has learned from it which tracks and listeners
are alike. A track's vector is drawn towards what its ALS factor and the other tracks of its artist
say, an interest's towards what its organic tracks and the listener's ALS factor say, each through
one linear map for all. Every ridge is the inverse of the spread that the fit itself shows
(empirical Bayes), and every regression knows how uncertain its features are, so that factors which
the data do not support shrink to nothing. Held-out responses show how noisy shares are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from looplib.arrays import AnyFloatArray, Float32Array, Int32Array, IntArray
from looplib.randomness import make_generator
from recsys.config import SessionModelConfig
from recsys.session_model.grouping import group_openings
from recsys.session_model.model import FittedSessionModel, describe
from recsys.session_model.responses import Responses
from recsys.session_model.ridge import (
    Grouping,
    Vectors,
    estimate_precision,
    grouped_means,
)
from recsys.session_model.training import Training

Report = Callable[[float, str], None]

_FIRST_SPREAD = 0.3  # of a track's vector, of which this part is noise:
_FIRST_NOISE = 0.3
# By how much a sweep's step of the tracks is made longer: ALS goes slowly along a curved valley.
_OVERSHOOT = 0.7
_AXES = 32  # of the ALS factors, those along which tracks differ most


@dataclass(frozen=True)
class Chosen:
    """What is known of listeners and tracks by what was chosen, along some axes; lengths are 1."""

    listeners: Float32Array  # (listeners, axes), 0 where nothing is known
    tracks: Float32Array  # (tracks, axes)

    @classmethod
    def of_factors(cls, listeners: AnyFloatArray, tracks: AnyFloatArray) -> "Chosen":
        """Turn ALS factors of listeners and tracks to the main axes of the tracks."""
        _, axes = np.linalg.eigh(tracks.T @ tracks)
        main = axes[:, ::-1][:, :_AXES]
        return cls(_unit(listeners @ main), _unit(tracks @ main))


def fit_session_model(
    responses: Responses,
    chosen: Chosen,
    config: SessionModelConfig,
    seed: int,
    threads: int,
    report: Report = lambda _done, _note: None,
) -> FittedSessionModel:
    """Fit the model; the result does not depend on `threads`.

    Only the fatigue is learned from responses to artists heard before in the session. The seed
    decides the first track vectors; `report` is called after each sweep with the sweeps done.
    """
    fit = Fit(Training(responses, threads), chosen, config, seed, report)
    fit.sweep(responses.organic, config.coarse_sweeps)
    interest_of = fit.first_interests()
    fit.sweep(interest_of, config.rough_sweeps)
    interest_of = fit.regroup(interest_of)
    fit.sweep(interest_of, config.sweeps)
    bias = fit.training.bias[:, None]
    fit.interests.means[:, -1:] += grouped_means(
        interest_of, len(fit.interests.means), bias
    )
    return describe(fit.training, fit.tracks, fit.interests, fit.precision, interest_of)


class Fit:
    """A fit under way."""

    tracks: Vectors  # v of each
    interests: Vectors  # x of each, whose last element is over the bias of its listener
    # inverse covariance of the interests about what is expected of them
    precision: Float32Array

    def __init__(
        self,
        training: Training,
        chosen: Chosen,
        config: SessionModelConfig,
        seed: int,
        report: Report,
    ) -> None:
        """Start the tracks' vectors from those chosen alike, and noise."""
        self.training = training
        self.chosen = chosen
        self.config = config
        self.report = report
        self.done = 0
        self.responses = training.responses
        size = (len(self.responses.tracks), config.factors)
        first = make_generator(seed, "session_model").standard_normal(size)
        alike = chosen.tracks[:, : config.factors]
        axes = alike.shape[1]
        first[:, :axes] *= _FIRST_NOISE
        first[:, :axes] += alike * np.sqrt(axes)
        self.tracks = Vectors.exact((_FIRST_SPREAD * first).astype(np.float32))

    def first_interests(self) -> Int32Array:
        """Group organic tracks whose products with all tracks are alike."""
        spread = np.atleast_2d(np.cov(self.tracks.means.T))
        products = self.interests.means[:, :-1] @ _root(spread)
        size = (len(self.tracks.means), products.shape[1])
        openers = np.zeros(size, np.float32)
        openers[: len(products)] = products
        return self._group(openers, self.config.coarse_distance)

    def regroup(self, interest_of: Int32Array) -> Int32Array:
        """Group by the vectors of organic tracks, in the metric of the interests so far."""
        vectors = self.tracks.means
        interests = self.interests.means
        organics = vectors[self.responses.organic]
        middles = grouped_means(interest_of, len(interests), organics)
        metric = np.linalg.lstsq(middles, interests[:, :-1], rcond=None)[0]
        turned = vectors @ _root(metric + metric.T)
        return self._group(turned, self.config.distance)

    def sweep(self, interest_of: Int32Array, sweeps: int) -> None:
        """Fit the interests of openings, and tracks, in turn; tracks start as they are."""
        training = self.training
        size = self.config.factors
        interests = int(interest_of.max()) + 1
        by_interest = Grouping(interest_of[training.opening], interests)
        bias = training.bias[training.opening]
        expected = np.zeros((interests, size + 1), dtype=np.float32)
        self.interests = Vectors(expected, np.eye(size + 1, dtype=np.float32))
        self.tracks = Vectors.exact(self.tracks.means)
        before = self.tracks.means
        usual = np.zeros_like(before)
        for done in range(sweeps):
            if done:
                expected = self._expected_interests(interest_of, by_interest.counts)
                usual = self._expected_tracks()
            start = self.interests
            features = self.tracks.with_constant()
            self.interests = training.regress(
                by_interest, training.by_track, start, features, bias, expected
            )
            after = training.regress(
                training.by_track,
                by_interest,
                self.tracks,
                self.interests.without_constant(),
                bias + self.interests.means[by_interest.row, size],
                usual,
            )
            overshoot = np.float32(_OVERSHOOT if done else 0)
            ahead = after.means + overshoot * (after.means - before)
            before = after.means
            self.tracks = Vectors(ahead, after.covariance)
            training.measure(self.interests, interest_of, self.tracks)
            self.done += 1
            self.report(self.done, f"dispersion {training.dispersion:.3f}")
        self.tracks = after
        self.precision = estimate_precision(start.means - expected, start.covariance)

    def _expected_interests(
        self, interest_of: Int32Array, counts: IntArray
    ) -> Float32Array:
        """Predict each interest's vector from its organic tracks and listener."""
        features = np.hstack(
            [
                self.tracks.with_constant().means[self.responses.organic],
                self.chosen.listeners[self.responses.listener],
            ]
        )
        middles = grouped_means(interest_of, len(counts), features)
        weights = np.sqrt(counts)[:, None]
        return _predict(middles, self.interests.means, weights)

    def _expected_tracks(self) -> Float32Array:
        """Predict each track's vector from the others of its artist, and by what was chosen."""
        vectors = self.tracks.means
        artist = self.responses.artist
        counts = np.bincount(artist)
        means = grouped_means(artist, len(counts), vectors)[artist]
        others = counts[artist, None] - 1
        sums = means * (others + 1) - vectors
        usual = np.where(others > 0, sums / np.maximum(others, 1), 0)
        ones = np.ones((len(vectors), 1))
        return _predict(np.hstack([usual, self.chosen.tracks, ones]), vectors, ones)

    def _group(self, vectors: Float32Array, distance: float) -> Int32Array:
        responses = self.responses
        return group_openings(responses.listener, responses.organic, vectors, distance)


def _predict(
    features: AnyFloatArray, vectors: Float32Array, weights: AnyFloatArray
) -> Float32Array:
    """Regress vectors on features, with the square roots of weights; return the predictions."""
    found = np.linalg.lstsq(features * weights, vectors * weights, rcond=None)[0]
    predicted: Float32Array = (features @ found).astype(np.float32)
    return predicted


def _unit(vectors: AnyFloatArray) -> Float32Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Float32Array = (vectors / np.maximum(lengths, 1e-9)).astype(np.float32)
    return unit


def _root(symmetric: npt.NDArray[np.floating]) -> Float32Array:
    """Return R with R R' = the matrix, where negative eigenvalues count as 0."""
    values, vectors = np.linalg.eigh(symmetric)
    lengths = np.sqrt(np.maximum(values, 0))
    root: Float32Array = (vectors * lengths).astype(np.float32)
    return root
