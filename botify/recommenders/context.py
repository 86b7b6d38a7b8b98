"""The recommender that infers the interest a session follows; the same session gets the same track.

The organic track and the listener say which interest the session follows, and how sure that is. Each track heard since
is an observation of the interest: the share heard has the mean expit(interest . track), less by the fatigue of artists.
A listener's session with an organic track that is new may follow any of their interests, or a new one: what is heard
decides. The track with the longest expected time is recommended, where an artist already heard counts for less.
"""

from collections import Counter

import numpy as np

from botify.model.catalogue import Catalogue
from botify.model.context import Context
from botify.model.model import Model
from botify.recommenders.base import IS_EXHAUSTED, IS_UNKNOWN, Batch, Drawn, Row, in_blocks
from looplib.arrays import Float32Array, FloatArray

_LATEST = 32  # tracks of a session that count; earlier ones are ignored
_FARTHEST_LOGIT, _LEAST_SLOPE = 8.0, 0.1  # as in the fit
_LEAST_SHARE = np.float32(1e-6)  # an expected share is kept so far from 0 and 1


@in_blocks(32)  # a row of scores is as long as the catalogue
def session_context(model: Model, batch: Batch, _: np.random.Generator) -> list[Drawn]:
    """Take the track with the longest expected time, by what the session has shown of its interest so far."""
    context = model.context
    if context is None:
        return [IS_UNKNOWN] * len(batch)
    vectors = np.stack([interest_of(context, model.catalogue, row) for row in batch])
    scores = vectors @ context.tracks.T
    return [_best(own, context, model.catalogue, row) for own, row in zip(scores, batch, strict=True)]


def interest_of(context: Context, catalogue: Catalogue, row: Row) -> Float32Array:
    """Estimate the vector of the interest that a session follows, shape (k,).

    Each vector that the session may follow, with prior mean m and covariance C, is moved to its likeliest place by
    iteratively reweighted least squares, in the form for fewer observations than factors: with the features A (n, k) of
    the tracks heard, their working responses y (`recsys.session_model.likelihood`) and the variances R of these,

        x = m + C A' S^-1 (y - A m),    S = A C A' + R

    (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 3.4). The vector with the largest prior odds
    times density of the responses, N(y; A m, S) by the slopes of the shares, is the session's.
    """
    expected = context.expected(row.user, row.tracks[0])
    tracks, times, rest = _heard(context, catalogue, row)
    if not tracks:
        likeliest: Float32Array = expected.means[expected.log_odds.argmax()]
        return likeliest
    design = context.tracks[tracks].astype(np.float64)
    spread = expected.spread(design)
    prior, usual = spread @ design.T, expected.means @ design.T
    off, total, damped = _linearise(context, usual, prior, times, rest)
    moved = np.linalg.solve(total, off[:, :, None])[:, :, 0]
    best = 0
    if len(usual) > 1:
        fit = np.einsum("vn,vn->v", off, moved) + np.linalg.slogdet(total)[1]
        best = int(np.argmax(expected.log_odds - fit / 2 - np.log(damped).sum(axis=1)))
    weights = moved[best]
    if best == len(expected.variances):  # a new interest may be far from what is expected: step once more
        step = prior[best] @ weights
        off, total, _ = _linearise(context, usual[best] + step, prior[best], times, rest)
        weights = np.linalg.solve(total, off + step)
    found: Float32Array = (expected.means[best] + weights @ spread[best]).astype(np.float32)
    return found


def _linearise(
    context: Context, logit: FloatArray, prior: FloatArray, times: FloatArray, rest: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return how far logits (…, n) are off by the shares heard, the variance S of that, and the slopes divided by."""
    phi = context.dispersion
    fresh = 1 / (1 + np.exp(-logit.clip(-_FARTHEST_LOGIT, _FARTHEST_LOGIT)))
    mean = rest * fresh
    slope = mean * (1 - fresh)
    damped = np.maximum(slope, rest * (_LEAST_SLOPE * min(1.0, 10 * phi)))
    total = prior.copy()
    each = np.arange(len(times))
    total[..., each, each] += (phi * mean * (1 - mean) + context.resolution**2 / 12) / (slope * damped)
    return (times - mean) / damped, total, damped


def _heard(context: Context, catalogue: Catalogue, row: Row) -> tuple[list[int], FloatArray, FloatArray]:
    """Return the latest recommended tracks heard for the first time, their times, and what fatigue left of these."""
    artists = catalogue.artist[list(row.tracks)].tolist()
    plays = Counter(artists[:1])
    heard: dict[int, tuple[float, float]] = {row.tracks[0]: (1.0, 1.0)}
    for track, time, artist in zip(row.tracks[1:], row.times[1:], artists[1:], strict=True):
        rest = context.artist_fatigue ** plays[artist]
        plays[artist] += 1
        if rest > 0:
            heard.setdefault(track, (time, rest))
    tracks = list(heard)[1:][-_LATEST:]
    observed = np.array([heard[track] for track in tracks]).reshape(-1, 2)
    return tracks, observed[:, 0], observed[:, 1]


def _best(scores: Float32Array, context: Context, catalogue: Catalogue, row: Row) -> Drawn:
    """Take the track with the highest logit, where those of artists heard are lowered; scores are changed in place."""
    plays = Counter(catalogue.artist[list(row.tracks)].tolist())
    of_artists = [catalogue.tracks_of(artist) for artist in plays]
    tracks, counts = np.concatenate(of_artists), np.repeat(list(plays.values()), list(map(len, of_artists)))
    share = (context.artist_fatigue**counts / (1 + np.exp(-scores[tracks]))).astype(np.float32)
    share = np.clip(share, _LEAST_SHARE, 1 - _LEAST_SHARE)
    scores[tracks] = np.log(share / (1 - share))
    scores[list(row.taken)] = -np.inf
    track = int(scores.argmax())
    return Drawn(track, 1.0) if scores[track] > -np.inf else IS_EXHAUSTED
