"""Compare a ranker with three simple rules on the newest sessions, which it has not seen.

The ranker learns from the older sessions: trees from the newest of these, with the closeness of
tracks in the sessions before. precision@20, as session models report it, is the share of next
tracks among the 20 best (the hit rate), mrr@20 the mean of 1 / rank, 0 beyond 20. No list has a
track that the session has heard.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from looplib.arrays import (
    NO_TRACK,
    BoolArray,
    FloatArray,
    Int32Array,
    IntArray,
    count_up,
)
from looplib.next_play import Facts, Ranker
from looplib.randomness import make_generator
from looplib.trees import Ensemble
from recsys.errors import SearchError
from recsys.live.ranker import HELD_OUT, gather_facts, learn, same_artist
from recsys.live.sessions import Sessions
from recsys.models.factors import fill_up
from recsys.models.sparse import divide_rows, top_products

NAME = "live"
K = 20
PRECISION = f"precision@{K}"
MRR = f"mrr@{K}"
_MOST = 10_000  # plays that are learned from here, and next tracks that are predicted
_LONGEST = 100  # of a session, the next tracks up to this one are predicted
_POPULAR = 2 * _LONGEST  # tracks that lists are filled up with
_RESAMPLES = 1000


@dataclass(frozen=True)
class Comparison:
    """The ranker beside simple rules."""

    sessions: int  # whose next tracks were predicted
    predictions: int
    # by the name of the ranker or rule, then of the metric
    metrics: Mapping[str, Mapping[str, Interval]]
    best_rule: str  # by precision
    ratio: Interval  # precision of the ranker over that of the best rule
    is_better: bool  # precision of the ranker is significantly higher than of each rule


def compare(sessions: Sessions, facts: Facts, seed: int, threads: int) -> Comparison:
    """Learn a ranker from the older sessions, and compare it on the newest.

    Args:
        sessions: All sessions.
        facts: Facts of the tracks by the older sessions.
        seed: Decides which plays are learned from and predicted.
        threads: Number of tracks that are computed at once.

    Raises:
        SearchError: There are too few sessions to learn from or to predict.
    """
    older, newest = sessions.split(HELD_OUT)
    oldest, _ = older.split(HELD_OUT)
    trees = learn(older, gather_facts(oldest, threads), seed, _MOST)
    ranker = Ranker(facts, Ensemble(trees))

    place = count_up(newest.counts)
    predicted = np.flatnonzero((place > 0) & (place < _LONGEST))
    if not len(predicted):
        raise SearchError("no session of the newest has two tracks")
    count = min(len(predicted), _MOST)
    generator = make_generator(seed, "live gate")
    plays = np.sort(generator.choice(predicted, count, replace=False))
    length = place[plays]  # of each session so far
    row = np.repeat(np.arange(count), length)
    column = newest.tracks[(plays - length)[row] + count_up(length)]
    heard = csr_matrix((np.ones(len(row)), (row, column)), (count, len(facts.plays)))
    rules = _simple_rules(older, facts, newest.tracks[plays - 1], heard, threads)
    best = np.full((count, K), NO_TRACK, np.int32)
    at = np.flatnonzero(sessions.mark_newest(HELD_OUT))[plays]
    for prediction, history in enumerate(sessions.histories(at)):
        ranked = ranker.rank(history, heard[prediction].indices.tolist())[:K]
        best[prediction, : len(ranked)] = ranked

    session = np.repeat(np.arange(len(newest)), newest.counts)[plays]
    hits = {
        name: find_hits(fill_up(tracks, rules["popular"]), newest.tracks[plays])
        for name, tracks in {NAME: best, **rules}.items()
    }
    _, listener = np.unique(newest.listeners[session], return_inverse=True)
    return _summarise(hits, listener, len(np.unique(session)), seed)


def find_hits(lists: Int32Array, targets: Int32Array) -> tuple[BoolArray, FloatArray]:
    """Find each next track in its list: whether it is there, and 1 / rank or 0."""
    is_hit = lists == targets[:, np.newaxis]
    reciprocal = is_hit / np.arange(1, lists.shape[1] + 1)
    return is_hit.any(axis=1), reciprocal.sum(axis=1)


def _simple_rules(
    train: Sessions, facts: Facts, last: Int32Array, heard: csr_matrix, threads: int
) -> dict[str, Int32Array]:
    """Recommend by popular, item-kNN of the track just heard, and sticky artist."""
    popular = np.argsort(-facts.plays, kind="stable")[:_POPULAR]
    positions = (np.zeros(len(popular), np.int64), popular)
    plays = csr_matrix((facts.plays[popular], positions), (1, heard.shape[1]))

    session = np.repeat(np.arange(len(train)), train.counts)
    shape = (heard.shape[1], len(train))
    in_session = csr_matrix((np.ones(len(session)), (train.tracks, session)), shape)
    in_session.data[:] = 1
    cosines = divide_rows(in_session, np.sqrt(np.diff(in_session.indptr)))
    rows = (np.ones(len(last)), last, np.arange(len(last) + 1))
    just_heard = csr_matrix(rows, heard.shape)
    products = {
        "popular": (csr_matrix(np.ones((len(last), 1))), plays),
        "item_knn": (cosines[last], csr_matrix(cosines.T)),
        "sticky_artist": (just_heard, same_artist(train, threads)),
    }
    return {
        name: top_products(left, right, K, threads, heard)[0]
        for name, (left, right) in products.items()
    }


def _summarise(
    hits: Mapping[str, tuple[BoolArray, FloatArray]],
    listener: IntArray,
    sessions: int,
    seed: int,
) -> Comparison:
    """Compute metrics and differences with intervals of a bootstrap over listeners."""
    counts = np.bincount(listener).astype(np.float64)
    sums = {
        name: [np.bincount(listener, values) for values in both]
        for name, both in hits.items()
    }
    precise = {name: both[0] for name, both in sums.items()}
    ranker = precise.pop(NAME)
    best_rule = max(precise, key=lambda name: float(precise[name].sum()))
    parts = [values for both in sums.values() for values in both]
    parts += [ranker - rule for rule in precise.values()]
    numerators = np.stack([*parts, ranker], axis=1)
    denominators = np.stack([counts] * len(parts) + [precise[best_rule]], axis=1)
    resamples = bootstrap.Resamples(len(counts), _RESAMPLES, seed)
    *intervals, ratio = bootstrap.ratio_intervals(resamples, numerators, denominators)
    pairs = zip(intervals[::2], intervals[1::2], strict=False)
    metrics = {
        name: {PRECISION: precision, MRR: mrr}
        for name, (precision, mrr) in zip(sums, pairs, strict=False)
    }
    differences = intervals[2 * len(sums) :]
    is_better = all(difference.lower > 0 for difference in differences)
    return Comparison(sessions, len(listener), metrics, best_rule, ratio, is_better)
