"""Recommenders that follow the session by item factors; the same session gets the same track.

The session is a direction in the factors' space: the sum of the directions of its tracks, each
weighted by how long it was heard. A candidate's affinity is its scalar product with that, which is
the weighted sum of its cosines with the tracks heard.
"""

import numpy as np

from botify.model.model import FACTORS, FOLDING, LISTS, NEIGHBOURS, Model
from botify.model.tracklists import NO_TRACK
from botify.recommenders.base import (
    IS_EXHAUSTED,
    IS_UNKNOWN,
    Batch,
    Drawn,
    recommender,
)
from looplib.arrays import Float32Array, IntArray

LATEST = 8  # tracks of a session that count; earlier ones are ignored
# Of `session_als`, chosen and not tuned: how much a rank in the listener's own list counts against
# the session, the share heard from which a track counts as liked, and how fast earlier tracks fade.
RANK_WEIGHT = 0.25
LIKED_TIME = 0.3
FADING = 0.8


@recommender(NEIGHBOURS, FACTORS, at_once=128)
def contextual(model: Model, batch: Batch, _: np.random.Generator) -> list[Drawn]:
    """Take the neighbour of the session's tracks that is nearest to the session."""
    if model.neighbours is None:
        return [IS_UNKNOWN] * len(batch)
    heard, times = _session_arrays(batch)
    neighbours = model.neighbours.lists_of(heard)
    candidates = neighbours.reshape(len(batch), -1).astype(np.int64)
    return _best(candidates, _affinity(model, candidates, heard, times), batch)


@recommender(FOLDING)
def fold_in(model: Model, batch: Batch, _: np.random.Generator) -> list[Drawn]:
    """Take the best track of the whole catalogue, by the factor of history and session."""
    folding, drawn = model.folding, []
    for row in batch:
        factor = folding.solve(row.tracks, row.times, row.user) if folding else None
        if folding is None or factor is None:
            drawn.append(IS_UNKNOWN)
            continue
        track = folding.best(factor, row.taken | folding.seen(row.user))
        drawn.append(IS_EXHAUSTED if track is None else Drawn(track, 1.0))
    return drawn


@recommender(LISTS, FACTORS, at_once=128)
def session_als(model: Model, batch: Batch, _: np.random.Generator) -> list[Drawn]:
    """Take the best of the own list, where tracks near liked ones rise, near skipped ones sink."""
    heard, times = _session_arrays(batch)
    users = np.array([row.user for row in batch])
    candidates = model.recommendations.lists_of(users).astype(np.int64)
    age = np.arange(heard.shape[1] - 1, -1, -1)
    liking = (times - LIKED_TIME) * FADING**age
    weights = np.where(heard == NO_TRACK, 0, liking).astype(np.float32)
    rank = np.arange(candidates.shape[1]) / candidates.shape[1]
    penalty = (RANK_WEIGHT * rank).astype(np.float32)
    scores = _affinity(model, candidates, heard, weights) - penalty
    return _best(candidates, scores, batch)


def _session_arrays(batch: Batch) -> tuple[IntArray, Float32Array]:
    """Return tracks and times of the sessions, (rows, at most LATEST), padded at the front."""
    width = min(LATEST, max(len(row.tracks) for row in batch))
    heard = np.full((len(batch), width), NO_TRACK, dtype=np.int64)
    times = np.zeros((len(batch), width), dtype=np.float32)
    for i, row in enumerate(batch):
        count = min(width, len(row.tracks))
        heard[i, width - count :] = row.tracks[-count:]
        times[i, width - count :] = row.times[-count:]
    return heard, times


def _affinity(
    model: Model, candidates: IntArray, heard: IntArray, weights: Float32Array
) -> Float32Array:
    """Return the scalar product of each candidate with its row's session, (rows, candidates)."""
    directions = model.directions
    if directions is None:
        return np.zeros(candidates.shape, dtype=np.float32)
    # (rows, 1, factors); the weight of NO_TRACK is 0
    session = np.matmul(weights[:, None, :], directions[heard])
    affinity = np.matmul(directions[candidates], session.transpose(0, 2, 1))
    return affinity[:, :, 0]  # type: ignore[no-any-return]  # of a product NumPy knows no type


def _best(candidates: IntArray, scores: Float32Array, batch: Batch) -> list[Drawn]:
    """Take the candidate with the highest score that is not taken, for each row."""
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(candidates, order, axis=1).tolist()
    drawn = []
    for row, tracks in zip(batch, ranked, strict=True):
        known = [track for track in tracks if track != NO_TRACK]
        free = next((track for track in known if track not in row.taken), None)
        if free is not None:
            drawn.append(Drawn(free, 1.0))
        else:
            drawn.append(IS_EXHAUSTED if known else IS_UNKNOWN)
    return drawn
