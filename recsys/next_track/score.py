"""Score predictions of the next track in later sessions, beside three simple rules.

precision@20, as session models report it, is the share of next tracks among the 20 best (the
hit rate), mrr@20 the mean of 1 / rank, 0
beyond 20. No list has what the session has heard already.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields, replace
from functools import cache

import numpy as np
from scipy.sparse import csr_matrix

from analysis.statistics import bootstrap
from analysis.statistics.effects import Interval
from looplib.arrays import NO_TRACK, Int32Array, offsets
from looplib.randomness import make_generator
from recsys.errors import SearchError
from recsys.models.factors import fill_up
from recsys.models.sparse import divide_rows, nearest, products_at, top_products
from recsys.next_track.model import (
    NextTrackModel,
    PartWeights,
    Prefixes,
    cut_prefixes,
    recommend,
)
from recsys.next_track.sessions import Sessions

K = 20
PRECISION = f"precision@{K}"
MRR = f"mrr@{K}"
NAME = "next_track"
HELD_OUT = 0.2  # share of the sessions, the newest
_SCORED = 60_000  # next tracks at most
_CHOOSING = 15_000  # next tracks at most that choose weights
_CANDIDATES = 500  # of each, by equal weights, that the weights order
_LONGEST = 100  # of a session, the next tracks up to this one are predicted
_POPULAR = 2 * _LONGEST  # tracks that lists are filled up with
_TRIED = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # weights of a part
_FINER = (0.5, 0.7, 1.4, 2.0)  # then times the best of these
_RESAMPLES = 1000


@dataclass(frozen=True)
class Comparison:
    """The model beside simple rules."""

    weights: PartWeights  # that were best on the newest sessions it learned from
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


def compare(model: NextTrackModel, later: Sessions, seed: int) -> Comparison:
    """Choose weights on the newest of the sessions of a fitted model, and score later ones.

    Raises:
        SearchError: There are too few sessions of two and more tracks.
    """
    train = model.sessions
    asked, sessions = _ask(train, later, seed, _SCORED)
    older, newest = train.split(HELD_OUT)
    asked_newest, _ = _ask(older, newest, seed, _CHOOSING)
    validated = NextTrackModel(model.config).fit(older, threads=model.threads)
    weights = _choose_weights(validated, asked_newest)
    best = recommend(model.split(asked), weights, K, asked.heard, model.threads)
    lists = {NAME: best} | _simple_rules(train, asked, model)
    metrics, best_rule, ratio = _summarise(asked, lists, seed)
    return Comparison(weights, sessions, len(asked.target), metrics, best_rule, ratio)


def _ask(
    train: Sessions, later: Sessions, seed: int, most: int
) -> tuple[Prefixes, int]:
    """Cut later sessions into prefixes, at most so many; return the sessions' number, too."""
    scored = np.flatnonzero(later.counts > 1)
    if not len(scored) or not len(train):
        raise SearchError(
            "there are too few sessions of two and more tracks to predict the newest from those "
            "before"
        )
    drawn = make_generator(seed, "next track").permutation(scored)
    prefixes = np.minimum(later.counts[drawn], _LONGEST) - 1
    is_first = prefixes.cumsum() <= max(most, prefixes[0])
    is_scored = np.isin(np.arange(len(later)), drawn[is_first])
    scored_sessions = later.select(np.repeat(is_scored, later.counts))
    return cut_prefixes(scored_sessions, _LONGEST), len(scored_sessions)


