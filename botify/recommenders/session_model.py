"""The recommender that infers the interest a session follows; the same session gets the same track.

The organic track and the listener say which interest the session follows, and how sure that is.
Each track heard since is an observation of the interest: the share heard has the mean
expit(interest . track), less by the fatigue of artists. A listener's session with an organic track
that is new may follow any of their interests, or a new one, and any session may change to another
of them: what is heard decides. The track with the longest expected time is recommended, where an
artist already heard counts for less.
"""

from collections.abc import Sequence

import numpy as np

from botify.model.catalogue import Catalogue
from botify.model.model import SESSION_MODEL, Model
from botify.model.session_model import SessionModel
from botify.recommenders.base import (
    IS_EXHAUSTED,
    IS_UNKNOWN,
    Batch,
    Drawn,
    Row,
    recommender,
)
from looplib.arrays import Float32Array, FloatArray

_LATEST = 32  # tracks of a session that count; earlier ones are ignored
_FARTHEST_LOGIT, _LEAST_SLOPE = 8.0, 0.1  # as in the fit
_LEAST_LASTING = 1e-3
_LEAST_SHARE = 1e-6  # of a time that fatigue and tiredness leave; less says nothing


@recommender(SESSION_MODEL, at_once=32)  # a row of scores is as long as the catalogue
def session_model(model: Model, batch: Batch, _: np.random.Generator) -> list[Drawn]:
    """Take the track with the longest expected time, by what the session has shown of its interest so far."""
    fitted = model.session_model
    if fitted is None:
        return [IS_UNKNOWN] * len(batch)
    plays = [_count_plays(model.catalogue, row) for row in batch]
    vectors = np.empty((len(batch), len(fitted.information)), dtype=np.float32)
    for vector, row, (earlier, _of_artists) in zip(vectors, batch, plays, strict=True):
        vector[:] = interest_of(fitted, row, earlier)
    scores = (
        (fitted.by_factor.T @ vectors[0])[None]
        if len(batch) == 1
        else vectors @ fitted.by_factor
    )
    return [
        _best(own, fitted, model.catalogue, row, of_artists)
        for own, row, (_earlier, of_artists) in zip(scores, batch, plays, strict=True)
    ]


def interest_of(fitted: SessionModel, row: Row, earlier: Sequence[int]) -> Float32Array:
    """Estimate the vector of the interest that a session follows, shape (k,).

    Each vector that the session may follow, with prior mean m and covariance C, is moved to its
    likeliest place by iteratively reweighted least squares, in the form for fewer observations than
    factors: with the features A (n, k) of the tracks heard, their working responses y
    (`recsys.session_model.likelihood`) and the variances R of these,

        x = m + C A' S^-1 (y - A m),    S = A C A' + R

    (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 3.4). The vector with the
    largest prior odds times density of the responses, N(y; A m, S) by the slopes of the shares, is
    the session's. Where that may have changed, a response counts by the chance that it has not
    since.

    Args:
        fitted: The model.
        row: The session.
        earlier: For each track heard, how many by its artist were before it.
    """
    expected = fitted.expected(row.user, row.tracks[0])
    tracks, times, rest = _heard(fitted, row, earlier)
    if not tracks:
        likeliest: Float32Array = expected.means[expected.log_odds.argmax()]
        return likeliest
    design = fitted.tracks[tracks].astype(np.float64)
    spread = expected.spread(design)
    prior, usual = spread @ design.T, expected.means @ design.T
    off, noise, damped = _linearise(fitted, usual, times, rest)
    total, diagonal, best = prior.copy(), np.arange(len(times)), 0
    lasting: FloatArray | float = 1.0
    total[:, diagonal, diagonal] += noise
    if len(usual) > 1:
        lower = np.linalg.cholesky(total)
        innovations = np.linalg.solve(lower, off[:, :, None])[:, :, 0]
        densities = -(innovations**2) / 2 - np.log(
            lower[:, diagonal, diagonal] * damped
        )
        if expected.anew is None:
            best = int(np.argmax(expected.log_odds + densities.sum(axis=1)))
        else:
            best, lasting = follow_changes(
                fitted.interest_change, expected.log_odds, expected.anew, densities
            )
            total[best, diagonal, diagonal] += noise[best] * (1 / lasting - 1)
    weights = np.linalg.solve(total[best], off[best])
    # a new interest may be far from what is expected: step once more
    if best == len(expected.variances):
        step = prior[best] @ weights
        off, noise, _ = _linearise(fitted, usual[best] + step, times, rest)
        total = prior[best]
        total[diagonal, diagonal] += noise / lasting
        weights = np.linalg.solve(total, off + step)
    found: Float32Array = expected.means[best] + weights @ spread[best]
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
    step = (1 - change) * np.eye(
        len(anew)
    ) + change * anew  # [i, j]: from vector i to vector j
    # of each vector after so many responses, up to a factor
    chances = np.empty((len(likelihoods) + 1, len(anew)))
    chances[0] = np.exp(log_odds - log_odds.max())
    for place, likelihood in enumerate(likelihoods):
        chances[place + 1] = (chances[place] @ step) * likelihood
    best = int(chances[-1].argmax())
    same = (1 - change) * chances[1:-1, best]
    lasting = same / (same + change * anew[best] * chances[1:-1].sum(axis=1))
    since = np.append(lasting, 1)[::-1].cumprod()[::-1]
    return best, np.maximum(since, _LEAST_LASTING)


