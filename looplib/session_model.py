"""The session model: its file, and what a session follows by what was heard in it.

A session follows an interest, a vector x of k factors. The share heard of a track of vector v has
the mean expit(x . v), less by the fatigue of artists; v holds the constant of
`docs/session-model.md` too. The export scores held-out sessions by this code, and the service
answers by it. Tracks and listeners are numbers; a track is below 0 where nothing is known of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from looplib.arrays import Float32Array, FloatArray, Int32Array, IntArray, find_id

FILE_NAME = "session_model.npz"
FORMAT = 5  # by the manifest; the service reads this one alone

# The kind of each array's numbers, f or i, or of its ids, and its axes.
ARRAYS: Mapping[str, str] = {
    "tracks": "track tracks",
    "track_factors": "f tracks factors",
    # an opening is a listener and the organic track of sessions; it leads to an interest
    "listeners": "user openings",
    "organics": "track openings",
    "interest_of": "i openings",
    "interests": "f interests factors",
    "new_map": "f factors factors",  # track @ new_map is expected of a new interest
    "covariance": "f factors factors",  # of what a session follows about an interest
    "dispersion": "f",  # variance of a share about its mean m, in units of m (1 - m)
    # factor on the time of a track for each earlier track of its artist, 0..1
    "artist_fatigue": "f",
    "fading": "f",  # weight of a track heard against the next one, 0..1
}
_CANDIDATES = 6  # interests that a session may follow
# Odds of the other interests of a listener, where the opening is known, and where it is not.
_ANOTHER, _KNOWN = 0.1, 1.0
_LATEST = 32  # tracks of a session that count; earlier ones are ignored
_FARTHEST_LOGIT, _LEAST_SLOPE = 8.0, 0.1  # as in the fit
_ROUNDING = 0.01**2 / 12  # as in the fit
_LEAST_LASTING = 1e-3
LEAST_SHARE = 1e-6  # of a time that fatigue leaves; less says nothing


@dataclass(frozen=True)
class Heard:
    """The recommended tracks of a session that count, each when it was heard first."""

    tracks: list[int]
    times: FloatArray  # (tracks,), share heard
    rest: FloatArray  # (tracks,), what fatigue left of the share
    plays: dict[int, int]  # tracks of each artist in the session


@dataclass(frozen=True)
class Expected:
    """What a session may follow: some vectors of k factors, the likeliest first."""

    log_odds: FloatArray  # of each vector, up to a constant, shape (vectors,)
    means: Float32Array  # shape (vectors, k)


@dataclass(frozen=True)
class SessionModel:
    """What `ARRAYS` describes, by the numbers of tracks and listeners; k factors."""

    track_factors: Float32Array  # (tracks, k), 0 where nothing is known of a track
    listeners: IntArray  # (openings,), ascending
    organics: IntArray  # (openings,), ascending for each listener
    interest_of: Int32Array  # (openings,)
    interests: Float32Array  # (interests, k)
    new_map: Float32Array  # (k, k)
    covariance: Float32Array  # (k, k)
    dispersion: float
    artist_fatigue: float
    fading: float = 1.0

    @classmethod
    def make(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "SessionModel":
        """Put the arrays of a file in order, whose ids are numbers now.

        Raises:
            ValueError: The covariance is none.
        """
        openings = ("listeners", "organics", "interest_of")
        order = np.lexsort((arrays["organics"], arrays["listeners"]))
        kept: dict[str, Any] = {
            name: arrays[name][order] if name in openings else arrays[name]
            for name in ARRAYS
            if name != "tracks"
        }
        try:
            np.linalg.cholesky(arrays["covariance"].astype(np.float64))
        except np.linalg.LinAlgError:
            raise ValueError("covariance is not that of any vectors") from None
        numbers = {
            name: float(arrays[name]) for name, axes in ARRAYS.items() if axes == "f"
        }
        return cls(**(kept | numbers))

    @cached_property
    def by_factor(self) -> Float32Array:
        """The factors of the tracks by which all are scored faster, shape (k, tracks)."""
        return np.ascontiguousarray(self.track_factors.T)

    def expected(self, listener: int, organic: int) -> Expected:
        """Return what is expected of a session, given its listener and its organic track alone.

        An opening that is known leads to its interest, any other to a new one; both may turn out to
        follow one of the listener's others.
        """
        first = self.listeners.searchsorted(listener)
        own = slice(first, self.listeners.searchsorted(listener, side="right"))
        opening = find_id(self.organics[own], organic) if organic >= 0 else None
        others, opened = np.unique(self.interest_of[own], return_counts=True)
        odds = (_KNOWN if opening is None else _ANOTHER) * opened / max(opened.sum(), 1)
        order = np.argsort(-odds, kind="stable")
        if opening is None:
            track = self.track_factors[organic] * (organic >= 0)
            likeliest = track @ self.new_map
        else:
            interest = self.interest_of[first + opening]
            order = order[others[order] != interest]
            likeliest = self.interests[interest]
        order = order[: _CANDIDATES - 1]
        return Expected(
            np.append(0.0, np.log(odds[order])),
            np.concatenate([likeliest[None], self.interests[others[order]]]),
        )

    def hear(
        self, artist: IntArray, tracks: Sequence[int], times: Sequence[float]
    ) -> Heard:
        """Return what was heard in a session, in the terms of the model."""
        plays: dict[int, int] = {}
        found = {tracks[0]: (times[0], 1.0)}
        for position, track in enumerate(tracks):
            if track < 0:
                continue
            own = int(artist[track])
            earlier = plays.get(own, 0)
            plays[own] = earlier + 1
            rest = self.artist_fatigue**earlier
            if track not in found and rest > LEAST_SHARE:
                found[track] = (times[position], rest)
        latest = list(found)[1:][-_LATEST:]
        observed = np.array([found[track] for track in latest]).reshape(-1, 2)
        return Heard(latest, observed[:, 0], observed[:, 1], plays)

    def infer(self, listener: int, organic: int, heard: Heard) -> FloatArray:
        """Estimate the vector of the interest that a session follows, shape (k,).

        Each vector that the session may follow, with prior mean m and covariance C, is moved to its
        likeliest value by iteratively reweighted least squares, in the form for fewer observations
        than factors: with the features A (n, k) of the tracks heard, their working responses y and
        the variances R of these,

            x = m + C A' S^-1 (y - A m),    S = A C A' + R

        (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 3.4). The vector with
        the largest prior odds times density of the responses, N(y; A m, S) by the slopes of the
        shares, is the session's. All that is older counts for less by `fading`.
        """
        expected = self.expected(listener, organic)
        count = len(heard.tracks)
        if not count:
            likeliest: FloatArray = expected.means[0]
            return likeliest
        design = self.track_factors[heard.tracks].astype(np.float64)
        spread = design @ self.covariance
        covariance = spread @ design.T
        off, noise, slope = self._linearise(expected.means @ design.T, heard)
        lower = np.linalg.cholesky(covariance + noise[:, None] * np.eye(count))
        innovations = np.linalg.solve(lower, off[:, :, None])[:, :, 0]
        scale = np.diagonal(lower, axis1=1, axis2=2) * slope
        densities = -(innovations**2) / 2 - np.log(scale)
        lasting = np.maximum(self.fading ** np.arange(count)[::-1], _LEAST_LASTING)
        odds = self.fading**count * expected.log_odds + densities @ lasting
        best = int(odds.argmax())
        total = covariance + np.diag(noise[best] / lasting)
        weights = np.linalg.solve(total, off[best])
        found: FloatArray = expected.means[best] + weights @ spread
        return found

    def _linearise(
        self, logits: FloatArray, heard: Heard
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Compute the working responses of logits (…, tracks).

        Returns:
            How far each is off by the share heard, the variance of that, and the slope divided by.
        """
        near = logits.clip(-_FARTHEST_LOGIT, _FARTHEST_LOGIT)
        fresh = 1 / (1 + np.exp(-near))
        mean = heard.rest * fresh
        slope = mean * (1 - fresh)
        least = heard.rest * _LEAST_SLOPE * min(1.0, 10 * self.dispersion)
        damped = np.maximum(slope, least)
        noise = (self.dispersion * mean * (1 - mean) + _ROUNDING) / (slope * damped)
        return (heard.times - mean) / damped, noise, damped
