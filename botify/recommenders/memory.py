"""Rank tracks by all plays of a listener up to this moment."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from botify.model.factors import FACTORS, HISTORY
from botify.model.model import ServedModel
from botify.model.plays import PLAYS
from botify.model.ranker import LIVE
from botify.recommenders.base import (
    UNKNOWN,
    Drawn,
    Query,
    Recommender,
    take_best,
    take_first,
)
from looplib.arrays import FloatArray, Int32Array
from looplib.memory import pack_plays, turn, unpack_plays


def plays_until_now(model: ServedModel, query: Query) -> Int32Array:
    """Find the latest plays and skips of a listener in all sessions, the newest last."""
    records = query.plays
    if records is None:  # the session alone is known, as without Redis
        heard = zip(query.tracks, query.times, strict=True)
        plays = [turn(track) if time < model.skip else track for track, time in heard]
        records = pack_plays(plays, 2**32 - 1)
    learned = model.get(PLAYS)
    if learned is None:
        return unpack_plays(records)["track"]
    return learned.extend(query.user, records)


def by_plays(decay: Callable[[FloatArray], FloatArray]) -> Recommender:
    """Make the recommender of the tracks whose plays have the largest sum of weights.

    Args:
        decay: Computes the weights of plays from how many plays ago they were.
    """

    def draw(model: ServedModel, query: Query, _: Generator) -> Drawn:
        plays = plays_until_now(model, query)
        newest_first = plays[plays >= 0][::-1]
        if not len(newest_first):
            return UNKNOWN
        weights = decay(np.arange(1.0, len(newest_first) + 1))
        heard, newest, track = np.unique(
            newest_first, return_index=True, return_inverse=True
        )
        order = np.lexsort((newest, -np.bincount(track, weights)))
        ranked = query.allowed(heard[order].tolist())
        return take_first(ranked, query.count)

    return Recommender(draw, reads_for_arms=(PLAYS,), ranks=True)


def rank_next(model: ServedModel, query: Query, _: Generator) -> Drawn:
    """Take the track that is likeliest to be played next, by the exported ranker."""
    ranker, plays = model.get(LIVE), plays_until_now(model, query)
    if ranker is None or not (plays >= 0).any():
        return UNKNOWN
    ranked = ranker.rank(plays, query.taken).tolist()
    return take_first(query.allowed(ranked), query.count)


def fold_in_history(model: ServedModel, query: Query, _: Generator) -> Drawn:
    """Take the best track of the catalogue by a factor solved from history and session."""
    factors, history = model.get(FACTORS), model.get(HISTORY)
    if factors is None:
        return UNKNOWN
    values = history.values_of(query.user) if history else {}
    times = [time if time >= model.skip else 0.0 for time in query.times]
    factor = factors.solve(query.tracks, times, values)
    if factor is None:
        return UNKNOWN
    taken = query.taken
    if factors.filter_seen:
        taken = taken | {track for track, value in values.items() if value > 0}
    scores = factors.items[query.pool] @ factor.astype(np.float32)
    return take_best(scores, taken, query.count, query.candidates)


live = Recommender(rank_next, reads=(LIVE,), reads_for_arms=(PLAYS,), ranks=True)
fold_in = Recommender(
    fold_in_history, reads=(FACTORS,), reads_for_arms=(HISTORY,), ranks=True
)
most_played = by_plays(np.ones_like)
# each play outweighs all plays before it
latest = by_plays(lambda age: np.exp2(-age))
# This is `recsys.models.activation` at its default decay.
activation = by_plays(lambda age: age**-0.5)
