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
FORMAT = 6  # by the manifest; the service reads this one alone

# The kind of each array's numbers, f or i, or of its ids, and its axes.
ARRAYS: Mapping[str, str] = {
    "tracks": "track tracks",
    "track_factors": "f tracks factors",
    # an opening is a listener and the organic track of sessions; it leads to an interest
    "listeners": "user openings",
    "organics": "track openings",
    "interest_of": "i openings",
    "interests": "f interests factors",
    # log odds against a new interest, before its distance to what is expected of that
    "odds": "f interests",
    "covariance": "f factors factors",  # of what a session follows about an interest
    "new_map": "f factors factors",  # track @ new_map is expected of a new interest
    "new_covariance": "f factors factors",  # of a new interest about that
    "dispersion": "f",  # variance of a share about its mean m, in units of m (1 - m)
    # factor on the time of a track for each earlier track of its artist, 0..1
    "artist_fatigue": "f",
    "interest_change": "f",  # chance before each track that a session's is drawn anew
}
_CANDIDATES = 4  # interests that a session may follow
_LEAST_CHANCE = 1e-3  # of a vector that counts
_LEAST_LOG = -20.0  # of a response's likelihood, against that by the best vector
_LATEST = 32  # tracks of a session that count; earlier ones are ignored
ROUNDING = 0.01**2 / 12  # variance of an error that is uniform within a hundredth
FARTHEST_LOGIT = 8.0
# A slope counts as no less than this, or a tenth of it where shares have little noise: steps of a
# logit that is far off stay short.
LEAST_SLOPE = 0.1
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
    """What a session may follow: some vectors of k factors."""

    chances: FloatArray  # of each vector at first, shape (vectors,)
    anew: FloatArray  # of each vector where it is drawn anew, shape (vectors,)
    means: Float32Array  # shape (vectors, k)
    is_new: IntArray  # 1 for a new interest, 0 for a known one, shape (vectors,)


