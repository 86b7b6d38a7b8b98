"""The context model: how long a track is heard, given who listens and which track opened the session.

Sessions follow interests: a listener has a few, and the organic track tells which one a session follows. With x the
vector of the interest and v that of a track,

    logit(time) = x . (v, 1)

Under random recommendations each response is an unbiased observation of one such product; under others it still is
one, as what was recommended depends on nothing that the product leaves out. Int32Array are not logged, so they are
found on the way:

1. coarse: the responses of each organic track, over all listeners, against each track; a listener's bias and scale are
   taken out first;
2. a listener's organic tracks that stand close together are one interest (`recsys.session_model.interests`), and
   interests and tracks are fitted by weighted ridge ALS;
3. tracks have come to lie more truly, so interests are grouped once more, and fitted to the end.

An interest's vector is drawn towards what its organic tracks say, times the listener's scale: the vector of an organic
track, through one linear map for all. Every ridge is the inverse of the spread that the fit itself shows (empirical
Bayes). Time is logged in steps, so near 0 and 1 a response says little of the logit; its weight is the inverse of

    noise + (step / sqrt(12) / (time (1 - time))) ** 2,    the second term by the delta method.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from looplib.arrays import Float32Array, Int32Array, IntArray
from looplib.randomness import make_generator
from recsys.config import ContextConfig
from recsys.session_model.interests import centred_directions, group_openings
from recsys.session_model.logits import average_information, find_fatigue, listener_scales, logit_and_variance
from recsys.session_model.responses import Responses
from recsys.session_model.ridge import Grouping, grouped_means, paired_dots, precision_of, solve_rows

Report = Callable[[float, str], None]

# Where nothing is known yet: variance of a logit about the model, of a coarse one in units of the listener's own.
_FIRST_NOISE = 0.3
_COARSE_NOISE = 0.5
_COARSE_RIDGE = 3.0
_FIRST_SPREAD = 0.3
_LEAST_NOISE = 0.01
# A listener's few responses count against this many of everybody's.
_LISTENER_PRIOR = 10.0
# How far a sweep's step of the tracks is followed beyond its end: ALS goes slowly along a curved valley.
_OVERSHOOT = 0.7
# The noise is measured where rounding hardly adds to it.
_MIDDLE = (0.2, 0.8)


@dataclass(frozen=True)
class ContextModel:
    """A fitted context model, in the indices of the responses that it was fitted on; k factors.

    Attributes:
        tracks: v of each track, shape (tracks, k).
        interests: x of each interest, the constant last, shape (interests, k + 1).
        interest_of: The interest of each opening, shape (openings,).
        evidence: Responses behind each interest, shape (interests,).
        interest_precision: Inverse covariance of interests about what their organic tracks say, (k + 1, k + 1).
        information: Precision that an average response adds to its interest, (k + 1, k + 1).
        newcomer_map: An unknown interest's expected x is (v, 1) of its organic track times this, (k + 1, k + 1).
        newcomer_precision: Inverse covariance about that, (k + 1, k + 1).
        noise: Variance of a logit about the model.
        artist_fatigue: Factor on the time of a track for each earlier track of its artist in the session.
    """

    tracks: Float32Array
    interests: Float32Array
    interest_of: Int32Array
    evidence: Int32Array
    interest_precision: Float32Array
    information: Float32Array
    newcomer_map: Float32Array
    newcomer_precision: Float32Array
    noise: float
    artist_fatigue: float


def fit_context(
    responses: Responses, config: ContextConfig, seed: int, threads: int, report: Report = lambda _done, _note: None
) -> ContextModel:
    """Fits the model; the result follows from the arguments alone, whatever `threads`.

    Args:
        responses: What was heard. Tracks of an artist heard before in the session tell the fatigue, and nothing else.
        config: Hyperparameters.
        seed: Decides the first track vectors.
        threads: Threads to use.
        report: Called after each sweep with the sweeps done.
    """
    fit = _Fit(responses, config, seed, threads, report)
    interest_of = fit.coarse_interests()
    fit.sweep(interest_of, config.rough_sweeps)
    interest_of = fit.regroup(interest_of)
    fit.sweep(interest_of, config.sweeps)
    return fit.model(interest_of)


class _Fit:
    """A fit under way.

    Attributes:
        tracks: (v, 1) of each track, (tracks, k + 1).
        interests: x of each interest, (interests, k + 1); empty before their first sweep.
        noise: Variance of a logit about the model.
    """

    def __init__(self, responses: Responses, config: ContextConfig, seed: int, threads: int, report: Report) -> None:
        """Prepares what every sweep needs."""
        fresh = responses.earlier == 0
        if not fresh.any():  # the catalogue has one artist, so that its fatigue is in every time
            fresh[:] = True
        self.responses, self.config, self.threads, self.report = responses, config, threads, report
        self.track, self.opening = responses.track[fresh], responses.opening[fresh]
        self.time, self.weight = responses.time[fresh], responses.weight[fresh]
        self.logit, self.rounding = logit_and_variance(self.time, config.resolution)
        self.by_track = Grouping(self.track, len(responses.tracks))
        self.noise, self.done = _FIRST_NOISE, 0
        self.interests = self._no_interests()
        self.precision = np.eye(config.factors + 1, dtype=np.float32)
        rng = make_generator(seed, "context")
        first = _FIRST_SPREAD * rng.standard_normal((len(responses.tracks), config.factors))
        self.tracks = np.hstack([first, np.ones((len(first), 1))]).astype(np.float32)

    def coarse_interests(self) -> Int32Array:
        """Interests from the responses to each organic track over all listeners; also gives the first track vectors."""
        size, organic = self.config.coarse_factors, self.responses.organic[self.opening]
        who = self.responses.listener[self.opening]
        self.listener_means, scale = listener_scales(self.logit, who, len(self.responses.users), _LISTENER_PRIOR)
        logit = (self.logit - self.listener_means[who]) / np.sqrt(scale)[who]
        rounding = self.rounding / scale[who]
        weights = self.weight / (rounding + np.float32(_COARSE_NOISE))
        by_organic = Grouping(organic, len(self.tracks))
        tracks = np.hstack([self.tracks[:, :size], self.tracks[:, -1:]])
        ridge = _COARSE_RIDGE * np.eye(size + 1, dtype=np.float32)
        openers = self._solve(by_organic, tracks, self.track, logit, weights, ridge)
        self._report("coarse")
        for _ in range(1, self.config.coarse_sweeps):
            features, rest = np.ascontiguousarray(openers[:, :size]), logit - openers[organic, size]
            tracks[:, :size] = self._solve(self.by_track, features, organic, rest, weights, ridge[1:, 1:])
            openers = self._solve(by_organic, tracks, self.track, logit, weights, ridge)
            self._report("coarse")
        vectors = tracks[:, :size]
        self.tracks[:, :size] = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + _LEAST_NOISE)
        # Organic tracks are alike when their products with all tracks are.
        alike = centred_directions(openers[:, :size] @ _root(np.cov(vectors.T)))
        return self._group(alike, self.config.coarse_distance)

    def regroup(self, interest_of: Int32Array) -> Int32Array:
        """Interests by where organic tracks have come to lie, in the metric in which interests lie among tracks."""
        size = self.config.factors
        middles = grouped_means(interest_of, len(self.interests), self.tracks[self.responses.organic, :size])
        metric = np.linalg.lstsq(middles, self.interests[:, :size], rcond=None)[0]
        self.interests = self._no_interests()
        return self._group(
            centred_directions(self.tracks[:, :size] @ _root((metric + metric.T) / 2)), self.config.distance
        )

    def sweep(self, interest_of: Int32Array, sweeps: int) -> None:
        """Fits interests and tracks in turn."""
        size = self.config.factors
        interest = interest_of[self.opening]
        by_interest = Grouping(interest, int(interest_of.max()) + 1)
        listener = self._listeners_of(interest_of)
        before: Float32Array | None = None
        for _ in range(sweeps):
            weights = self._precisions()
            prior = self._priors(interest_of, by_interest.counts, listener)
            if len(self.interests):
                self.precision = precision_of(self.interests - prior)
            self.interests = solve_rows(
                by_interest, self.tracks, self.track, self.logit, weights, self.precision, prior, self.threads
            )
            after = self._solve(
                self.by_track,
                np.ascontiguousarray(self.interests[:, :size]),
                interest,
                self.logit - self.interests[interest, size],
                weights,
                precision_of(self.tracks[:, :size]) if before is not None else np.eye(size, dtype=np.float32),
            )
            self.tracks[:, :size] = after if before is None else after + _OVERSHOOT * (after - before)
            before = after
            self.noise = self._measure_noise(interest)
            self._report(f"variance {self.noise:.3f}")
        self.tracks[:, :size] = after

    def model(self, interest_of: Int32Array) -> ContextModel:
        """What was fitted, and what a session of an unknown interest starts from."""
        interest = interest_of[self.opening]
        opened_by = self.tracks[self.responses.organic]
        followed = self.interests[interest_of]
        newcomer_map = np.linalg.lstsq(opened_by, followed, rcond=None)[0].astype(np.float32)
        return ContextModel(
            tracks=self.tracks[:, :-1].copy(),
            interests=self.interests,
            interest_of=interest_of,
            evidence=np.rint(np.bincount(interest, self.weight, len(self.interests))).astype(np.int32),
            interest_precision=self.precision,
            information=average_information(self.tracks, self.track, self._precisions(), self.weight),
            newcomer_map=newcomer_map,
            newcomer_precision=precision_of(followed - opened_by @ newcomer_map),
            noise=self.noise,
            artist_fatigue=self._fatigue(interest_of),
        )

    def _no_interests(self) -> Float32Array:
        return np.empty((0, self.config.factors + 1), dtype=np.float32)

    def _fatigue(self, interest_of: Int32Array) -> float:
        again = np.flatnonzero(self.responses.earlier > 0)
        interest = interest_of[self.responses.opening[again]]
        logit = paired_dots(self.interests, interest, self.tracks, self.responses.track[again], self.threads)
        return find_fatigue(logit, self.responses.time[again], self.responses.earlier[again])

    def _priors(self, interest_of: Int32Array, counts: IntArray, listener: Int32Array) -> Float32Array:
        """What is expected of each interest's vector before its responses are looked at, (interests, k + 1)."""
        if not len(self.interests):
            nothing = np.zeros((len(counts), self.config.factors), dtype=np.float32)
            return np.hstack([nothing, self.listener_means[listener, None]])
        size, people = self.config.factors, len(self.responses.users)
        middles = grouped_means(interest_of, len(counts), self.tracks[self.responses.organic, :size])
        roots = np.sqrt(counts)[:, None]
        mapped = middles @ np.linalg.lstsq(middles * roots, self.interests[:, :size] * roots, rcond=None)[0]
        along = np.bincount(listener, counts * np.einsum("ij,ij->i", mapped, self.interests[:, :size]), people)
        squared = np.bincount(listener, counts * np.einsum("ij,ij->i", mapped, mapped), people)
        shrink = max(float(squared.mean()) / _LISTENER_PRIOR, _LEAST_NOISE)
        scale = (along + shrink) / (squared + shrink)
        summed = np.bincount(listener, counts * self.interests[:, size], people)
        usual = _LISTENER_PRIOR * float(self.interests[:, size].mean())
        constant = (summed + usual) / (np.bincount(listener, counts, people) + _LISTENER_PRIOR)
        return np.hstack([mapped * scale[listener, None], constant[listener, None]]).astype(np.float32)

    def _solve(
        self,
        rows: Grouping,
        features: Float32Array,
        column: Int32Array,
        targets: Float32Array,
        weights: Float32Array,
        ridge: Float32Array,
    ) -> Float32Array:
        """Ridge regressions towards 0."""
        prior = np.zeros((rows.rows, features.shape[1]), dtype=np.float32)
        return solve_rows(rows, features, column, targets, weights, ridge, prior, self.threads)

    def _group(self, directions: Float32Array, distance: float) -> Int32Array:
        return group_openings(self.responses.listener, self.responses.organic, directions, distance)

    def _precisions(self) -> Float32Array:
        """How much each response says of the logit, times its weight."""
        precisions: Float32Array = self.weight / (self.rounding + np.float32(self.noise))
        return precisions

    def _listeners_of(self, interest_of: Int32Array) -> Int32Array:
        listener = np.empty(int(interest_of.max()) + 1, dtype=np.int32)
        listener[interest_of] = self.responses.listener
        return listener

    def _measure_noise(self, interest: Int32Array) -> float:
        middle = np.flatnonzero((self.time > _MIDDLE[0]) & (self.time < _MIDDLE[1]))
        if not len(middle):
            return self.noise
        found = paired_dots(self.interests, interest[middle], self.tracks, self.track[middle], self.threads)
        excess = np.average((found - self.logit[middle]) ** 2 - self.rounding[middle], weights=self.weight[middle])
        return max(_LEAST_NOISE, float(excess))

    def _report(self, note: str) -> None:
        self.done += 1
        self.report(self.done, note)


def _root(symmetric: npt.NDArray[np.floating]) -> Float32Array:
    """R with R R' = the matrix, where negative eigenvalues count as 0."""
    values, vectors = np.linalg.eigh(np.atleast_2d(symmetric))
    root: Float32Array = (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)
    return root
