"""The session model: its file, and what a session follows by what was heard in it.

A session follows an interest, a vector x of k factors. The share heard of a track of vector v has
the mean expit(x . v), less by the fatigue of artists and by tiredness; v holds the constant of
`docs/session-model.md` too. Along the axes of the factors, an interest's prior variance is 1, and
responses add information one axis at a time. The export scores held-out sessions by this code, and
the service answers by it. Tracks are numbers, below 0 where nothing is known of one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from looplib.arrays import Float32Array, FloatArray, IntArray, find_id

FILE_NAME = "session_model.npz"
FORMAT = 4  # by the manifest; the service reads this one alone

# The kind of each array's numbers, f or i, or of its ids, and its axes.
ARRAYS: Mapping[str, str] = {
    "tracks": "track tracks",
    "track_factors": "f tracks factors",
    # an opening is a listener and the organic track of sessions; it leads to an interest
    "listeners": "user openings",
    "organics": "track openings",
    "interest_of": "i openings",
    "interests": "f interests factors",
    "evidence": "i interests",  # the number of responses behind each
    # log odds against a new interest, before its distance to what is expected of that
    "odds": "f interests",
    "information": "f factors",  # precision that a response adds to an interest's of 1
    "new_map": "f factors factors",  # track @ new_map is expected of a new interest
    "new_covariance": "f factors factors",  # about that
    "dispersion": "f",  # variance of a share about its mean m, in units of m (1 - m)
    # factor on the time of a track for each earlier track of its artist, 0..1
    "artist_fatigue": "f",
    # factor on the time of a track for each recommended track before it, 0..1
    "tiredness": "f",
    "fading": "f",  # weight of a track heard against the next one, 0..1
}
_CANDIDATES = 6  # interests that a session may follow
_ANOTHER = 0.1  # odds of the others that a listener has, where the opening is known
_LATEST = 32  # tracks of a session that count; earlier ones are ignored
_FARTHEST_LOGIT, _LEAST_SLOPE = 8.0, 0.1  # as in the fit
_ROUNDING = 0.01**2 / 12  # as in the fit
_LEAST_LASTING = 1e-3
LEAST_SHARE = 1e-6  # of a time that fatigue and tiredness leave; less says nothing


@dataclass(frozen=True)
class Heard:
    """The recommended tracks of a session that count, each when it was heard first."""

    tracks: list[int]
    times: FloatArray  # (tracks,), share heard
    rest: FloatArray  # (tracks,), what fatigue and tiredness left of the share
    plays: dict[int, int]  # tracks of each artist in the session


@dataclass(frozen=True)
class Expected:
    """What a session may follow: some vectors, each with its covariance; k factors."""

    log_odds: FloatArray  # of each vector, up to a constant, shape (vectors,)
    means: Float32Array  # shape (vectors, k)
    # of the known interests, which stand first: along each axis, shape (known, k)
    variances: FloatArray
    # of the last vector, where it is a new interest, shape (k, k)
    covariance: Float32Array | None = None

    def spread(self, design: FloatArray) -> FloatArray:
        """Multiply features (n, k) with the covariance of each vector, shape (vectors, n, k)."""
        known: FloatArray = design * self.variances[:, None]
        if self.covariance is None:
            return known
        return np.concatenate([known, (design @ self.covariance)[None]])


@dataclass(frozen=True)
class SessionModel:
    """What `ARRAYS` describes, by the numbers of tracks and listeners; k factors."""

    tracks: Float32Array  # (tracks, k), 0 where nothing is known of a track
    by_factor: Float32Array  # (k, tracks), by which all tracks are scored faster
    owners: IntArray  # (owners,), the known listeners, ascending
    openings: IntArray  # (openings,), position of the owner * tracks + organic track
    interest_of: IntArray  # (openings,), the interest that each opening leads to
    # (owners + 1,): owner i has own_interests[own_starts[i]:own_starts[i + 1]]
    own_starts: IntArray
    own_interests: IntArray  # those with most openings first
    opened: IntArray  # (interests,), how many openings lead to each
    interests: Float32Array  # (interests, k)
    evidence: Float32Array  # (interests,)
    odds: Float32Array  # (interests,)
    information: Float32Array  # (k,)
    new_map: Float32Array  # (k, k)
    new_covariance: Float32Array  # (k, k)
    new_precision: Float32Array  # (k, k), its inverse
    dispersion: float
    artist_fatigue: float
    tiredness: float
    fading: float

    @classmethod
    def make(
        cls,
        arrays: Mapping[str, npt.NDArray[Any]],
        listeners: IntArray,
        organics: IntArray,
        tracks: Float32Array,
    ) -> "SessionModel":
        """Index the arrays of a file.

        Args:
            arrays: As in `ARRAYS`, of which those of ids are not read.
            listeners: The listener of each opening, by number.
            organics: Its organic track, by number.
            tracks: The factors of the tracks, by number, shape (tracks, k).

        Raises:
            ValueError: The arrays contradict each other.
        """
        interests = len(arrays["interests"])
        owners, owner = np.unique(listeners, return_inverse=True)
        openings = owner * len(tracks) + organics
        is_unknown = organics < 0
        openings[is_unknown] = -np.arange(1, is_unknown.sum() + 1)  # never found
        order = np.argsort(openings)
        openings, interest_of = openings[order], arrays["interest_of"][order]
        if not (np.diff(openings) > 0).all():
            raise ValueError("openings repeat")
        opened = np.bincount(interest_of, minlength=interests)
        owner_of = np.full(interests, -1)  # of each interest
        owner_of[interest_of] = owner[order]
        own_interests = np.lexsort((-opened, owner_of))
        new_covariance = arrays["new_covariance"].astype(np.float64)
        try:
            new_precision = np.linalg.inv(new_covariance)
        except np.linalg.LinAlgError:
            raise ValueError("new_covariance has no inverse") from None
        numbers = ("dispersion", "artist_fatigue", "tiredness", "fading")
        return cls(
            tracks=tracks,
            by_factor=np.ascontiguousarray(tracks.T),
            owners=owners,
            openings=openings,
            interest_of=interest_of,
            own_starts=np.searchsorted(
                owner_of[own_interests], np.arange(len(owners) + 1)
            ),
            own_interests=own_interests,
            opened=opened,
            interests=arrays["interests"],
            evidence=arrays["evidence"].astype(np.float32),
            odds=arrays["odds"],
            information=arrays["information"],
            new_map=arrays["new_map"],
            new_covariance=arrays["new_covariance"],
            new_precision=new_precision.astype(np.float32),
            **{name: float(arrays[name]) for name in numbers},
        )

    def expected(self, listener: int, organic: int) -> Expected:
        """Return what is expected of a session, given its listener and its organic track alone.

        An opening that is known leads to its interest. Any other may follow one of the listener's
        interests, or a new one.
        """
        owner = find_id(self.owners, listener)
        own = self.own_interests[:0]
        opening = None
        if owner is not None:
            own = self.own_interests[
                self.own_starts[owner] : self.own_starts[owner + 1]
            ]
            opening = find_id(self.openings, owner * len(self.tracks) + organic)
        if opening is None or organic < 0:
            return self._unknown_opening(organic, own)
        interest = self.interest_of[opening]
        others = own[own != interest][: _CANDIDATES - 1]
        followed = np.append(interest, others)
        opened = self.opened[followed]
        log_odds = np.log(_ANOTHER * opened / opened.sum())
        log_odds[0] = 0
        return Expected(log_odds, self.interests[followed], self._variances(followed))

    def _unknown_opening(self, organic: int, own: IntArray) -> Expected:
        track = self.tracks[max(organic, 0)] * (organic >= 0)
        new = track @ self.new_map
        off = self.interests[own] - new
        distances = np.einsum("ij,ij->i", off @ self.new_precision, off)
        log_odds = self.odds[own] - distances / 2
        likeliest = np.argsort(-log_odds, kind="stable")[: _CANDIDATES - 1]
        followed = own[likeliest]
        return Expected(
            np.append(log_odds[likeliest], 0.0),
            np.concatenate([self.interests[followed], new[None]]),
            self._variances(followed),
            self.new_covariance,
        )

    def _variances(self, interests: IntArray) -> FloatArray:
        precision = 1 + self.evidence[interests, None] * self.information
        variances: FloatArray = 1 / precision
        return variances

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
            rest = self.artist_fatigue**earlier * self.tiredness ** max(position - 1, 0)
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
            likeliest: FloatArray = expected.means[expected.log_odds.argmax()]
            return likeliest
        design = self.tracks[heard.tracks].astype(np.float64)
        spread = expected.spread(design)
        covariance = spread @ design.T
        off, noise, slope = self._linearise(expected.means @ design.T, heard)
        lower = np.linalg.cholesky(covariance + noise[:, None] * np.eye(count))
        innovations = np.linalg.solve(lower, off[:, :, None])[:, :, 0]
        scale = np.diagonal(lower, axis1=1, axis2=2) * slope
        densities = -(innovations**2) / 2 - np.log(scale)
        lasting = np.maximum(self.fading ** np.arange(count)[::-1], _LEAST_LASTING)
        odds = self.fading**count * expected.log_odds + densities @ lasting
        best = int(odds.argmax())
        total = covariance[best] + np.diag(noise[best] / lasting)
        weights = np.linalg.solve(total, off[best])
        found: FloatArray = expected.means[best] + weights @ spread[best]
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