@dataclass(frozen=True)
class SessionModel:
    """What `ARRAYS` describes, by the numbers of tracks and listeners; k factors."""

    track_factors: Float32Array  # (tracks, k), 0 where nothing is known of a track
    listeners: IntArray  # (openings,), ascending
    organics: IntArray  # (openings,), ascending for each listener
    interest_of: Int32Array  # (openings,)
    interests: Float32Array  # (interests, k)
    odds: Float32Array  # (interests,)
    covariance: Float32Array  # (k, k)
    new_map: Float32Array  # (k, k)
    new_covariance: Float32Array  # (k, k)
    dispersion: float
    artist_fatigue: float
    interest_change: float = 0.0

    @classmethod
    def make(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "SessionModel":
        """Put the arrays of a file in order, whose ids are numbers now.

        Raises:
            ValueError: A covariance is none.
        """
        openings = ("listeners", "organics", "interest_of")
        order = np.lexsort((arrays["organics"], arrays["listeners"]))
        kept: dict[str, Any] = {
            name: arrays[name][order] if name in openings else arrays[name]
            for name in ARRAYS
            if name != "tracks"
        }
        for name in ("covariance", "new_covariance"):
            try:
                np.linalg.cholesky(arrays[name].astype(np.float64))
            except np.linalg.LinAlgError:
                raise ValueError(f"{name} is not that of any vectors") from None
        numbers = {
            name: float(arrays[name]) for name, axes in ARRAYS.items() if axes == "f"
        }
        return cls(**(kept | numbers))

    @cached_property
    def by_factor(self) -> Float32Array:
        """The factors of the tracks by which all are scored faster, shape (k, tracks)."""
        return np.ascontiguousarray(self.track_factors.T)

    @cached_property
    def unheard(self) -> IntArray:
        """The tracks of which nothing is known."""
        return np.flatnonzero(~self.track_factors.any(axis=1))

    @cached_property
    def _covariances(self) -> FloatArray:
        """Of what a session follows about a known interest, and about a new one, (2, k, k)."""
        return np.stack([self.covariance, self.new_covariance]).astype(np.float64)

    @cached_property
    def _new_precision(self) -> FloatArray:
        return np.linalg.inv(self._covariances[1])

    def expected(self, listener: int, organic: int) -> Expected:
        """Return what is expected of a session, given its listener and its organic track alone.

        An opening that is known leads to its interest; any other to a new one, or to one of the
        listener's. Where an interest is drawn anew, each is as likely as it has opened sessions.
        """
        first = self.listeners.searchsorted(listener)
        own = slice(first, self.listeners.searchsorted(listener, side="right"))
        opening = find_id(self.organics[own], organic) if organic >= 0 else None
        followed = self.interest_of[own]
        least = followed.min(initial=len(self.interests))  # theirs are side by side
        opened = np.bincount(followed - least)
        others = least + np.flatnonzero(opened)
        opened = opened[opened > 0]
        if opening is None:
            vector = self.track_factors[organic] * (organic >= 0)
            new = vector @ self.new_map
            off = self.interests[others] - new
            distances = (off @ self._new_precision * off).sum(axis=1)
            log_odds = self.odds[others] - distances / 2
            order = np.argsort(-log_odds, kind="stable")[: _CANDIDATES - 1]
            means = np.concatenate([self.interests[others[order]], new[None]])
            log_odds = np.append(log_odds[order], 0.0)
            opened = np.append(opened[order], 1)
        else:
            interest = self.interest_of[first + opening]
            likeliest = np.where(others == interest, np.inf, opened)
            most = _CANDIDATES if self.interest_change else 1
            order = np.argsort(-likeliest, kind="stable")[:most]
            means, opened = self.interests[others[order]], opened[order]
            log_odds = np.where(others[order] == interest, 0.0, -np.inf)
        is_new = np.zeros(len(means), np.int64)
        is_new[-1] = opening is None
        chances = np.exp(log_odds - log_odds.max())
        return Expected(chances / chances.sum(), opened / opened.sum(), means, is_new)

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

        (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 3.4). The vectors are
        averaged by their chances given the responses, whose densities are N(y; A m, S) by the
        slopes of the shares: the forward algorithm of a hidden Markov model, in which the vector is
        drawn anew before a track with the chance `interest_change` (Rabiner, "A tutorial on hidden
        Markov models", 1989, III).
        """
        expected = self.expected(listener, organic)
        means, chances = expected.means, expected.chances
        if not heard.tracks:
            return chances @ means
        design = self.track_factors[heard.tracks].astype(np.float64)
        spread = (design @ self._covariances)[expected.is_new]
        off, noise, slope = self._linearise(means @ design.T, heard)
        total = spread @ design.T
        np.einsum("vtt->vt", total)[:] += noise  # the diagonals
        lower = np.linalg.cholesky(total)
        innovations = np.linalg.solve(lower, off[:, :, None])
        scale = np.diagonal(lower, axis1=1, axis2=2) * slope
        densities = -(innovations[:, :, 0] ** 2) / 2 - np.log(scale)
        logs = np.maximum(densities - densities.max(axis=0), _LEAST_LOG)
        change = self.interest_change
        step = (1 - change) * np.eye(len(means)) + change * expected.anew
        for likelihoods in np.exp(logs).T:
            chances = chances @ step * likelihoods
        chances /= chances.sum()
        likely = chances > _LEAST_CHANCE
        upper = lower[likely].transpose(0, 2, 1)
        weights = np.linalg.solve(upper, innovations[likely]).transpose(0, 2, 1)
        moved = means[likely] + (weights @ spread[likely])[:, 0]
        found: FloatArray = chances[likely] @ moved / chances[likely].sum()
        return found

    def _linearise(
        self, logits: FloatArray, heard: Heard
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Compute the working responses of logits (…, tracks).

        Returns:
            How far each is off by the share heard, the variance of that, and the slope divided by.
        """
        near = logits.clip(-FARTHEST_LOGIT, FARTHEST_LOGIT)
        fresh = 1 / (1 + np.exp(-near))
        mean = heard.rest * fresh
        slope = mean * (1 - fresh)
        least = heard.rest * LEAST_SLOPE * min(1.0, 10 * self.dispersion)
        damped = np.maximum(slope, least)
        noise = (self.dispersion * mean * (1 - mean) + ROUNDING) / (slope * damped)
        return (heard.times - mean) / damped, noise, damped
