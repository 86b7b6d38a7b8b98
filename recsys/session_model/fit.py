"""Fit the session model: how long a track is heard, given who listens and the organic track.

Sessions follow interests: a listener has a few, and the organic track tells which one a session
follows. With x the vector of the interest and v that of a track, the share heard has the mean

    expit(x . (v, 1)) * fatigue ** (earlier tracks of its artist in the session)
                      * tiredness ** (earlier recommended tracks in the session),

and a variance that is learned (`recsys.session_model.likelihood`). Under random recommendations
each response is an unbiased observation of one such product; under others it still is one, as what
was recommended depends on nothing that the product leaves out. Interests are not logged, so the fit
finds them:

1. coarse: two organic tracks are alike when the same tracks are heard after them, over all
   listeners;
2. a listener's organic tracks that are close together are one interest, and interests and tracks
   are fitted in turn, each by one step of iteratively reweighted least squares a sweep;
3. now that the tracks' vectors are better, interests are grouped once more, and fitted to the end;
4. halfway, if sessions change their interest, each response goes to the one that it follows.

An interest's vector is drawn towards what its organic tracks say: their vectors, through one linear
map for all. A track's is drawn towards the other tracks of its artist. Every ridge is the inverse
of the spread that the fit itself shows (empirical Bayes), and every regression knows how uncertain
its features are, so that factors which the data do not support shrink to nothing. Held-out
responses show how noisy shares are.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from looplib.arrays import Float32Array, Int32Array, IntArray
from looplib.randomness import make_generator
from recsys.config import SessionModelConfig
from recsys.session_model.changes import Changes
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

_FIRST_SPREAD = 0.3
_FIRST_OPENER_RIDGE = np.float32(3.0)
# By how much a sweep's step of the tracks is made longer: ALS goes slowly along a curved valley.
_OVERSHOOT = 0.7
_LITTLE = 0.01


def fit_session_model(
    responses: Responses,
    config: SessionModelConfig,
    seed: int,
    threads: int,
    report: Report = lambda _done, _note: None,
) -> FittedSessionModel:
    """Fit the model; the result does not depend on `threads`.

    Only the fatigue is learned from responses to artists heard before in the session. The seed
    decides the first track vectors; `report` is called after each sweep with the sweeps done.
    """
    fit = Fit(Training(responses, threads), config, seed, report)
    interest_of = fit.coarse_interests()
    fit.sweep(interest_of, config.rough_sweeps)
    interest_of = fit.regroup(interest_of)
    change = fit.sweep(interest_of, config.sweeps, follow_at=config.sweeps // 2)
    return describe(
        fit.training, fit.tracks, fit.interests, fit.precision, interest_of, change
    )


class Fit:
    """A fit under way."""

    tracks: Vectors  # v of each
    interests: Vectors  # x of each
    # inverse covariance of the interests about what their organic tracks say
    precision: Float32Array

    def __init__(
        self, training: Training, config: SessionModelConfig, seed: int, report: Report
    ) -> None:
        """Draw the first track vectors."""
        self.training = training
        self.config = config
        self.report = report
        self.done = 0
        self.responses = training.responses
        size = (len(self.responses.tracks), config.factors)
        first = make_generator(seed, "session_model").standard_normal(size)
        self.tracks = Vectors.exact((_FIRST_SPREAD * first).astype(np.float32))

    def coarse_interests(self) -> Int32Array:
        """Group interests by the responses to each organic track over all listeners.

        Set the first track vectors.
        """
        size = self.config.coarse_factors
        first = self.tracks.means[:, :size].copy()
        openers, vectors = self._fit_organics(first)
        centred = vectors - vectors.mean(axis=0)
        spread = vectors.std(axis=0) + _LITTLE
        self.tracks.means[:, :size] = centred / spread
        # Organic tracks are alike when their products with all tracks are.
        products = openers[:, :size] @ _root(np.cov(vectors.T))
        return self._group(products, self.config.coarse_distance)

    def _fit_organics(self, first: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Fit the responses to each organic track against each track, beside a listener's bias.

        Returns:
            Vectors of the tracks as openers of sessions, with a constant, (tracks, k + 1), and as
                what is heard.
        """
        training = self.training
        organic = self.responses.organic
        opening = training.opening
        by_organic = Grouping(organic[opening], len(first))
        bias = training.opening_biases()
        count, size = first.shape
        nothing = np.zeros((count, size + 1), np.float32)
        identity = np.eye(size + 1, dtype=np.float32)
        tracks = Vectors.exact(first)
        openers = Vectors(nothing, identity / _FIRST_OPENER_RIDGE)
        for sweep in range(self.config.coarse_sweeps):
            if sweep:
                offset = bias[opening] + openers.means[by_organic.row, -1]
                tracks = training.regress(
                    training.by_track,
                    by_organic,
                    tracks,
                    openers.without_constant(),
                    offset,
                    nothing[:, :-1],
                )
            openers = training.regress(
                by_organic,
                training.by_track,
                openers,
                tracks.with_constant(),
                bias[opening],
                nothing,
            )
            training.measure(openers, organic, tracks, bias)
            self._report("coarse")
        return openers.means, tracks.means

    def regroup(self, interest_of: Int32Array) -> Int32Array:
        """Group by the vectors of organic tracks, in the metric of the interests so far."""
        vectors = self.tracks.means
        interests = self.interests.means
        organics = vectors[self.responses.organic]
        middles = grouped_means(interest_of, len(interests), organics)
        metric = np.linalg.lstsq(middles, interests[:, :-1], rcond=None)[0]
        turned = vectors @ _root(metric + metric.T)
        return self._group(turned, self.config.distance)

    def sweep(
        self, interest_of: Int32Array, sweeps: int, follow_at: int | None = None
    ) -> float:
        """Fit interests and tracks in turn.

        They start from the listeners' biases and the tracks' vectors so far. Responses follow the
        interest of their opening; if sessions change their interest, the likeliest one from the
        sweep `follow_at` on.

        Returns:
            The probability of a change.
        """
        training = self.training
        size = self.config.factors
        interests = int(interest_of.max()) + 1
        by_interest = Grouping(interest_of[training.opening], interests)
        expected = np.zeros((interests, size + 1), dtype=np.float32)
        expected[interest_of, size] = training.opening_biases()
        self.interests = Vectors(expected, np.eye(size + 1, dtype=np.float32))
        self.tracks = Vectors.exact(self.tracks.means)
        before = self.tracks.means
        usual = np.zeros_like(before)
        change = 0.0
        for done in range(sweeps):
            if done == follow_at:
                changes = Changes(training, self.tracks, self.interests, interest_of)
                change = changes.find()
                if change:
                    by_interest = Grouping(changes.assign(change), interests)
            if done:
                expected = self._expected_interests(interest_of, by_interest.counts)
                usual = self._usual_of_artists()
            start = self.interests
            features = self.tracks.with_constant()
            self.interests = training.regress(
                by_interest, training.by_track, start, features, 0, expected
            )
            after = training.regress(
                training.by_track,
                by_interest,
                self.tracks,
                self.interests.without_constant(),
                self.interests.means[by_interest.row, size],
                usual,
            )
            overshoot = np.float32(_OVERSHOOT if done else 0)
            ahead = after.means + overshoot * (after.means - before)
            before = after.means
            self.tracks = Vectors(ahead, after.covariance)
            training.measure(self.interests, interest_of, self.tracks)
            self._report(f"dispersion {training.dispersion:.3f}")
        self.tracks = after
        self.precision = estimate_precision(start.means - expected, start.covariance)
        return change

    def _expected_interests(
        self, interest_of: Int32Array, counts: IntArray
    ) -> Float32Array:
        """Predict each interest's vector from its organic tracks, (interests, k + 1)."""
        features = self.tracks.with_constant().means[self.responses.organic]
        middles = grouped_means(interest_of, len(counts), features)
        roots = np.sqrt(counts)[:, None]
        weighted = self.interests.means * roots
        found = np.linalg.lstsq(middles * roots, weighted, rcond=None)[0]
        expected: Float32Array = (middles @ found).astype(np.float32)
        return expected

    def _usual_of_artists(self) -> Float32Array:
        """Predict each track's vector from the others of its artist, 0 without any; (tracks, k)."""
        vectors = self.tracks.means
        artist = self.responses.artist
        counts = np.bincount(artist)
        means = grouped_means(artist, len(counts), vectors)[artist]
        others = counts[artist, None] - 1
        sums = means * (others + 1) - vectors
        usual = np.where(others > 0, sums / np.maximum(others, 1), 0)
        squared = max(float(np.vdot(usual, usual)), _LITTLE)
        slope = np.vdot(usual, vectors) / squared
        expected: Float32Array = usual * slope
        return expected.astype(np.float32)

    def _group(self, vectors: Float32Array, distance: float) -> Int32Array:
        responses = self.responses
        return group_openings(responses.listener, responses.organic, vectors, distance)

    def _report(self, note: str) -> None:
        self.done += 1
        self.report(self.done, note)


def _root(symmetric: npt.NDArray[np.floating]) -> Float32Array:
    """Return R with R R' = the matrix, where negative eigenvalues count as 0."""
    values, vectors = np.linalg.eigh(np.atleast_2d(symmetric))
    lengths = np.sqrt(np.maximum(values, 0))
    root: Float32Array = (vectors * lengths).astype(np.float32)
    return root
