"""Compare a ranker with three simple rules on the newest sessions, which it has not seen.

The ranker learns from the older sessions alone: its trees from the newest of these, and closeness
from the sessions before. precision@20, as session models report it, is the share of next
tracks among the 20 best (the hit rate), mrr@20 the mean of 1 / rank, 0 beyond 20. No list has a
track that the session has heard; popular tracks fill short lists.
"""

from typing import Any

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix

from analysis.statistics import bootstrap
from looplib.arrays import NO_TRACK, FloatArray, Int32Array, IntArray, count_up
from looplib.memory import tracks_of
from looplib.next_play import NONE, Facts, Ranker, add_up
from looplib.randomness import make_generator
from looplib.trees import Ensemble, Trees
from recsys.errors import SearchError
from recsys.live.ranker import HELD_OUT, gather_facts, learn, same_category
from recsys.live.sessions import Sessions
from recsys.models.sparse import rank_rows, top_products

NAMES = ("live", "popular", "item_knn", "sticky_artist")
K = 20
METRICS = (f"precision@{K}", f"mrr@{K}")
MOST = 10_000  # plays that are learned from here, and next tracks that are predicted
_LONGEST = 100  # tracks of a session after which nothing is predicted
_LISTED = K + _LONGEST  # length of a rule's list, of which K are left at least
_RESAMPLES = 1000


def compare(
    sessions: Sessions,
    facts: Facts,
    seed: int,
    threads: int,
    trees: Trees | None = None,
) -> tuple[dict[str, Any], bool]:
    """Learn a ranker from the older sessions, and compare it on the newest.

    Args:
        sessions: All sessions.
        facts: Facts of the tracks by the older sessions.
        seed: Decides which plays are learned from and predicted.
        threads: Number of tracks that are computed at once.
        trees: The ranker's, if they have been learned.

    Returns:
        The figures, as the manifest has them, and whether the precision of the ranker is
            significantly higher than the precision of each rule.

    Raises:
        SearchError: There are too few sessions to learn from or to predict.
    """
    older, newest = sessions.split(HELD_OUT)
    if trees is None:
        oldest, _ = older.split(HELD_OUT)
        trees = learn(older, gather_facts(oldest, threads), seed, MOST)
    ranker = Ranker(facts, Ensemble(trees))

    place = count_up(newest.counts)
    is_played = newest.tracks >= 0
    predicted = np.flatnonzero((place > 0) & (place < _LONGEST) & is_played)
    if not len(predicted):
        raise SearchError("none of the newest sessions has two tracks")
    count = min(len(predicted), MOST)
    generator = make_generator(seed, "live gate")
    plays = np.sort(generator.choice(predicted, count, replace=False))
    positions = np.flatnonzero(sessions.mark_newest(HELD_OUT))[plays]

    most_played = np.argsort(-facts.plays, kind="stable")[:_LISTED]
    popular = most_played[facts.plays[most_played] > 0].tolist()
    tracks = tracks_of(newest.tracks)
    last = tracks[plays - 1]
    older = older.select(older.tracks >= 0)
    item_knn = _item_knn(older, last, threads)
    artists = sessions.features.split_groups[0]
    sticky_artist = rank_rows(same_category(older, artists, threads)[last], _LISTED)
    ranks = np.full((len(NAMES), count), np.inf)
    for at, (play, history) in enumerate(
        zip(plays, sessions.histories(positions), strict=True)
    ):
        heard = {*tracks[play - place[play] : play].tolist(), NO_TRACK}
        lists = (ranker.rank(history, heard), NONE, item_knn[at], sticky_artist[at])
        target = int(newest.tracks[play])
        for rank, tracks in zip(ranks, lists, strict=True):
            filled = dict.fromkeys([*map(int, tracks), *popular])
            best = [track for track in filled if track not in heard][:K]
            if target in best:
                rank[at] = 1 + best.index(target)

    session = np.searchsorted(newest.indptr, plays, side="right") - 1
    figures, is_better = _summarise(ranks, newest.listeners[session], seed)
    counts = {"sessions": len(np.unique(session)), "predictions": count}
    return counts | figures, is_better


def _item_knn(train: Sessions, tracks: Int32Array, threads: int) -> Int32Array:
    """Rank the tracks that share most sessions with some tracks, by the cosine.

    Shape (tracks given, _LISTED).
    """
    # a column a session, in which a track counts once
    played = (np.ones(len(train.tracks), np.bool_), train.tracks, train.indptr)
    by_session = csc_matrix(
        played, (train.features.groups.shape[1], len(train)), copy=True
    )
    by_session.sum_duplicates()
    is_in = by_session.tocsr()
    counts = np.diff(is_in.indptr)
    lengths = np.sqrt(np.maximum(counts, 1))
    values = np.repeat((1 / lengths).astype(np.float32), counts)
    cosines = csr_matrix((values, is_in.indices, is_in.indptr), is_in.shape)
    return top_products(cosines[tracks], csr_matrix(cosines.T), _LISTED, threads)[0]


def _summarise(
    ranks: FloatArray, listeners: IntArray, seed: int
) -> tuple[dict[str, Any], bool]:
    """Compute metrics and differences with intervals of a bootstrap over listeners.

    Args:
        ranks: Ranks of the next tracks by each of `NAMES`, inf beyond K, shape (4, predictions).
        listeners: Row of the listener of each prediction.
        seed: Seed of the resamples.

    Returns:
        The figures, and whether the first is significantly more precise than each other.
    """
    hits = np.isfinite(ranks).astype(np.float64)
    values = np.concatenate([hits, 1 / ranks, hits[0] - hits[1:]])
    _, listener = np.unique(listeners, return_inverse=True)
    counts = np.bincount(listener).astype(np.float64)
    sums = np.stack([add_up(listener, row, len(counts)) for row in values], axis=1)
    best = 1 + int(hits[1:].sum(axis=1).argmax())
    numerators = np.column_stack([sums, sums[:, 0]])
    denominators = np.column_stack([*[counts] * len(values), sums[:, best]])
    resamples = bootstrap.Resamples(len(counts), _RESAMPLES, seed)
    estimates = bootstrap.ratio_intervals(resamples, numerators, denominators)
    size = len(NAMES)
    is_better = all(lead.lower > 0 for lead in estimates[2 * size : -1])
    *intervals, ratio = map(tuple, estimates)
    pairs = zip(intervals[:size], intervals[size:], strict=False)
    figures = {
        "metrics": {
            name: dict(zip(METRICS, pair, strict=True))
            for name, pair in zip(NAMES, pairs, strict=False)
        },
        "best_rule": NAMES[best],
        "ratio": ratio,
    }
    return figures, is_better
