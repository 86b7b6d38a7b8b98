"""The recommender that infers the interest a session follows; the same session gets the same track.

The organic track and the listener say which interest the session follows, and how sure that is. Each track heard since
is an observation of the interest: its logit is the product of the interest's vector with the track's, so the posterior
is that of a Bayesian linear regression. The track with the longest expected time is recommended, where an artist
already heard in the session counts for less.
"""

from collections import Counter

import numpy as np

from botify.model.catalogue import Catalogue
from botify.model.context import Context
from botify.model.model import Model
from botify.recommenders.base import IS_EXHAUSTED, IS_UNKNOWN, Batch, Drawn, Row, in_blocks
from looplib.arrays import Float32Array

_LEAST_SHARE = np.float32(1e-6)  # an expected share is kept so far from 0 and 1


@in_blocks(32)  # a row of scores is as long as the catalogue
def session_context(model: Model, batch: Batch, _: np.random.Generator) -> list[Drawn]:
    """Take the track with the longest expected time, by what the session has shown of its interest so far."""
    context = model.context
    if context is None:
        return [IS_UNKNOWN] * len(batch)
    vectors = np.stack([interest_of(context, model.catalogue, row) for row in batch])
    scores = vectors[:, :-1] @ context.tracks.T + vectors[:, -1:]
    return [_best(own, context, model.catalogue, row) for own, row in zip(scores, batch, strict=True)]


def interest_of(context: Context, catalogue: Catalogue, row: Row) -> Float32Array:
    """Estimate the vector of the interest that a session follows, shape (k + 1,).

    With prior mean m and precision P, the tracks heard A (n, k + 1), their logits y and weights w,

        x = m + (P + A' diag(w) A)^-1 A' diag(w) (y - A m)

    (Bishop, "Pattern Recognition and Machine Learning", 3.3.1). A time is scaled to what it would have been with a
    new artist; a weight is the inverse of the noise and what rounding adds.
    """
    mean, precision = context.prior(row.user, row.tracks[0])
    tracks, times = _fresh_times(context, catalogue, row)
    if not tracks:
        return mean
    step = context.resolution
    share = np.clip(times, step / 4, 1 - step / 4)
    weight = 1 / (context.noise + step**2 / 12 / (share * (1 - share)) ** 2)
    design = np.ones((len(tracks), len(mean)))
    design[:, :-1] = context.tracks[tracks]
    off = np.log(share / (1 - share)) - design @ mean
    moved: Float32Array = mean + np.linalg.solve(precision + (design.T * weight) @ design, design.T @ (weight * off))
    return moved.astype(np.float32)


def _fresh_times(context: Context, catalogue: Catalogue, row: Row) -> tuple[list[int], list[float]]:
    """Return the recommended tracks heard for the first time, and the times expected had their artists been new."""
    artists = catalogue.artist[list(row.tracks)].tolist()
    plays = Counter(artists[:1])
    known = {row.tracks[0]}
    tracks, times = [], []
    for track, time, artist in zip(row.tracks[1:], row.times[1:], artists[1:], strict=True):
        tiredness = context.artist_fatigue ** plays[artist]
        plays[artist] += 1
        if track not in known and tiredness > 0:
            known.add(track)
            tracks.append(track)
            times.append(time / tiredness)
    return tracks, times


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
