"""Take the track that scores best by the session so far; the same session gets the same track."""

import numpy as np
from numpy.random import Generator

from botify.model.factors import FACTORS, HISTORY
from botify.model.model import ServedModel
from botify.model.next_track import NEXT_TRACK
from botify.model.plays import PLAYS
from botify.recommenders.base import (
    UNKNOWN,
    Drawn,
    Query,
    take_best,
    take_first,
)
from looplib.arrays import NO_TRACK
from looplib.next_track_file import DECAY, LATEST, find_followers

# Of `session_als`; chosen and not tuned.
_RANK_WEIGHT = 0.25  # of a rank in the list against the session
_LIKED_TIME = 0.3  # share heard from which a track counts as liked
_FADING = 0.8  # weight of a track against the next one


def fold_in(model: ServedModel, query: Query, _: Generator) -> Drawn:
    """Take the best track of the whole catalogue, by the factor of history and session."""
    factors, history = model.get(FACTORS), model.get(HISTORY)
    if factors is None:
        return UNKNOWN
    values = history.values_of(query.user) if history else {}
    factor = factors.solve(query.tracks, query.times, values)
    if factor is None:
        return UNKNOWN
    taken = query.taken
    if factors.filter_seen:
        taken = taken | {track for track, value in values.items() if value > 0}
    scores = factors.items[query.pool] @ factor.astype(np.float32)
    return take_best(scores, taken, query.count, query.candidates)


def contextual(model: ServedModel, query: Query, _: Generator) -> Drawn:
    """Take the track of the whole catalogue that is nearest to the session's tracks.

    Each is weighted by the share heard.
    """
    factors = model.get(FACTORS)
    if factors is None:
        return UNKNOWN
    times = np.array(query.times)
    closeness = factors.closeness(query.tracks, times, query.pool)
    if not closeness.any():
        return UNKNOWN
    return take_best(closeness, query.taken, query.count, query.candidates)


def session_als(model: ServedModel, query: Query, _: Generator) -> Drawn:
    """Take the best of the listener's list, re-ranked by what was liked and skipped.

    Tracks near liked ones rise, those near skipped ones sink.
    """
    factors, tracks = model.get(FACTORS), model.recommendations.list_of(query.user)
    if not tracks or factors is None:
        return UNKNOWN
    ages = np.arange(len(query.tracks))[::-1]
    liking = (np.array(query.times) - _LIKED_TIME) * _FADING**ages
    closeness = factors.closeness(query.tracks, liking, np.array(tracks))
    ranks = np.arange(len(tracks)) / len(tracks)
    order = np.argsort(_RANK_WEIGHT * ranks - closeness, kind="stable").tolist()
    ranked = query.allowed(tracks[i] for i in order)
    return take_first(ranked, query.count)


def follow_session(model: ServedModel, query: Query, _: Generator) -> Drawn:
    """Take the track nearest to the latest of the session and to the listener's own plays."""
    next_track, learned = model.get(NEXT_TRACK), model.get(PLAYS)
    if next_track is None:
        return UNKNOWN
    heard = np.array(query.tracks[: -LATEST - 1 : -1], np.int64)
    is_there = heard != NO_TRACK
    ago = np.flatnonzero(is_there) + 1
    heard = heard[is_there]
    near, closeness, cue = next_track.near.gather(heard)
    after, following = next_track.last.gather(heard[ago == 1])[:2]
    parts = [(near, closeness / ago[cue]), (after, following)]
    plays = learned.find(query.user) if learned else heard[:0]
    if len(plays):
        activation = np.arange(len(plays), 0, -1.0) ** -DECAY
        activation *= next_track.listener / activation.sum()
        followed = find_followers(plays, zip(heard, 1 / ago, strict=True))
        parts.append((plays, activation + next_track.followed * followed))
    tracks, added = map(np.concatenate, zip(*parts, strict=True))
    candidates, position = np.unique(tracks, return_inverse=True)
    scores = np.bincount(position, added)
    order = np.argsort(-scores, kind="stable")
    best = candidates[order][scores[order] > 0].tolist()
    ranked = query.allowed(best)
    return take_first(ranked, query.count) if best else UNKNOWN
