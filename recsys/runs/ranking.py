"""Rank the candidates at the end of a search, and say how sure the ranking is.

Candidates are compared in pairs: each listener has a value under both, so the difference has a
narrower interval than either. Intervals are the bootstrap's over listeners, the same resamples for
all (`analysis.statistics.bootstrap`), and hold for all pairs at once: which candidate comes first
is chosen by the same listeners, and of many equal ones the best looks better than most. So in 95 %
of searches nothing that is as good as the best is called worse.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from analysis.statistics import bootstrap
from analysis.statistics.effects import CONFIDENCE
from looplib.arrays import FloatArray
from recsys.runs.ledger import Score, Scores, Stop, failure_of
from recsys.runs.trials import Trial
from recsys.scoring import MetricValue

_ROUNDING = 1e-6  # of the largest standard error


@dataclass(frozen=True)
class RankedTrial:
    """A trial or a baseline at its best scored sweep, as the leaderboard has it."""

    trial: Trial
    state: Literal["scored", "pruned", "failed"]
    stop: Stop | None  # why it was stopped early or failed
    score: Score | None  # the best of them by the choosing metric; None of a failure
    # the choosing metric less the best candidate's, with the simultaneous interval
    behind: MetricValue | None = None

    @property
    def sweep(self) -> int:
        """After how many sweeps it is scored; 0 for a baseline."""
        return self.score.sweep if self.score else 0

    @property
    def ties(self) -> bool:
        """Whether it is tied with the best candidate, rather than worse or, a baseline, better."""
        return self.behind is not None and self.behind[1] <= 0 <= self.behind[2]

    def value(self, metric: str) -> float:
        """Return its value of a metric; -inf without a score."""
        return self.score.metrics[metric][0] if self.score else -math.inf


def rank(
    trials: Iterable[Trial],
    stopped: Mapping[str, Stop],
    scores: Scores,
    metric: str,
) -> list[RankedTrial]:
    """Rank trials and baselines, best first; those without a score last, equals by their id."""
    ranking = [
        _best_sweep(trial, stopped.get(trial.id), scores[trial.id], metric)
        for trial in trials
    ]
    return sorted(
        ranking,
        key=lambda ranked: (-ranked.value(metric), ranked.state, ranked.trial.id),
    )


def scored_candidates(ranking: Iterable[RankedTrial]) -> list[RankedTrial]:
    """Return what can win, best first: the rows with a score, without the baselines."""
    return [
        ranked for ranked in ranking if ranked.score and not ranked.trial.is_baseline
    ]


def compare(
    ranking: Sequence[RankedTrial],
    best: RankedTrial,
    listeners: Callable[[Trial, int], FloatArray],
    resamples: int,
    seed: int,
) -> list[RankedTrial]:
    """Return the ranking with how far each row that has a score is behind the best, one of them.

    `listeners` returns what each listener adds to a trial's metric after a sweep, shape (2,
    listeners).
    """
    scored = [ranked for ranked in ranking if ranked.score]
    parts = np.stack([listeners(ranked.trial, ranked.sweep) for ranked in scored])
    reference = [ranked.trial for ranked in scored].index(best.trial)
    behind = iter(differences(parts, reference, resamples, seed))
    return [
        replace(ranked, behind=next(behind)) if ranked.score else ranked
        for ranked in ranking
    ]


def differences(
    parts: FloatArray,
    reference: int,
    resamples: int,
    seed: int,
) -> list[MetricValue]:
    """Estimate how far each model's metric is from a reference's, with simultaneous 95 % intervals.

    Max-T: an interval reaches so many standard errors that in 95 % of the resamples no difference
    of two models is larger. Multiple comparisons with the best: Hsu, Multiple Comparisons, 1996,
    chapters 4 and 5; Romano & Wolf, Exact and Approximate Stepdown Methods for Multiple Hypothesis
    Testing, 2005, section 4.

    Args:
        parts: Numerators and denominators of the listeners, shape (models, 2, listeners).
        reference: Position of the model that the others are compared with.
        resamples: How many resamples of the listeners there are.
        seed: Decides which.
    """
    numerators = parts[:, 0]
    denominators = parts[:, 1]
    listeners = parts.shape[2]
    ratios = bootstrap.Ratios(numerators.T, denominators.T)
    drawn = bootstrap.Resamples(listeners, resamples, seed)
    estimates = bootstrap.estimate(drawn, ratios)
    noise = estimates - ratios.whole
    errors = _standard_errors(numerators, denominators, ratios.whole)
    largest = np.array(
        [np.max(np.abs(row[:, np.newaxis] - row) / errors) for row in noise]
    )
    own = errors[reference]
    margins = _critical(largest, listeners) * np.where(np.isinf(own), 0.0, own)
    behind = ratios.whole - ratios.whole[reference]
    ends = (behind, behind - margins, behind + margins)
    return list(zip(*(end.tolist() for end in ends), strict=True))


def _standard_errors(
    numerators: FloatArray,
    denominators: FloatArray,
    values: FloatArray,
) -> FloatArray:
    """Return the standard error of the difference of each two models, by the delta method.

    Unlike the spread of the resamples it does not depend on which are drawn. Equal models differ by
    rounding alone, and not by chance: the standard error of their difference is infinite.
    """
    totals = denominators.sum(axis=1)
    totals = np.where(totals > 0, totals, 1)
    residuals = numerators - values[:, np.newaxis] * denominators
    shares = residuals / totals[:, np.newaxis]
    covariances = shares @ shares.T
    variances = np.diag(covariances)
    sums = variances[:, np.newaxis] + variances
    errors: FloatArray = np.sqrt(np.maximum(sums - 2 * covariances, 0))
    errors[errors <= _ROUNDING * np.sqrt(variances.max())] = np.inf
    return errors


def _critical(largest: FloatArray, listeners: int) -> float:
    """Return how many standard errors the largest difference stays within, a quantile of resamples.

    The quantile's rank is one standard error higher, as there are only so many resamples, and the
    result is as much larger as Student's distribution is wider than the normal one.
    """
    count = len(largest)
    rank = CONFIDENCE * count + math.sqrt(CONFIDENCE * (1 - CONFIDENCE) * count)
    found = np.sort(largest)[min(math.ceil(rank), count) - 1]
    return float(-special.stdtrit(listeners - 1, special.ndtr(-found)))


def _best_sweep(
    trial: Trial,
    stop: Stop | None,
    scores: Sequence[Score],
    metric: str,
) -> RankedTrial:
    if failure := failure_of(scores):
        stop = Stop(failure.sweep, failure.error or "")
        return RankedTrial(trial, "failed", stop, None)
    scored = [score for score in scores if metric in score.metrics]
    best = max(
        scored, key=lambda score: (score.metrics[metric][0], -score.sweep), default=None
    )
    return RankedTrial(trial, "pruned" if stop else "scored", stop, best)
