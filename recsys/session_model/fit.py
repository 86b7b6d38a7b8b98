"""Fit the context model: how long a track is heard, given who listens and which track opened the session.

Sessions follow interests: a listener has a few, and the organic track tells which one a session follows. With x the
vector of the interest and v that of a track,

    logit(time) = x . (v, 1)

Under random recommendations each response is an unbiased observation of one such product; under others it still is
one, as what was recommended depends on nothing that the product leaves out. Interests are not logged, so they are
found on the way:

1. coarse: the responses of each organic track, over all listeners, against each track; a listener's bias and scale are
   taken out first;
2. a listener's organic tracks that are close together are one interest (`recsys.session_model.interests`), and
   interests and tracks are fitted by weighted ridge ALS;
3. now that the tracks' vectors are better, interests are grouped once more, and fitted to the end.

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
from recsys.session_model.likelihood import (
    Grouping,
    Observations,
    average_information,
    find_fatigue,
    grouped_means,
    listener_scales,
    logit_and_variance,
    paired_dots,
    precision_of,
    solve_rows,
)
from recsys.session_model.responses import Responses

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
    """A fitted context model, in the indices of the responses that it was fitted on; k factors."""

    tracks: Float32Array  # v of each track, shape (tracks, k)
    interests: Float32Array  # x of each interest, the constant last, shape (interests, k + 1)
    interest_of: Int32Array  # the interest of each opening, shape (openings,)
    evidence: Int32Array  # responses behind each interest, shape (interests,)
    interest_precision: Float32Array  # inverse covariance about what their organic tracks say, (k + 1, k + 1)
    information: Float32Array  # precision that an average response adds to its interest, (k + 1, k + 1)
    newcomer_map: Float32Array  # an unknown interest's expected x is (v, 1) of its organic track times this
    newcomer_precision: Float32Array  # inverse covariance about that, (k + 1, k + 1)
    noise: float  # variance of a logit about the model
    artist_fatigue: float  # factor on the time of a track for each earlier track of its artist in the session


def fit_context(
    responses: Responses, config: ContextConfig, seed: int, threads: int, report: Report = lambda _done, _note: None
) -> ContextModel:
    """Fit the model; the result follows from the arguments alone, whatever `threads`.

    Args:
        responses: What was heard. Tracks of an artist heard before in the session tell of the fatigue alone.
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
    """A fit under way: `tracks` holds (v, 1) of each; `interests` x of each, none before their first sweep."""

    def __init__(self, responses: Responses, config: ContextConfig, seed: int, threads: int, report: Report) -> None:
        """Prepare what every sweep needs."""
        fresh = responses.earlier == 0
        if not fresh.any():  # the catalogue has one artist, so that its fatigue is in every time
            fresh[:] = True
        self.responses, self.config, self.threads, self.report = responses, config, threads, report
        self.track, self.opening, self.time = responses.track[fresh], responses.opening[fresh], responses.time[fresh]
        self.logit, self.rounding = logit_and_variance(self.time, config.resolution)
        self.by_track = Grouping(self.track, len(responses.tracks))
        self.noise, self.done = _FIRST_NOISE, 0
        self.interests = self._no_interests()
        self.precision = np.eye(config.factors + 1, dtype=np.float32)
        rng = make_generator(seed, "context")
        first = _FIRST_SPREAD * rng.standard_normal((len(responses.tracks), config.factors))
        self.tracks = np.hstack([first, np.ones((len(first), 1))]).astype(np.float32)

    def coarse_interests(self) -> Int32Array:
        """Group interests by the responses to each organic track over all listeners; set the first track vectors."""
        size, organic = self.config.coarse_factors, self.responses.organic[self.opening]
        who = self.responses.listener[self.opening]
        self.listener_means, scale = listener_scales(self.logit, who, len(self.responses.users), _LISTENER_PRIOR)
        logit = (self.logit - self.listener_means[who]) / np.sqrt(scale)[who]
        weights = np.float32(1) / (self.rounding / scale[who] + np.float32(_COARSE_NOISE))
        of_organics = Observations(Grouping(organic, len(self.tracks)), self.track, logit, weights)
        tracks = np.hstack([self.tracks[:, :size], self.tracks[:, -1:]])
        ridge = _COARSE_RIDGE * np.eye(size + 1, dtype=np.float32)
        openers = solve_rows(of_organics, tracks, ridge, self.threads)
        self._report("coarse")
        for _ in range(1, self.config.coarse_sweeps):
            of_tracks = Observations(self.by_track, organic, logit - openers[organic, size], weights)
            features = np.ascontiguousarray(openers[:, :size])
            tracks[:, :size] = solve_rows(of_tracks, features, ridge[1:, 1:], self.threads)
            openers = solve_rows(of_organics, tracks, ridge, self.threads)
            self._report("coarse")
        vectors = tracks[:, :size]
        self.tracks[:, :size] = (vectors - vectors.mean(axis=0)) / (vectors.std(axis=0) + _LEAST_NOISE)
        # Organic tracks are alike when their products with all tracks are.
        return self._group(openers[:, :size] @ _root(np.cov(vectors.T)), self.config.coarse_distance)

    def regroup(self, interest_of: Int32Array) -> Int32Array:
        """Group interests by the vectors of organic tracks, in the metric of the interests fitted so far."""
        size = self.config.factors
        middles = grouped_means(interest_of, len(self.interests), self.tracks[self.responses.organic, :size])
        metric = np.linalg.lstsq(middles, self.interests[:, :size], rcond=None)[0]
        self.interests = self._no_interests()
        return self._group(self.tracks[:, :size] @ _root((metric + metric.T) / 2), self.config.distance)

    def sweep(self, interest_of: Int32Array, sweeps: int) -> None:
        """Fit interests and tracks in turn."""
        size = self.config.factors
        interest = interest_of[self.opening]
        by_interest = Grouping(interest, int(interest_of.max()) + 1)
        listener = np.empty(len(by_interest.counts), dtype=np.int32)
        listener[interest_of] = self.responses.listener
        before: Float32Array | None = None
        for _ in range(sweeps):
            weights = self._precisions()
            prior = self._priors(interest_of, by_interest.counts, listener)
            if len(self.interests):
                self.precision = precision_of(self.interests - prior)
            of_interests = Observations(by_interest, self.track, self.logit, weights)
            self.interests = solve_rows(of_interests, self.tracks, self.precision, self.threads, prior)
            of_tracks = Observations(self.by_track, interest, self.logit - self.interests[interest, size], weights)
            ridge = precision_of(self.tracks[:, :size]) if before is not None else np.eye(size, dtype=np.float32)
            after = solve_rows(of_tracks, np.ascontiguousarray(self.interests[:, :size]), ridge, self.threads)
            self.tracks[:, :size] = after if before is None else after + _OVERSHOOT * (after - before)
            before = after
            self.noise = self._measure_noise(interest)
            self._report(f"variance {self.noise:.3f}")
        self.tracks[:, :size] = after

    def model(self, interest_of: Int32Array) -> ContextModel:
        """Return what was fitted, and what a session of an unknown interest starts from."""
        opened_by = self.tracks[self.responses.organic]
        followed = self.interests[interest_of]
        newcomer_map = np.linalg.lstsq(opened_by, followed, rcond=None)[0].astype(np.float32)
        evidence = np.bincount(interest_of[self.opening], minlength=len(self.interests))
        return ContextModel(
            tracks=self.tracks[:, :-1].copy(),
            interests=self.interests,
            interest_of=interest_of,
            evidence=evidence.astype(np.int32),
            interest_precision=self.precision,
            information=average_information(self.tracks, self.track, self._precisions()),
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
        """Predict each interest's vector from its organic tracks and its listener, (interests, k + 1)."""
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

    def _group(self, vectors: Float32Array, distance: float) -> Int32Array:
        directions = centred_directions(vectors)
        return group_openings(self.responses.listener, self.responses.organic, directions, distance)

    def _precisions(self) -> Float32Array:
        """How much each response says of the logit."""
        precisions: Float32Array = np.float32(1) / (self.rounding + np.float32(self.noise))
        return precisions

    def _measure_noise(self, interest: Int32Array) -> float:
        middle = np.flatnonzero((self.time > _MIDDLE[0]) & (self.time < _MIDDLE[1]))
        if not len(middle):
            return self.noise
        found = paired_dots(self.interests, interest[middle], self.tracks, self.track[middle], self.threads)
        excess = np.mean((found - self.logit[middle]) ** 2 - self.rounding[middle])
        return max(_LEAST_NOISE, float(excess))

    def _report(self, note: str) -> None:
        self.done += 1
        self.report(self.done, note)


def _root(symmetric: npt.NDArray[np.floating]) -> Float32Array:
    """Return R with R R' = the matrix, where negative eigenvalues count as 0."""
    values, vectors = np.linalg.eigh(np.atleast_2d(symmetric))
    root: Float32Array = (vectors * np.sqrt(np.maximum(values, 0))).astype(np.float32)
    return root
