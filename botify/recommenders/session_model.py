"""The recommender that infers the interest a session follows; the same session gets the same track.

The organic track and the listener say which interests the session may follow, and how sure that is.
Each track heard since is an observation: the share heard has the mean expit(interest . track), less
by the fatigue of artists and by tiredness. What is heard decides between the interests, and any
session may change to another of them. The track with the longest expected time is recommended,
where an artist already heard counts for less.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from botify.model.catalogue import UNKNOWN_TRACK, Catalogue
from botify.model.model import Model
from botify.model.session_model import SESSION_MODEL, SessionModel
from botify.recommenders.base import (
    IS_EXHAUSTED,
    IS_UNKNOWN,
    Batch,
    Drawn,
    Recommender,
    Row,
)
from looplib.arrays import Float32Array, FloatArray

_AT_ONCE = 32  # sessions whose scores, as many as tracks, stay in the cache
_LATEST = 32  # tracks of a session that count; earlier ones are ignored
_FARTHEST_LOGIT, _LEAST_SLOPE = 8.0, 0.1  # as in the fit
_ROUNDING = 0.01**2 / 12  # as in the fit
_LEAST_LASTING = 1e-3
_LEAST_SHARE = 1e-6  # of a time that fatigue and tiredness leave; less says nothing


@dataclass(frozen=True)
class Heard:
    """The recommended tracks of a session that count, each when it was heard first."""

    tracks: list[int]
    times: FloatArray  # (tracks,), share heard
    rest: FloatArray  # (tracks,), what fatigue and tiredness left of the share
    plays: dict[int, int]  # tracks of each artist in the session


class FollowInterest(Recommender):
    """Takes the track with the longest expected time, by what the session has shown so far."""

    reads = (SESSION_MODEL,)

    def draw(self, model: Model, row: Row, rng: np.random.Generator) -> Drawn:
        """Take a track for one session."""
        return self.draw_all(model, [row], rng)[0]

    def draw_all(
        self, model: Model, batch: Batch, _: np.random.Generator
    ) -> list[Drawn]:
        """Infer the interest of each session, and score all tracks by it."""
        fitted, catalogue = model.get(SESSION_MODEL), model.catalogue
        if fitted is None:
            return [IS_UNKNOWN] * len(batch)
        drawn = []
        for start in range(0, len(batch), _AT_ONCE):
            rows = batch[start : start + _AT_ONCE]
            heard = [read_session(fitted, catalogue, row) for row in rows]
            interests = list(map(partial(infer_interest, fitted), rows, heard))
            scores = np.stack(interests).astype(np.float32) @ fitted.by_factor
            for own_scores, row, own in zip(scores, rows, heard, strict=True):
                drawn.append(_best(own_scores, fitted, catalogue, row, own.plays))
        return drawn


def read_session(fitted: SessionModel, catalogue: Catalogue, row: Row) -> Heard:
    """Return what was heard in a session, in the terms of the model."""
    plays: dict[int, int] = {}
    found = {row.tracks[0]: (row.times[0], 1.0)}
    artists = catalogue.artist[list(row.tracks)].tolist()
    for position, (track, artist) in enumerate(zip(row.tracks, artists, strict=True)):
        if track == UNKNOWN_TRACK:
            continue
        tired = fitted.tiredness ** max(position - 1, 0)
        earlier = plays.get(artist, 0)
        rest = tired * fitted.artist_fatigue**earlier
        plays[artist] = earlier + 1
        if track not in found and rest > _LEAST_SHARE:
            found[track] = (row.times[position], rest)
    tracks = list(found)[1:][-_LATEST:]
    observed = np.array([found[track] for track in tracks]).reshape(-1, 2)
    return Heard(tracks, observed[:, 0], observed[:, 1], plays)


def infer_interest(fitted: SessionModel, row: Row, heard: Heard) -> FloatArray:
    """Estimate the vector of the interest that a session follows, shape (k,).

    Each vector that the session may follow, with prior mean m and covariance C, is moved to its
    likeliest value by iteratively reweighted least squares, in the form for fewer observations than
    factors: with the features A (n, k) of the tracks heard, their working responses y
    (`recsys.session_model.likelihood`) and the variances R of these,

        x = m + C A' S^-1 (y - A m),    S = A C A' + R

    (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 3.4). The vector with the
    largest prior odds times density of the responses, N(y; A m, S) by the slopes of the shares, is
    the session's. A response counts by the chance that the session has followed that one since.
    """
    expected = fitted.expected(row.user, row.tracks[0])
    if not heard.tracks:
        likeliest: FloatArray = expected.means[expected.log_odds.argmax()]
        return likeliest
    design = fitted.tracks[heard.tracks].astype(np.float64)
    spread = expected.spread(design)
    logits = expected.means @ design.T
    covariance = spread @ design.T
    off, noise, slope = _linearise(fitted, logits, heard)
    total = covariance + noise[:, None] * np.eye(len(heard.tracks))
    lower = np.linalg.cholesky(total)
    innovations = np.linalg.solve(lower, off[:, :, None])[:, :, 0]
    scale = np.diagonal(lower, axis1=1, axis2=2) * slope
    densities = -(innovations**2) / 2 - np.log(scale)
    best, lasting = follow_changes(
        fitted.interest_change, expected.log_odds, expected.anew, densities
    )

    total = covariance[best] + np.diag(noise[best] / lasting)
    weights = np.linalg.solve(total, off[best])
    found: FloatArray = expected.means[best] + weights @ spread[best]
    return found


def follow_changes(
    change: float, log_odds: FloatArray, anew: FloatArray, densities: FloatArray
) -> tuple[int, FloatArray]:
    """Find the vector that the session follows now, and since when.

    A hidden Markov model (`recsys.session_model.changes`): before each track, with the probability
    `change`, the session's vector is drawn anew.

    Args:
        change: The probability.
        log_odds: Of each vector at first, shape (vectors,).
        anew: The chance of each when it is drawn anew, shape (vectors,).
        densities: Log density of each response, given those before, by each vector, shape (vectors,
            responses).

    Returns:
        The likeliest vector, and the chance that the session has followed it since each response,
            (responses,).
    """
    likelihoods = np.exp(densities - densities.max(axis=0)).T
    step = (1 - change) * np.eye(len(anew)) + change * anew  # from row to column
    chance = np.exp(log_odds - log_odds.max())
    stayed = np.empty_like(likelihoods)  # chance that it was followed before, if it is
    for position, likelihood in enumerate(likelihoods):
        arrived = chance @ step + 1e-300
        stayed[position] = chance * step.diagonal() / arrived
        chance = arrived * likelihood
        chance /= chance.sum()
    best = int(chance.argmax())
    later = np.append(stayed[1:, best], 1.0)
    since = later[::-1].cumprod()[::-1]
    return best, np.maximum(since, _LEAST_LASTING)


def _linearise(
    fitted: SessionModel, logits: FloatArray, heard: Heard
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Compute the working responses of logits (…, tracks).

    Returns:
        How far each is off by the share heard, the variance of that, and the slope divided by.
    """
    dispersion = fitted.dispersion
    near = logits.clip(-_FARTHEST_LOGIT, _FARTHEST_LOGIT)
    fresh = 1 / (1 + np.exp(-near))
    mean = heard.rest * fresh
    slope = mean * (1 - fresh)
    least = heard.rest * _LEAST_SLOPE * min(1.0, 10 * dispersion)
    damped = np.maximum(slope, least)
    noise = (dispersion * mean * (1 - mean) + _ROUNDING) / (slope * damped)
    return (heard.times - mean) / damped, noise, damped


def _best(
    scores: Float32Array,
    fitted: SessionModel,
    catalogue: Catalogue,
    row: Row,
    plays: dict[int, int],
) -> Drawn:
    """Take the track with the longest expected time by its logit; scores are changed in place.

    A share expit(x) of which fatigue leaves the part g has the logit log(g) - log(1 - g + exp(-x)).
    It only gets lower, so an artist's tracks are lowered when one of them is the best.
    """
    scores[list(row.taken)] = -np.inf
    while True:
        track = int(scores.argmax())
        if scores[track] == -np.inf:
            return IS_EXHAUSTED
        artist = int(catalogue.artist[track])
        rest = fitted.artist_fatigue ** plays.pop(artist, 0)
        if rest >= 1:
            return Drawn(track, 1.0)
        own, rest = catalogue.tracks_of(artist), max(rest, _LEAST_SHARE)
        scores[own] = np.log(rest) - np.logaddexp(np.log(1 - rest), -scores[own])