def _choose_weights(model: NextTrackModel, asked: Prefixes) -> PartWeights:
    """Choose one weight after the other by the sum of both metrics, then refine them.

    Weights order the candidates that equal ones put first.
    """
    parts = model.split(asked)
    equal = PartWeights(*[1.0] * len(fields(PartWeights)))
    lists = recommend(parts, equal, _CANDIDATES, asked.heard, model.threads)
    row, place = np.nonzero(lists != NO_TRACK)
    track = lists[row, place]
    counts = np.bincount(row, minlength=len(lists))
    shape = (len(lists), asked.heard.shape[1])
    places = csr_matrix((np.ones(len(row)), track, offsets(counts)), shape)
    columns = [products_at(*part, places, model.threads) for part in parts]
    target = np.flatnonzero(track == asked.target[row])
    is_smaller = track < asked.target[row]  # comes first among equals

    @cache
    def worth(weights: PartWeights) -> float:
        factors = (1.0, *astuple(weights))
        scores = sum(f * column for f, column in zip(factors, columns, strict=True))
        score = np.full(len(lists), np.inf)
        score[row[target]] = scores[target]
        is_better = scores > score[row]
        is_better |= is_smaller & (scores == score[row])
        rank = 1 + np.bincount(row[is_better], minlength=len(lists))[row[target]]
        is_hit = (rank <= K) & (scores[target] > 0)
        return float((is_hit * (1 + 1 / rank)).sum())

    best = PartWeights()
    for is_finer in (False, False, True):
        for part in fields(PartWeights):
            weight = getattr(best, part.name)
            values = [weight * factor for factor in _FINER] if is_finer else _TRIED
            tried = [replace(best, **{part.name: value}) for value in values]
            best = max([best, *tried], key=worth)
    return best


def _simple_rules(
    train: Sessions, asked: Prefixes, model: NextTrackModel
) -> dict[str, Int32Array]:
    """Recommend by popular, item-kNN of the last track, and sticky artist."""
    tracks = len(train.artists)
    plays = np.bincount(train.tracks, minlength=tracks)
    best = np.argsort(-plays, kind="stable")[:_POPULAR]
    first_row = np.zeros(len(best), np.int64)
    popular = csr_matrix((plays[best], (first_row, best)), (1, tracks))
    all_prefixes = csr_matrix(np.ones((len(asked.target), 1)))

    session = np.repeat(np.arange(len(train)), train.counts)
    shape = (tracks, len(train))
    in_session = csr_matrix((np.ones(len(session)), (train.tracks, session)), shape)
    in_session.data[:] = 1
    cosines = divide_rows(in_session, np.sqrt(np.diff(in_session.indptr)))
    together = nearest(cosines, csr_matrix(cosines.T), _POPULAR, model.threads)
    products = {
        "popular": (all_prefixes, popular),
        "item_knn": (asked.last, together),
        "sticky_artist": (asked.last, model.artist),
    }
    return {
        name: top_products(left, right, K, model.threads, asked.heard)[0]
        for name, (left, right) in products.items()
    }


def _summarise(
    asked: Prefixes, lists: Mapping[str, Int32Array], seed: int
) -> tuple[dict[str, dict[str, Interval]], str, Interval]:
    """Compute metrics with intervals by a bootstrap over listeners.

    Returns:
        The metrics of each list by name, the best rule, and the model's precision over that of it.
    """
    _, listener = np.unique(asked.listeners, return_inverse=True)
    counts = np.bincount(listener)
    sums = {}
    for name, best in lists.items():
        hits = asked.find_hits(fill_up(best, lists["popular"]))
        sums[name] = [np.bincount(listener, values) for values in hits]
    rules = [name for name in lists if name != NAME]
    best_rule = max(rules, key=lambda name: float(sums[name][0].sum()))
    parts = [values for both in sums.values() for values in both]
    numerators = np.stack([*parts, sums[NAME][0]], axis=1)
    denominators = np.stack([counts] * len(parts) + [sums[best_rule][0]], axis=1)
    resamples = bootstrap.Resamples(len(counts), _RESAMPLES, seed)
    *intervals, ratio = bootstrap.ratio_intervals(
        resamples, numerators, denominators.astype(np.float64)
    )
    metrics = {
        name: {PRECISION: intervals[2 * at], MRR: intervals[2 * at + 1]}
        for at, name in enumerate(lists)
    }
    return metrics, best_rule, ratio
