"""Who stands where at the end of a search, and how sure that is.

Candidates are compared in pairs: each listener has a value under both, so the difference has a narrower interval than
either. The interval is the bootstrap's over listeners, the same resamples for all (`analysis.statistics.bootstrap`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analysis.statistics import bootstrap
from looplib.arrays import FloatArray
from recsys.runs.scores import BASELINES, Checkpoint, Entry, Pruned, Result, Results, Score
from recsys.runs.trials import Candidate
from recsys.scoring.off_policy import Interval

State = Literal["scored", "pruned", "failed"]
Listeners = Callable[[Entry, int], FloatArray]  # numerators and denominators of an entry after a sweep


@dataclass(frozen=True)
class Ranked:
    """A row of the leaderboard: a candidate or a baseline at its best scored sweep.

    Attributes:
        results: Its trials' results, one a seed.
        state: What became of it.
        why: Why it was given up or failed.
        given_up: After which point it was given up, or to which it failed to come.
        score: Means over the seeds at the best scored sweep on all listeners; None if there is none or it failed.
        behind: Its choosing metric less that of the best candidate, with the paired 95 % interval of the difference;
            None where the metric cannot be compared.
    """

    results: tuple[Result, ...]
    state: State
    why: str | None
    given_up: Checkpoint | None
    score: Score | None
    behind: Interval | None = None

    @property
    def first(self) -> Result:
        """The result of the first seed, which is published if this wins."""
        return self.results[0]

    @property
    def sweep(self) -> int:
        """After how many sweeps it is scored; 0 for a baseline."""
        return self.score.point.sweep if self.score else 0

    def value(self, metric: str) -> float:
        """Its value of a metric; NaN without a score."""
        return self.score.metrics[metric][0] if self.score else np.nan

    @property
    def is_baseline(self) -> bool:
        """Whether it is no candidate."""
        return self.first.entry in BASELINES

    @property
    def ties(self) -> bool:
        """Whether it cannot be told from the best candidate."""
        return self.behind is not None and self.behind[2] >= 0


def rank(candidates: Iterable[Candidate], pruned: Mapping[str, Pruned], results: Results, metric: str) -> list[Ranked]:
    """All candidates and baselines, best first, those without a score last; of equals the smaller id first."""
    rows = [_standing([results[trial.id] for trial in each.trials], pruned.get(each.id), metric) for each in candidates]
    rows += [_standing([results[name]], None, metric) for name in BASELINES]
    return sorted(rows, key=lambda row: (-row.value(metric) if row.score else np.inf, row.state, row.first.id))


def every_sweep(standing: Ranked) -> list[Ranked]:
    """The standing at each of its sweeps that are scored on all listeners, instead of at the best alone."""
    if standing.score is None:
        return []
    return [replace(standing, score=score) for score in _mean_scores(standing.results)]


def compare(ranking: Sequence[Ranked], best: Ranked, listeners: Listeners, resamples: int, seed: int) -> list[Ranked]:
    """The ranking with how far each is behind the best.

    Args:
        ranking: Those to compare; one without a score stays as it is.
        best: What to compare with; one of them.
        listeners: Gives what each listener adds to an entry's metric after a sweep, shape (2, listeners).
        resamples: Of the listeners.
        seed: Decides the resamples.
    """
    scored = [row for row in ranking if row.score is not None]
    parts = np.stack([listeners(each.entry, row.sweep) for row in scored for each in row.results])
    resampled = bootstrap.Resamples(parts.shape[2], resamples, seed)
    (estimates,) = bootstrap.estimate(resampled, bootstrap.Ratios(parts[:, 0].T, parts[:, 1].T))
    values = bootstrap.ratio(parts[:, 0].sum(axis=1), parts[:, 1].sum(axis=1))
    seeds = np.array([len(row.results) for row in scored])
    means = np.add.reduceat(np.vstack([values, estimates]), np.cumsum(seeds) - seeds, axis=1) / seeds
    reference = [(row.first.id, row.sweep) for row in scored].index((best.first.id, best.sweep))
    behind = means - means[:, [reference]]
    rows = np.vstack([behind[0], bootstrap.percentile_interval(behind[1:])]).T.tolist()
    intervals = iter(tuple(row) for row in rows)
    return [row if row.score is None else replace(row, behind=next(intervals)) for row in ranking]


@dataclass(frozen=True)
class Disagreement:
    """Two metrics that would choose differently, and by how much the choice matters.

    Attributes:
        rival: The candidate that the other metric puts first, at its best sweep by that metric.
        value: How much longer its recommendations would be listened to than those of the one that is chosen, with the
            paired 95 % interval of the difference.
    """

    rival: Ranked
    value: Interval


def disagreement(
    best: Ranked, rivals: Iterable[Ranked], listeners: Listeners, resamples: int, seed: int
) -> Disagreement | None:
    """Whether another metric puts another candidate first, or the same one after another sweep.

    Args:
        best: The best by the choosing metric.
        rivals: The ranking by the other.
        listeners: Gives what each listener adds to the listening time of an entry after a sweep.
        resamples: Of the listeners.
        seed: Decides the resamples.
    """
    rival = next((row for row in rivals if row.score and not row.is_baseline), None)
    if rival is None or (rival.first.id, rival.sweep) == (best.first.id, best.sweep):
        return None
    _, compared = compare([best, rival], best, listeners, resamples, seed)
    return Disagreement(rival, compared.behind) if compared.behind else None


def simplest(ranking: Iterable[Ranked], metric: str) -> Ranked:
    """Of those that cannot be told from the best, the one with the fewest factors, then the fewest sweeps."""
    return min(
        (row for row in ranking if row.ties),
        key=lambda row: (row.first.params["factors"], row.sweep, -row.value(metric), row.first.id),
    )


def _standing(results: Sequence[Result], pruned: Pruned | None, metric: str) -> Ranked:
    failures = [result.failure for result in results if result.failure is not None]
    if failures:
        return Ranked(tuple(results), "failed", failures[0].reason, failures[0].point, None)
    scores = _mean_scores(results)
    best = max(scores, key=lambda score: (score.metrics[metric][0], -score.point.sweep), default=None)
    if pruned is None:
        return Ranked(tuple(results), "scored", None, None, best)
    return Ranked(tuple(results), "pruned", pruned.reason, pruned.point, best)


def _mean_scores(results: Sequence[Result]) -> list[Score]:
    """Means over the seeds at the points that all of them are scored at on all listeners; an interval's ends too."""
    points = [score.point for score in results[0].scores if score.point.listeners == 1]
    of_points = ([result.score_at(point) for result in results] for point in points)
    return [_mean([score for score in scores if score is not None]) for scores in of_points if None not in scores]


def _mean(scores: Sequence[Score]) -> Score:
    if len(scores) == 1:
        return scores[0]
    metrics = {
        key: (float(value), float(lower), float(upper))
        for key in scores[0].metrics
        for value, lower, upper in [np.mean([score.metrics[key] for score in scores], axis=0)]
    }
    return Score(
        scores[0].point,
        metrics,
        fit_s=sum(score.fit_s for score in scores),
        score_s=sum(score.score_s for score in scores),
        peak_bytes=max((score.peak_bytes for score in scores if score.peak_bytes is not None), default=None),
        warnings={key: reason for score in scores for key, reason in score.warnings.items()},
    )
