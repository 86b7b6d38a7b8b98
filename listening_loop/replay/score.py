"""Score rankings by the listeners' next plays, and compare recommenders in pairs.

All metrics are sums over predictions, divided by their number. Intervals are from a bootstrap over
listeners with the same resamples for all recommenders, so differences are over the same plays;
intervals of differences hold for all pairs together:

* `precision@1`, `precision@20`: the share of next plays that are the first, or among 20 tracks;
* `mrr`: 1 / the rank of the next track, 0 if it is not among 20;
* `skip_rate@20`: the share of next plays that are among 20 tracks, and are skips: less than a
  tenth of the track was heard; if there are any;
* `rest@20`: tracks of the ranking that are played in the rest of the session, divided by 20.
"""

from collections.abc import Mapping
from itertools import combinations, product
from typing import Any

import numpy as np

from analysis.statistics import bootstrap
from analysis.statistics.bootstrap import Resamples
from analysis.statistics.effects import Interval
from listening_loop.replay.plays import NewestPlays
from listening_loop.replay.traffic import LENGTH
from looplib.arrays import AnyArray, BoolArray, FloatArray

COMPARED = "precision@20"
SKIPS = "skip_rate@20"
REST_OF_SESSION = "rest@20"  # unknown when sessions are unknown
UNPLAYED = "unplayed"  # tracks of the catalogue that nobody had played
_PLACES = (1, 2, 3, 6, 11, 21)  # first play of each group by place in the session
_SKIP = 0.1  # share of a track
_RESAMPLES = 1000
_DIGITS = 6  # decimals of values; further decimals may differ between machines


Rows = list[dict[str, Any]]
"""Rows of a report's table."""


def measure(predictions: FloatArray) -> dict[str, AnyArray]:
    """Compute the metrics of each prediction, each of shape (predictions,)."""
    rank, hits, _ = predictions.T
    inverse = np.divide(1, rank, out=np.zeros_like(rank), where=rank > 0)
    precision = {"precision@1": rank == 1, COMPARED: rank > 0}
    return {**precision, "mrr": inverse, REST_OF_SESSION: hits / LENGTH}


def group_plays(plays: NewestPlays) -> dict[str, BoolArray]:
    """Group the plays that a ranking is scored on, by the next track and the listener.

    A track that is played again at once is no prediction.

    Returns:
        The flags of each group by its name, shape (plays with a next play,).
    """
    rows = np.flatnonzero(plays.has_next)
    same = [plays.tracks[row] == plays.tracks[row + 1] for row in rows.tolist()]
    is_scored = ~np.array(same, np.bool_)
    is_repeat, is_known = plays.is_repeat[rows + 1], plays.is_known[rows]
    groups = {
        "all": is_scored,
        "repeat": is_scored & is_repeat,
        "new": is_scored & ~is_repeat,
        UNPLAYED: is_scored & plays.is_unplayed[rows + 1],
        "known listeners": is_scored & is_known,
        "new listeners": is_scored & ~is_known,
    }
    if plays.has_sessions:
        order = np.arange(len(plays.opens))
        opening = np.maximum.accumulate(np.where(plays.opens, order, 0))
        place = np.digitize((order - opening + 1)[rows], _PLACES)
        for number, first in enumerate(_PLACES, start=1):
            name = f"from play {first} of a session"
            groups[name] = is_scored & (place == number)
    return {name: flags for name, flags in groups.items() if flags.any()}


def score(
    plays: NewestPlays, predictions: Mapping[str, FloatArray]
) -> tuple[Rows, Rows]:
    """Score recommenders by group, and compare them in pairs.

    Args:
        plays: The plays of the replay.
        predictions: Columns `PREDICTION` of each recommender, shape (plays with a next play, 3).

    Returns:
        The value of each recommender, group and metric; the difference of each pair, the better
            recommender by `COMPARED` first, with intervals that hold for all pairs together.
            `better` is None if they are tied.
    """
    groups = group_plays(plays)
    values = {name: measure(rows) for name, rows in predictions.items()}
    is_skip = np.array(plays.times)[np.flatnonzero(plays.has_next) + 1] < _SKIP
    for metrics_of in values.values():
        metrics_of[SKIPS] = metrics_of[COMPARED] & is_skip
    metrics = ["precision@1", COMPARED, "mrr"]
    metrics += [SKIPS] * bool(is_skip.any()) + [REST_OF_SESSION] * plays.has_sessions
    listener = plays.listener[plays.has_next]
    columns = list(product(values, groups, metrics))
    sums, counts = np.zeros((2, plays.listeners, len(columns)))
    for column, (name, group, metric) in enumerate(columns):
        flags = groups[group]
        weights = values[name][metric][flags]
        sums[:, column] = np.bincount(listener[flags], weights, plays.listeners)
        counts[:, column] = np.bincount(listener[flags], minlength=plays.listeners)
    whole = bootstrap.divide(sums.sum(axis=0), counts.sum(axis=0))
    resamples = Resamples(plays.listeners, _RESAMPLES, seed=0)
    drawn = bootstrap.estimate(resamples, sums, counts)
    estimates = dict(zip(columns, np.vstack([whole, drawn]).T, strict=True))
    scores = []
    for (name, group, metric), values_drawn in estimates.items():
        row: dict[str, Any] = {"recommender": name, "group": group, "metric": metric}
        row["predictions"] = int(groups[group].sum())
        scores.append(row | vars(_interval(values_drawn)))
    differences = []
    best_first = sorted(values, key=lambda name: -estimates[name, "all", COMPARED][0])
    pairs = [*combinations(best_first, 2)]
    for metric in metrics if pairs else ():
        drawn = np.array(
            [
                estimates[first, "all", metric] - estimates[second, "all", metric]
                for first, second in pairs
            ]
        )
        intervals = bootstrap.simultaneous_intervals(drawn.T)
        for (first, second), interval in zip(pairs, intervals, strict=True):
            better = None
            if interval.excludes_zero:
                better = first if interval.value > 0 else second
            row = {"first": first, "second": second, "metric": metric, "better": better}
            differences.append(row | {"difference": _rounded(interval)})
    return scores, differences


def _interval(estimates: FloatArray) -> Interval:
    """Make the interval of an estimate, which comes before the estimates of the resamples."""
    return _rounded(*bootstrap.percentile_intervals(estimates[:, np.newaxis]))


def _rounded(interval: Interval) -> Interval:
    return Interval(*np.round([*interval], _DIGITS).tolist())
