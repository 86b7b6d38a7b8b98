"""Fit the session model: how long a track is heard, given who listens and which track opened the session.

Sessions follow interests: a listener has a few, and the organic track tells which one a session
follows. With x the vector of the interest and v that of a track, the share heard has the mean

    expit(x . (v, 1)) * fatigue ** (earlier tracks of its artist in the session),

and a variance that the data say (`recsys.session_model.likelihood`). Under random recommendations
each response is an unbiased observation of one such product; under others it still is one, as what
was recommended depends on nothing that the product leaves out. Interests are not logged, so they
are found on the way:

1. coarse: two organic tracks are alike when the same tracks are heard after them, over all
listeners;
2. a listener's organic tracks that are close together are one interest, and interests and tracks
   are fitted in turn, each by one step of iteratively reweighted least squares a sweep;
3. now that the tracks' vectors are better, interests are grouped once more, and fitted to the end;
4. where sessions change their interest, responses are given to the one that they follow halfway.

An interest's vector is drawn towards what its organic tracks say, times the listener's scale: the
vector of an organic track, through one linear map for all. A track's is drawn towards the other
tracks of its artist. Every ridge is the inverse of the spread that the fit itself shows (empirical
Bayes), and every regression knows how uncertain its features are, so that factors which the data do
not support shrink to nothing. The responses held out say how noisy shares are.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from looplib.arrays import Float32Array, Int32Array, IntArray
from looplib.randomness import make_generator
from recsys.config import SessionModelConfig
from recsys.session_model.changes import Changes
from recsys.session_model.model import FittedSessionModel, describe
from recsys.session_model.responses import Responses
from recsys.session_model.ridge import Grouping, Vectors, grouped_means, precision_of
from recsys.session_model.training import Training, group_openings, listener_tastes

Report = Callable[[float, str], None]

_FIRST_SPREAD = 0.3
_FIRST_OPENER_RIDGE = 3.0
# How far a sweep's step of the tracks is followed beyond its end: ALS goes slowly along a curved
# valley.
_OVERSHOOT = 0.7
_LITTLE = 0.01


def fit_session_model(
    responses: Responses,
    config: SessionModelConfig,
    seed: int,
    threads: int,
    report: Report = lambda _done, _note: None,
) -> FittedSessionModel:
    """Fit the model; the result follows from the arguments alone, whatever `threads`.

    Responses to artists heard before in the session tell of the fatigue alone. The seed decides the
    first track vectors; `report` is called after each sweep with the sweeps done.
    """
    fit = _Fit(Training(responses, config.resolution, threads), config, seed, report)
    interest_of = fit.coarse_interests()
    fit.sweep(interest_of, config.rough_sweeps)
    interest_of = fit.regroup(interest_of)
    fit.sweep(interest_of, config.sweeps, follow_at=config.sweeps // 2)
    change = Changes(fit.training, fit.tracks, fit.interests, interest_of).find()
    return describe(
        fit.training, fit.tracks, fit.interests, fit.precision, interest_of, change
    )


class _Fit:
    """A fit under way: `tracks` holds v of each, `interests` x of each."""

    tracks: Vectors
    interests: Vectors
    # inverse covariance of the interests about what their organic tracks say
    precision: Float32Array

    def __init__(
        self, training: Training, config: SessionModelConfig, seed: int, report: Report
    ) -> None:
        self.training, self.config, self.report, self.done = training, config, report, 0
        self.responses = training.responses
        first = make_generator(seed, "session_model").standard_normal(
            (len(self.responses.tracks), config.factors)
        )
        self.tracks = Vectors.exact((_FIRST_SPREAD * first).astype(np.float32))

    def coarse_interests(self) -> Int32Array:
        """Group interests by the responses to each organic track over all listeners; set the first track vectors."""
        size = self.config.coarse_factors
        openers, vectors = self._fit_organics(self.tracks.means[:, :size].copy())
        self.tracks.means[:, :size] = (vectors - vectors.mean(axis=0)) / (
            vectors.std(axis=0) + _LITTLE
        )
        # Organic tracks are alike when their products with all tracks are.
        return self._group(
            openers[:, :size] @ _root(np.cov(vectors.T)), self.config.coarse_distance
        )

    def _fit_organics(self, first: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Fit the responses to each organic track against each track, beside a listener's bias.

        Returns:
            Vectors of the tracks as openers of sessions, with a constant, (tracks, k + 1), and as
                what is heard.
        """
        training, organic, opening = (
            self.training,
            self.responses.organic,
            self.training.opening,
        )
        by_organic, bias = (
            Grouping(organic[opening], len(first)),
            training.opening_biases(),
        )
        nothing = np.zeros((len(first), first.shape[1] + 1), np.float32)
        identity = np.eye(nothing.shape[1], dtype=np.float32)
        tracks, openers = (
            Vectors.exact(first),
            Vectors(nothing, identity / np.float32(_FIRST_OPENER_RIDGE)),
        )
        for sweep in range(self.config.coarse_sweeps):
            if sweep:
                offset, features = (
                    bias[opening] + openers.means[by_organic.row, -1],
                    openers.without_constant(),
                )
                tracks = training.regress(
                    training.by_track,
                    by_organic,
                    tracks,
                    features,
                    offset,
                    nothing[:, :-1],
                )
            features = tracks.with_constant()
            openers = training.regress(
                by_organic, training.by_track, openers, features, bias[opening], nothing
            )
            training.measure(openers, organic, tracks, bias)
            self._report("coarse")
        return openers.means, tracks.means

    def regroup(self, interest_of: Int32Array) -> Int32Array:
        """Group interests by the vectors of organic tracks, in the metric of the interests fitted so far."""
        vectors = self.tracks.means
        middles = grouped_means(
            interest_of, len(self.interests.means), vectors[self.responses.organic]
        )
        metric = np.linalg.lstsq(middles, self.interests.means[:, :-1], rcond=None)[0]
        return self._group(
            vectors @ _root((metric + metric.T) / 2), self.config.distance
        )

    def sweep(
        self, interest_of: Int32Array, sweeps: int, follow_at: int | None = None
    ) -> None:
        """Fit interests and tracks in turn, from the listeners' biases and the tracks' vectors so far.

        Responses follow the interest of their opening. Where sessions change their interest, they
        follow the likeliest one from the sweep `follow_at` on.
        """
        training, size = self.training, self.config.factors
        by_interest = Grouping(
            interest_of[training.opening], int(interest_of.max()) + 1
        )
        listener = np.empty(len(by_interest.counts), dtype=np.int32)
        listener[interest_of] = self.responses.listener
        expected = np.zeros((len(listener), size + 1), dtype=np.float32)
        expected[interest_of, size] = training.opening_biases()
        self.interests = Vectors(expected, np.eye(size + 1, dtype=np.float32))
        self.tracks = Vectors.exact(self.tracks.means)
        usual, before, change = np.zeros_like(self.tracks.means), self.tracks.means, 0.0
        for done in range(sweeps):
            if done == follow_at:
                changes = Changes(training, self.tracks, self.interests, interest_of)
                if change := changes.find():
                    by_interest = Grouping(changes.assign(change), len(listener))
            if done:
                expected = self._expected_interests(
                    interest_of, by_interest.counts, listener
                )
                usual = self._usual_of_artists()
            start, features = self.interests, self.tracks.with_constant()
            self.interests = training.regress(
                by_interest, training.by_track, start, features, 0, expected
            )
            features, offset = (
                self.interests.without_constant(),
                self.interests.means[by_interest.row, size],
            )
            after = training.regress(
                training.by_track, by_interest, self.tracks, features, offset, usual
            )
            ahead = (
                after.means + _OVERSHOOT * (after.means - before)
                if done
                else after.means
            )
            self.tracks, before = Vectors(ahead, after.covariance), after.means
            if not change:  # else the dispersion is that about a mixture
                training.measure(self.interests, interest_of, self.tracks)
            self._report(f"dispersion {training.dispersion:.3f}")
        self.tracks, self.precision = (
            after,
            precision_of(start.means - expected, start.covariance),
        )

    def _expected_interests(
        self, interest_of: Int32Array, counts: IntArray, listener: Int32Array
    ) -> Float32Array:
        """Predict each interest's vector from its organic tracks and its listener, (interests, k + 1)."""
        vectors, roots = self.interests.means, np.sqrt(counts)[:, None]
        middles = grouped_means(
            interest_of, len(counts), self.tracks.means[self.responses.organic]
        )
        mapped = (
            middles
            @ np.linalg.lstsq(middles * roots, vectors[:, :-1] * roots, rcond=None)[0]
        )
        scale, constant = listener_tastes(listener, mapped, vectors, counts)
        found: Float32Array = np.hstack(
            [mapped * scale[listener, None], constant[listener, None]]
        ).astype(np.float32)
        return found

    def _usual_of_artists(self) -> Float32Array:
        """Predict each track's vector from the others of its artist, (tracks, k); 0 where there are none."""
        vectors, artist = self.tracks.means, self.responses.artist
        counts = np.bincount(artist)
        others = (counts[artist] - 1)[:, None]
        sums = (
            grouped_means(artist, len(counts), vectors)[artist] * (others + 1) - vectors
        )
        usual = np.where(others > 0, sums / np.maximum(others, 1), 0)
        share = np.vdot(usual, vectors) / max(float(np.vdot(usual, usual)), _LITTLE)
        expected: Float32Array = (share * usual).astype(np.float32)
        return expected

    def _group(self, vectors: Float32Array, distance: float) -> Int32Array:
        return group_openings(
            self.responses.listener, self.responses.organic, vectors, distance
        )

    def _report(self, note: str) -> None:
        self.done += 1
        self.report(self.done, note)


def _root(symmetric: npt.NDArray[np.floating]) -> Float32Array:
    """Return R with R R' = the matrix, where negative eigenvalues count as 0."""
    values, vectors = np.linalg.eigh(np.atleast_2d(symmetric))
    root: Float32Array = (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)
    return root
