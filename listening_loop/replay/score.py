"""Score rankings by what listeners played next, and compare recommenders in pairs.

All metrics are sums over predictions, divided by their number; intervals are those of a bootstrap
over listeners, the same resamples for all, so that a difference is one over the same plays:

* `precision@1`, `precision@20`: the share of next plays that are the first, or among 20 tracks;
* `mrr`: 1 / the rank of the next track, 0 where it is not among them;
* `rest@20`: tracks of the ranking that are played in the rest of the session, divided by 20.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from analysis.statistics import bootstrap
from analysis.statistics.bootstrap import Resamples
from analysis.statistics.effects import CONFIDENCE
from listening_loop.replay.plays import Plays
from listening_loop.replay.traffic import LENGTH, Answers
from looplib.arrays import BoolArray, FloatArray, IntArray

COMPARED = "precision@20"
REST = "rest@20"
_PLACES = (1, 2, 3, 6, 11, 21)  # in a session, from which a group begins
_RESAMPLES = 1000
_DIGITS = 6  # of values; later ones may differ between machines

Ends = tuple[float, float, float]
"""A value, and the ends of its interval."""


@dataclass(frozen=True)
class Comparison:
    """A recommender against another one, over the same plays."""

    first: str
    second: str
    metric: str
    difference: Ends
    ratio: Ends

    @property
    def better(self) -> str | None:
        """The better one; None where they are tied."""
        _, lower, upper = self.difference
        if lower <= 0 <= upper:
            return None
        return self.first if lower > 0 else self.second


@dataclass(frozen=True)
class Scores:
    """The outcome of a replay."""

    predictions: Mapping[str, int]  # by group of plays
    values: Mapping[str, Mapping[str, Mapping[str, Ends]]]  # recommender, group, metric
    coverage: Mapping[
        str, float
    ]  # distinct tracks recommended, as a share of the catalogue
    comparisons: list[Comparison]


def metrics_of(plays: Plays) -> tuple[str, ...]:
    """List the metrics; the rest of a session is unknown where sessions are."""
    return ("precision@1", COMPARED, "mrr", REST)[: 3 + plays.has_sessions]


def group_plays(plays: Plays) -> dict[str, BoolArray]:
    """Group the plays that a ranking is scored on, by what is played next and by whom.

    A track that is played again at once is no prediction.

    Returns:
        A flag for each play with a next one, by the group's name; shape (plays with a next one,).
    """
    rows = np.flatnonzero(plays.has_next)
    same = [plays.tracks[row] == plays.tracks[row + 1] for row in rows.tolist()]
    is_scored = ~np.array(same, np.bool_)
    is_repeat, is_known = plays.is_repeat[rows + 1], plays.is_known[rows]
    groups = {
        "all": is_scored,
        "repeat": is_scored & is_repeat,
        "new": is_scored & ~is_repeat,
        "known listeners": is_scored & is_known,
        "new listeners": is_scored & ~is_known,
    }
    if plays.has_sessions:
        place = np.digitize(plays.places[rows], _PLACES)
        for number, first in enumerate(_PLACES, start=1):
            end = _PLACES[number] - 1 if number < len(_PLACES) else None
            name = f"{first}" if first == end else f"{first}-{end or ''}"
            groups[f"after play {name}"] = is_scored & (place == number)
    return {name: flags for name, flags in groups.items() if flags.any()}


def score(plays: Plays, answers: Mapping[str, Answers]) -> Scores:
    """Score the answers of each recommender, and compare them in pairs."""
    groups, metrics = group_plays(plays), metrics_of(plays)
    listener = plays.listener[plays.has_next]
    listeners = len(plays.starts) - 1
    sums: list[FloatArray] = []
    counts: list[IntArray] = []
    keys = {}
    for name, answer in answers.items():
        values = _metrics(answer)
        for group, flags in groups.items():
            count = np.bincount(listener[flags], minlength=listeners)
            for metric in metrics:
                keys[name, group, metric] = len(sums)
                weights = values[metric][flags]
                total = np.bincount(listener[flags], weights, listeners)
                sums.append(total.astype(np.float64))
                counts.append(count)
    is_scored = counts[0] > 0
    numerators = np.array(sums).T[is_scored]
    denominators = np.array(counts).T[is_scored].astype(np.float64)
    resamples = Resamples(int(is_scored.sum()), _RESAMPLES, seed=0)
    drawn = bootstrap.estimate(resamples, numerators, denominators)
    whole = bootstrap.divide(numerators.sum(axis=0), denominators.sum(axis=0))

    def ends(value: float, values: FloatArray) -> Ends:
        tail = (1 - CONFIDENCE) / 2
        limits = np.quantile(values, [tail, 1 - tail])
        lower, upper = (round(float(limit), _DIGITS) for limit in limits)
        return round(float(value), _DIGITS), lower, upper

    comparisons = []
    for first, second in combinations(answers, 2):
        for metric in metrics:
            a, b = keys[first, "all", metric], keys[second, "all", metric]
            difference = ends(whole[a] - whole[b], drawn[:, a] - drawn[:, b])
            ratio = ends(
                bootstrap.divide(whole[[a]], whole[[b]])[0],
                bootstrap.divide(drawn[:, a], drawn[:, b]),
            )
            comparisons.append(Comparison(first, second, metric, difference, ratio))
    return Scores(
        {name: int(flags.sum()) for name, flags in groups.items()},
        {
            name: {
                group: {
                    metric: ends(whole[column], drawn[:, column])
                    for metric in metrics
                    for column in [keys[name, group, metric]]
                }
                for group in groups
            }
            for name in answers
        },
        {
            name: round(answer.recommended / plays.facts["catalogue"], _DIGITS)
            for name, answer in answers.items()
        },
        comparisons,
    )


def _metrics(answers: Answers) -> dict[str, FloatArray]:
    """Compute the metrics of each play with a next one."""
    is_hit = answers.ranks > 0
    reciprocal = np.divide(1.0, answers.ranks, where=is_hit, out=np.zeros(len(is_hit)))
    return {
        "precision@1": (answers.ranks == 1).astype(np.float64),
        COMPARED: is_hit.astype(np.float64),
        "mrr": reciprocal,
        REST: answers.rest / LENGTH,
    }
