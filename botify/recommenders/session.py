"""Recommenders that score tracks by the session so far; the same session gets the same track."""

import numpy as np
from numpy.random import Generator

from botify.model.factors import FACTORS, HISTORY
from botify.model.model import LISTS, ServedModel
from botify.model.next_track import NEXT_TRACK
from botify.recommenders.base import (
    UNKNOWN,
    Drawn,
    Query,
    Recommender,
    take_best,
    take_first,
)
from looplib.arrays import NO_TRACK
from looplib.next_track_file import LATEST


class FoldIn(Recommender):
    """Takes the best track of the whole catalogue, by the factor of history and session."""

    reads = (FACTORS,)
    reads_for_arms = (HISTORY,)

    def draw(self, model: ServedModel, query: Query, _: Generator) -> Drawn:
        """Solve the listener's factor, and take the track of the highest score."""
        factors, history = model.get(FACTORS), model.get(HISTORY)
        if factors is None:
            return UNKNOWN
        values = history.values_of(query.user) if history else {}
        factor = factors.solve(query.tracks, query.times, values)
        if factor is None:
            return UNKNOWN
        taken = query.taken
        if factors.filter_seen:
            taken |= {track for track, value in values.items() if value > 0}
        return take_best(factors.items @ factor.astype(np.float32), taken)


class Contextual(Recommender):
    """Takes the track of the whole catalogue that is nearest to the session's tracks."""

    reads = (FACTORS,)

    def draw(self, model: ServedModel, query: Query, _: Generator) -> Drawn:
        """Weigh each track of the session by the share heard, and take the nearest track."""
        factors = model.get(FACTORS)
        if factors is None:
            return UNKNOWN
        closeness = factors.closeness(query.tracks, np.array(query.times))
        if not closeness.any():
            return UNKNOWN
        return take_best(closeness, query.taken)


class SessionAls(Recommender):
    """Takes the best of the listener's list, re-ranked by what was liked and skipped."""

    reads = (LISTS, FACTORS)

    # Chosen and not tuned.
    rank_weight = 0.25  # of a rank in the list against the session
    liked_time = 0.3  # share heard from which a track counts as liked
    fading = 0.8  # weight of a track against the next one

    def draw(self, model: ServedModel, query: Query, _: Generator) -> Drawn:
        """Re-rank the list, and take the first track that is not taken.

        Tracks near liked ones rise, those near skipped ones sink.
        """
        factors, tracks = model.get(FACTORS), model.recommendations.list_of(query.user)
        if not tracks or factors is None:
            return UNKNOWN
        ages = np.arange(len(query.tracks))[::-1]
        liking = (np.array(query.times) - self.liked_time) * self.fading**ages
        closeness = factors.closeness(query.tracks, liking)[tracks]
        ranks = np.arange(len(tracks)) / len(tracks)
        order = np.argsort(self.rank_weight * ranks - closeness, kind="stable").tolist()
        return take_first((tracks[i] for i in order), query.taken)


class FollowSession(Recommender):
    """Takes the track nearest to the latest of the session and to the listener's own plays."""

    reads = (NEXT_TRACK,)

    def draw(self, model: ServedModel, query: Query, _: Generator) -> Drawn:
        """Score all tracks by the next-track model, and take the best that is not taken."""
        next_track = model.get(NEXT_TRACK)
        if next_track is None:
            return UNKNOWN
        near, listened = next_track
        scores = np.zeros(len(model.catalogue))
        for ago, track in enumerate(reversed(query.tracks[-LATEST:]), start=1):
            if track != NO_TRACK:
                tracks, closeness = near.find(track)
                scores[tracks] += closeness / ago
        tracks, added = listened.find(query.user)
        scores[tracks] += added
        if not scores.any():
            return UNKNOWN
        scores[scores == 0] = -np.inf
        return take_best(scores, query.taken)
