"""Score predictions of the next track on sessions held out, beside three simple rules.

precision@20 is the share of next tracks that are among the 20 best, mrr@20 the mean of 1 / rank, 0
beyond 20. No list has what the session has heard already.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix, identity

from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from looplib.arrays import BoolArray, Int32Array, IntArray
from looplib.randomness import make_generator
from recsys.errors import ExportError
from recsys.models.sparse import nearest, top_products
from recsys.models.topk import fill_up
from recsys.next_track.config import NextTrackConfig
from recsys.next_track.model import (
    Prefixes,
    Weights,
    combine,
    cut_prefixes,
    fit_parts,
    recommend,
    same_artist,
)
from recsys.next_track.sessions import Sessions

K = 20
PRECISION, MRR = f"precision@{K}", f"mrr@{K}"
NAME = "next_track"
_HELD_OUT = 0.2  # share of the sessions, the newest
_SCORED = 5_000  # sessions at most
_LONGEST = 100  # of a session, the next tracks up to this one are predicted
_POPULAR = 2 * _LONGEST  # tracks that lists are filled up with
_ARTIST = (0.0, 0.3, 1.0, 3.0)
_OWN = (0.0, 0.1, 0.3, 1.0)
# of the best precision; the service plays the first track, so less of it for better ranks pays
_NEARLY = 0.99
_RESAMPLES = 1000


@dataclass(frozen=True)
class Comparison:
    """The model beside simple rules, on the newest sessions."""

    weights: Weights  # that were best on the newest sessions before these
    sessions: int  # that were scored
    predictions: int
    # by the name of the model or rule, then of the metric
    metrics: Mapping[str, Mapping[str, Interval]]
    best_rule: str  # by precision
    # precision of the model, less and over that of the best rule
    gain: Interval
    ratio: Interval

    @property
    def is_better(self) -> bool:
        """Whether the model is significantly better than every rule."""
        return self.gain.lower > 0


@dataclass(frozen=True)
class _Task:
    """Sessions to learn from, and the next tracks of later ones."""

    sessions: Sessions
    artists: Int32Array
    prefixes: Prefixes
    scored: int  # sessions
    target: Int32Array  # the track that came next, shape (prefixes,)
    threads: int

    def find_ranks(self, lists: Int32Array) -> IntArray:
        """Return the rank of each next track, from 1; 0 where the list lacks it."""
        is_hit = lists == self.target[:, np.newaxis]
        ranks: IntArray = np.where(is_hit.any(axis=1), is_hit.argmax(axis=1) + 1, 0)
        return ranks


def compare(
    sessions: Sessions,
    artists: Int32Array,
    listeners: int,
    config: NextTrackConfig,
    seed: int,
    threads: int,
) -> Comparison:
    """Choose the weights on the newest sessions but for a fifth, and score on that fifth.

    Raises:
        ExportError: There are too few sessions of two and more tracks.
    """
    is_test = _is_newest(sessions)
    before = sessions.select(~is_test)
    is_validation = _is_newest(before)
    first = before.select(~is_validation)
    tuning = _make_task(first, before.select(is_validation), artists, seed, threads)
    task = _make_task(before, sessions.select(is_test), artists, seed, threads)
    weights = _choose_weights(tuning, listeners, config)
    parts = fit_parts(before, artists, listeners, config, threads)
    model = combine(parts, weights, config, threads)
    lists = {
        NAME: recommend(model, task.prefixes, K, threads),
        **_simple_rules(task),
    }
    popular = lists["popular"]
    ranks = {
        name: task.find_ranks(fill_up(found, popular)) for name, found in lists.items()
    }
    return _summarise(ranks, task, weights, seed)


def _is_newest(sessions: Sessions) -> BoolArray:
    order = np.argsort(sessions.start_ms, kind="stable")
    is_newest = np.zeros(len(sessions), np.bool_)
    is_newest[order[len(order) - int(_HELD_OUT * len(order)) :]] = True
    return is_newest


def _make_task(
    known: Sessions, later: Sessions, artists: Int32Array, seed: int, threads: int
) -> _Task:
    can_score = np.flatnonzero(later.counts > 1)
    if not len(can_score) or not len(known.tracks):
        raise ExportError(
            "there are too few sessions of two and more tracks to predict the newest from those "
            "before"
        )
    if len(can_score) > _SCORED:
        generator = make_generator(seed, "next track")
        can_score = generator.choice(can_score, _SCORED, replace=False)
    is_scored = np.zeros(len(later), np.bool_)
    is_scored[can_score] = True
    prefixes, target = cut_prefixes(later.select(is_scored), len(artists), _LONGEST)
    return _Task(known, artists, prefixes, len(can_score), target, threads)


def _choose_weights(task: _Task, listeners: int, config: NextTrackConfig) -> Weights:
    """Return the weights with the best MRR among those with nearly the best precision."""
    threads = task.threads
    parts = fit_parts(task.sessions, task.artists, listeners, config, threads)
    found = []
    for artist in _ARTIST:
        model = combine(parts, Weights(artist, own=1.0), config, threads)
        for own in _OWN:
            weighed = replace(model, own=own * parts.own)
            lists = recommend(weighed, task.prefixes, K, threads)
            ranks = task.find_ranks(lists)
            hits = ranks[ranks > 0]
            found.append((len(hits), float((1 / hits).sum()), Weights(artist, own)))
    most = max(hits for hits, _, _ in found)
    near = [scored for scored in found if scored[0] >= _NEARLY * most]
    return max(near, key=lambda scored: scored[1])[2]


def _simple_rules(task: _Task) -> dict[str, Int32Array]:
    """Return the lists of popular, item-kNN of the last track, and sticky artist."""
    sessions, prefixes, threads = task.sessions, task.prefixes, task.threads
    tracks, count = len(task.artists), len(prefixes.last)
    plays = np.bincount(sessions.tracks, minlength=tracks)
    best = np.argsort(-plays, kind="stable")[:_POPULAR]
    popular = csr_matrix((plays[best], (np.zeros(len(best), int), best)), (1, tracks))
    session = np.repeat(np.arange(len(sessions)), sessions.counts)
    ones = np.ones(len(session))
    shape = (len(sessions), tracks)
    in_session = csr_matrix((ones, (session, sessions.tracks)), shape)
    in_session.data[:] = 1
    itself = identity(tracks, format="csr")
    by_track = csr_matrix(in_session.T)
    together = nearest(by_track, in_session, _POPULAR, threads, itself)
    last = csr_matrix(
        (np.ones(count), (np.arange(count), prefixes.last)), (count, tracks)
    )
    by_artist = same_artist(task.artists, plays, _POPULAR, threads)
    rules = {
        "popular": (csr_matrix(np.ones((count, 1))), popular),
        "item_knn": (last, together),
        "sticky_artist": (last, by_artist),
    }
    return {
        name: top_products(*matrices, K, threads, prefixes.heard)[0]
        for name, matrices in rules.items()
    }


def _summarise(
    ranks: Mapping[str, IntArray],
    task: _Task,
    weights: Weights,
    seed: int,
) -> Comparison:
    """Compute metrics with intervals by a bootstrap over listeners."""
    of_listener = task.prefixes.listeners
    scored, row = np.unique(of_listener, return_inverse=True)
    predictions = np.bincount(row).astype(np.float64)
    hits, reciprocals = {}, {}
    for name, found in ranks.items():
        is_hit = found > 0
        hits[name] = np.bincount(row, is_hit, len(scored))
        reciprocal = np.divide(1, found, out=np.zeros(len(found)), where=is_hit)
        reciprocals[name] = np.bincount(row, reciprocal, len(scored))
    rules = [name for name in ranks if name != NAME]
    best_rule = max(rules, key=lambda name: hits[name].sum())
    more = hits[NAME] - hits[best_rule]
    numerators = [*hits.values(), *reciprocals.values(), more, hits[NAME]]
    denominators = [predictions] * (len(numerators) - 1) + [hits[best_rule]]
    resamples = bootstrap.Resamples(len(scored), _RESAMPLES, seed)
    ratios = bootstrap.Ratios(np.stack(numerators, 1), np.stack(denominators, 1))
    *intervals, gain, ratio = bootstrap.ratio_intervals(resamples, ratios)
    metrics = {
        name: {PRECISION: intervals[at], MRR: intervals[len(ranks) + at]}
        for at, name in enumerate(ranks)
    }
    return Comparison(
        weights, task.scored, len(task.target), metrics, best_rule, gain, ratio
    )
