"""Recommenders that follow the session by item factors; the same session gets the same track."""

import numpy as np
from numpy.random import Generator

from botify.model.factors import FACTORS, HISTORY
from botify.model.model import LISTS, Model
from botify.recommenders.base import (
    IS_UNKNOWN,
    Drawn,
    Recommender,
    Row,
    take_best,
    take_first,
)


class FoldIn(Recommender):
    """Takes the best track of the whole catalogue, by the factor of history and session."""

    reads = (FACTORS,)
    reads_for_arms = (HISTORY,)

    def draw(self, model: Model, row: Row, _: Generator) -> Drawn:
        """Solve the listener's factor, and take the track of the highest score."""
        factors, history = model.get(FACTORS), model.get(HISTORY)
        known = history.of(row.user) if history else {}
        factor = factors.solve(row.tracks, row.times, known) if factors else None
        if factors is None or factor is None:
            return IS_UNKNOWN
        taken = row.taken
        if history and history.filter_seen:
            taken |= {track for track, value in known.items() if value > 0}
        return take_best(factors.items @ factor.astype(np.float32), taken)


class Contextual(Recommender):
    """Takes the track of the whole catalogue that is nearest to the session's tracks."""

    reads = (FACTORS,)

    def draw(self, model: Model, row: Row, _: Generator) -> Drawn:
        """Weigh each track of the session by the share heard, and take the nearest track."""
        factors = model.get(FACTORS)
        if factors is None:
            return IS_UNKNOWN
        closeness = factors.closeness(row.tracks, np.array(row.times))
        if not closeness.any():
            return IS_UNKNOWN
        return take_best(closeness, row.taken)


class SessionAls(Recommender):
    """Takes the best of the own list, where tracks near liked ones rise, near skipped ones sink."""

    reads = (LISTS, FACTORS)

    # Chosen and not tuned.
    rank_weight = 0.25  # of a rank in the own list against the session
    liked_time = 0.3  # share heard from which a track counts as liked
    fading = 0.8  # weight of a track against the next one

    def draw(self, model: Model, row: Row, _: Generator) -> Drawn:
        """Rank the own list anew, and take the first track that is not taken."""
        factors, tracks = model.get(FACTORS), model.recommendations.list_of(row.user)
        if not tracks or factors is None:
            return IS_UNKNOWN
        ages = np.arange(len(row.tracks))[::-1]
        liking = (np.array(row.times) - self.liked_time) * self.fading**ages
        closeness = factors.closeness(row.tracks, liking)[tracks]
        ranks = np.arange(len(tracks)) / len(tracks)
        order = np.argsort(self.rank_weight * ranks - closeness, kind="stable").tolist()
        return take_first((tracks[i] for i in order), row.taken)
