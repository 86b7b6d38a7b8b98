"""Score predictions of the next track in later sessions, beside three simple rules.

precision@20 is the share of next tracks that are among the 20 best, mrr@20 the mean of 1 / rank, 0
beyond 20. No list has what the session has heard already.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np
from scipy.sparse import csr_matrix, diags, hstack, vstack

from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from looplib.arrays import BoolArray, FloatArray, Int32Array
from looplib.randomness import make_generator
from recsys.errors import ExportError
from recsys.models.sparse import nearest, top_products
from recsys.models.topk import fill_up
from recsys.next_track.model import (
    Parts,
    Prefixes,
    Setting,
    Weights,
    combine,
    cut_prefixes,
    fit_parts,
)
from recsys.next_track.sessions import Sessions

K = 20
PRECISION = f"precision@{K}"
MRR = f"mrr@{K}"
NAME = "next_track"
HELD_OUT = 0.2  # share of the sessions, the newest
_SCORED = 5_000  # sessions at most
_LONGEST = 100  # of a session, the next tracks up to this one are predicted
_POPULAR = 2 * _LONGEST  # tracks that lists are filled up with
_TRIED = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)  # weights of a part
_ROUNDS = 2  # of choosing one weight after the other
_RESAMPLES = 1000


@dataclass(frozen=True)
class Comparison:
    """The model beside simple rules."""

    weights: Weights  # that were best on the newest sessions it learned from
    sessions: int  # that were scored
    predictions: int
    # by the name of the model or rule, then of the metric
    metrics: Mapping[str, Mapping[str, Interval]]
    best_rule: str  # by precision
    ratio: Interval  # precision of the model over that of the best rule

    @property
    def is_better(self) -> bool:
        """Whether the model is significantly better than every rule."""
        return self.ratio.lower > 1


@dataclass(frozen=True)
class Task:
    """Sessions to learn from, and the next tracks of later ones."""

    known: Sessions
    setting: Setting
    sessions: int  # later ones that are scored
    prefixes: Prefixes
    target: Int32Array  # the track that came next, shape (prefixes,)

    def recommend(self, parts: Parts, weights: Weights) -> Int32Array:
        """Return the model's lists, shape (prefixes, K)."""
        model = combine(parts, weights)
        rows = np.arange(len(self.target))
        owners = (rows, self.prefixes.listeners)
        is_of = csr_matrix(
            (np.ones(len(rows)), owners), (len(rows), model.own.shape[0])
        )
        left = hstack([self.prefixes.latest, is_of], "csr")
        return self.apply(left, vstack([model.near, model.own], "csr"))

    def apply(self, left: csr_matrix, right: csr_matrix) -> Int32Array:
        """Return the best of a product that the session has not heard, shape (prefixes, K)."""
        heard = self.prefixes.heard
        threads = self.setting.threads
        return top_products(left, right, K, threads, heard)[0]

    def find_hits(self, lists: Int32Array) -> tuple[BoolArray, FloatArray]:
        """Return whether each next track is in its list, and 1 / rank, 0 where it is not."""
        is_hit = lists == self.target[:, np.newaxis]
        reciprocal = is_hit / np.arange(1, lists.shape[1] + 1)
        return is_hit.any(axis=1), reciprocal.sum(axis=1)


def compare(
    known: Sessions,
    later: Sessions,
    setting: Setting,
    seed: int,
) -> Comparison:
    """Learn from the sessions known, choose the weights on the newest of these, and score.

    Raises:
        ExportError: There are too few sessions of two and more tracks.
    """
    task = _make_task(known, later, setting, seed)
    weights = _choose_weights(_make_task(*known.split(HELD_OUT), setting, seed))
    parts = fit_parts(known, setting)
    lists = {NAME: task.recommend(parts, weights), **_simple_rules(task, parts)}
    return _summarise(task, weights, lists, seed)


def _make_task(
    known: Sessions,
    later: Sessions,
    setting: Setting,
    seed: int,
) -> Task:
    scored = np.flatnonzero(later.counts > 1)
    if not len(scored) or not len(known):
        raise ExportError(
            "there are too few sessions of two and more tracks to predict the newest from those "
            "before"
        )
    if len(scored) > _SCORED:
        generator = make_generator(seed, "next track")
        scored = np.sort(generator.choice(scored, _SCORED, replace=False))
    is_scored = np.isin(np.arange(len(later)), scored)
    asked = cut_prefixes(later.select(is_scored), len(setting.artists), _LONGEST)
    return Task(known, setting, len(scored), *asked)


def _choose_weights(task: Task) -> Weights:
    """Choose one weight after the other by the sum of both metrics."""
    parts = fit_parts(task.known, task.setting)
    best = Weights()

    @cache
    def worth(weights: Weights) -> float:
        is_hit, reciprocal = task.find_hits(task.recommend(parts, weights))
        return float(is_hit.sum() + reciprocal.sum())

    for _ in range(_ROUNDS):
        for part in fields(Weights):
            tried = [replace(best, **{part.name: weight}) for weight in _TRIED]
            best = max(tried, key=worth)
    return best


def _simple_rules(task: Task, parts: Parts) -> dict[str, Int32Array]:
    """Return the lists of popular, item-kNN of the last track, and sticky artist."""
    known = task.known
    last = task.prefixes.last
    tracks = len(task.setting.artists)
    plays = np.bincount(known.tracks, minlength=tracks)
    best = np.argsort(-plays, kind="stable")[:_POPULAR]
    first_row = np.zeros(len(best), np.int64)
    popular = csr_matrix((plays[best], (first_row, best)), (1, tracks))
    everybody = csr_matrix(np.ones((len(task.target), 1)))

    session = np.repeat(np.arange(len(known)), known.counts)
    shape = (tracks, len(known))
    in_session = csr_matrix((np.ones(len(session)), (known.tracks, session)), shape)
    in_session.data[:] = 1
    lengths = np.sqrt(np.maximum(np.diff(in_session.indptr), 1))
    cosines = csr_matrix(diags(1 / lengths) @ in_session)
    together = nearest(cosines, csr_matrix(cosines.T), _POPULAR, task.setting.threads)
    return {
        "popular": task.apply(everybody, popular),
        "item_knn": task.apply(last, together),
        "sticky_artist": task.apply(last, parts.artist),
    }


def _summarise(
    task: Task,
    weights: Weights,
    lists: Mapping[str, Int32Array],
    seed: int,
) -> Comparison:
    """Compute metrics with intervals by a bootstrap over listeners."""
    _, listener = np.unique(task.prefixes.listeners, return_inverse=True)
    asked = np.bincount(listener)
    sums = {}
    for name, best in lists.items():
        both = task.find_hits(fill_up(best, lists["popular"]))
        sums[name] = [np.bincount(listener, values) for values in both]
    rules = [name for name in lists if name != NAME]
    best_rule = max(rules, key=lambda name: float(sums[name][0].sum()))
    parts = [values for both in sums.values() for values in both]
    numerators = np.stack([*parts, sums[NAME][0]], axis=1)
    denominators = np.stack([asked] * len(parts) + [sums[best_rule][0]], axis=1)
    resamples = bootstrap.Resamples(len(asked), _RESAMPLES, seed)
    ratios = bootstrap.Ratios(numerators, denominators.astype(np.float64))
    *found, ratio = bootstrap.ratio_intervals(resamples, ratios)
    metrics = {
        name: {PRECISION: found[2 * at], MRR: found[2 * at + 1]}
        for at, name in enumerate(lists)
    }
    return Comparison(
        weights, task.sessions, len(task.target), metrics, best_rule, ratio
    )