def _linearise(
    fitted: SessionModel, logit: FloatArray, times: FloatArray, rest: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return how far logits (…, n) are off by the shares heard, the variance of that, and the slopes divided by."""
    phi = fitted.dispersion
    fresh = 1 / (1 + np.exp(-logit.clip(-_FARTHEST_LOGIT, _FARTHEST_LOGIT)))
    mean = rest * fresh
    slope = mean * (1 - fresh)
    damped = np.maximum(slope, rest * (_LEAST_SLOPE * min(1.0, 10 * phi)))
    noise = (phi * mean * (1 - mean) + fitted.resolution**2 / 12) / (slope * damped)
    return (times - mean) / damped, noise, damped


def _count_plays(catalogue: Catalogue, row: Row) -> tuple[list[int], dict[int, int]]:
    """Return how many tracks of its artist were before each track, and how many of each artist there are in all."""
    plays: dict[int, int] = {}
    earlier = []
    for artist in catalogue.artist[list(row.tracks)].tolist():
        count = plays.get(artist, 0)
        earlier.append(count)
        plays[artist] = count + 1
    return earlier, plays


def _heard(
    fitted: SessionModel, row: Row, earlier: Sequence[int]
) -> tuple[list[int], FloatArray, FloatArray]:
    """Return the latest recommended tracks heard for the first time, their times, and what was left of these.

    Fatigue of artists and tiredness leave less of a time than the same track has in a session's
    first place.
    """
    heard: dict[int, tuple[float, float]] = {row.tracks[0]: (1.0, 1.0)}
    for place, (track, time, plays) in enumerate(
        zip(row.tracks, row.times, earlier, strict=True)
    ):
        rest = fitted.artist_fatigue**plays * fitted.tiredness ** max(place - 1, 0)
        if rest > _LEAST_SHARE and track not in heard:
            heard[track] = (time, rest)
    tracks = list(heard)[1:][-_LATEST:]
    observed = np.array([heard[track] for track in tracks]).reshape(-1, 2)
    return tracks, observed[:, 0], observed[:, 1]


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
    while scores[track := int(scores.argmax())] > -np.inf:
        artist = int(catalogue.artist[track])
        rest = fitted.artist_fatigue ** plays.pop(artist, 0)
        if rest >= 1:
            return Drawn(track, 1.0)
        own, rest = catalogue.tracks_of(artist), max(rest, _LEAST_SHARE)
        scores[own] = np.log(rest) - np.logaddexp(np.log(1 - rest), -scores[own])
    return IS_EXHAUSTED
