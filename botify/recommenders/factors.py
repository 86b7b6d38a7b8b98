"""Recommenders that follow the session by item factors; the same session gets the same track."""

import numpy as np

from botify.model.model import FOLDING, LISTS, Model
from botify.recommenders.base import (
    IS_EXHAUSTED,
    IS_UNKNOWN,
    Batch,
    Drawn,
    recommender,
)

# Of `session_als`, chosen and not tuned: how much a rank in the listener's own list counts against
# the session, the share heard from which a track counts as liked, and how fast earlier tracks fade.
RANK_WEIGHT = 0.25
LIKED_TIME = 0.3
FADING = 0.8


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


@recommender(FOLDING)
def contextual(model: Model, batch: Batch, _: np.random.Generator) -> list[Drawn]:
    """Take the track of the whole catalogue that is nearest to the session's tracks."""
    drawn = []
    for row in batch:
        if not model.folding or len(row.taken) == len(model.catalogue):
            drawn.append(IS_EXHAUSTED if model.folding else IS_UNKNOWN)
            continue
        closeness = model.folding.closeness(row.tracks, np.array(row.times))
        is_known = closeness.any()
        closeness[list(row.tracks)] = -np.inf
        nearest = Drawn(int(closeness.argmax()), 1.0)
        drawn.append(nearest if is_known else IS_UNKNOWN)
    return drawn


@recommender(LISTS, FOLDING)
def session_als(model: Model, batch: Batch, _: np.random.Generator) -> list[Drawn]:
    """Take the best of the own list, where tracks near liked ones rise, near skipped ones sink."""
    drawn = []
    for row in batch:
        tracks = model.recommendations.list_of(row.user)
        if not tracks or not model.folding:
            drawn.append(IS_UNKNOWN)
            continue
        ages = np.arange(len(row.tracks))[::-1]
        liking = (np.array(row.times) - LIKED_TIME) * FADING**ages
        closeness = model.folding.closeness(row.tracks, liking)[tracks]
        ranks = np.arange(len(tracks)) / len(tracks)
        order = np.argsort(RANK_WEIGHT * ranks - closeness, kind="stable").tolist()
        left = [tracks[i] for i in order if tracks[i] not in row.taken]
        drawn.append(Drawn(left[0], 1.0) if left else IS_EXHAUSTED)
    return drawn
