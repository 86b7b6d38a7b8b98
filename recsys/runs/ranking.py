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
from recsys.scoring import Interval

_ROUNDING = 1e-6  # of the largest standard error


@dataclass(frozen=True)
class Row:
    """A row of the leaderboard: a trial or a baseline at its best scored sweep."""

    trial: Trial
    state: Literal["scored", "pruned", "failed"]
    stop: Stop | None  # why it was stopped early or failed
    curve: tuple[Score, ...]  # after each scored sweep
    score: Score | None  # the best of them by the choosing metric; None of a failure
    # the choosing metric less the best candidate's, with the simultaneous interval
    behind: Interval | None = None

    @property
    def sweep(self) -> int:
        """After how many sweeps it is scored; 0 for a baseline."""
        return self.score.sweep if self.score else 0

    @property
    def key(self) -> tuple[str, int]:
        """What is scored: trial and sweep."""
        return self.trial.id, self.sweep

    @property
    def ties(self) -> bool:
        """Whether it is tied with the best candidate."""
        return self.behind is not None and self.behind[2] >= 0

    def value(self, metric: str) -> float:
        """Return its value of a metric; NaN without a score."""
        return self.score.metrics[metric][0] if self.score else np.nan


# `compare` with all but its first two arguments
Compare = Callable[[Sequence[Row], Row], list[Row]]


def rank(
    trials: Iterable[Trial], stopped: Mapping[str, Stop], scores: Scores, metric: str
) -> list[Row]:
    """Rank trials and baselines, best first, those without a score last; of equals the smaller id first."""
    rows = [
        _row(trial, stopped.get(trial.id), scores[trial.id], metric) for trial in trials
    ]
    return sorted(
        rows,
        key=lambda row: (
            -row.value(metric) if row.score else np.inf,
            row.state,
            row.trial.id,
        ),
    )


def scored_candidates(ranking: Iterable[Row]) -> list[Row]:
    """Return what can win, best first: the rows with a score, without the baselines."""
    return [row for row in ranking if row.score and not row.trial.is_baseline]


def compare(
    ranking: Sequence[Row],
    best: Row,
    listeners: Callable[[Trial, int], FloatArray],
    resamples: int,
    seed: int,
) -> list[Row]:
    """Return the ranking with how far each row that has a score is behind the best, one of them.

    `listeners` returns what each listener adds to a trial's metric after a sweep, shape (2,
    listeners).
    """
    scored = [row for row in ranking if row.score is not None]
    parts = np.stack([listeners(row.trial, row.sweep) for row in scored])
    behind = iter(
        differences(parts, [row.key for row in scored].index(best.key), resamples, seed)
    )
    return [
        row if row.score is None else replace(row, behind=next(behind))
        for row in ranking
    ]


def differences(
    parts: FloatArray, reference: int, resamples: int, seed: int
) -> list[Interval]:
    """Return each model's metric less that of a reference, with 95 % intervals that hold for all pairs at once.

    Max-T: they reach as many standard errors as no difference of two models leaves in 95 % of the
    resamples. Multiple comparisons with the best: Hsu, Multiple Comparisons, 1996, chapters 4 and
    5; Romano & Wolf, Exact and Approximate Stepdown Methods for Multiple Hypothesis Testing, 2005,
    section 4.

    Args:
        parts: Numerators and denominators of the listeners, shape (models, 2, listeners).
        reference: Position of the model that the others are compared with.
        resamples: How many resamples of the listeners there are.
        seed: Decides which.
    """
    ratios = bootstrap.Ratios(parts[:, 0].T, parts[:, 1].T)
    estimates = bootstrap.estimate(
        bootstrap.Resamples(parts.shape[2], resamples, seed), ratios
    )
    noise, totals = estimates - ratios.whole, parts[:, 1].sum(axis=1)
    # What each listener adds to a model's error (delta method), whose standard errors do not depend
    # on the resamples.
    shares = (parts[:, 0] - ratios.whole[:, np.newaxis] * parts[:, 1]) / np.where(
        totals > 0, totals, 1
    )[:, np.newaxis]
    covariances = shares @ shares.T
    variances = np.diag(covariances)
    errors = np.sqrt(
        np.maximum(variances[:, np.newaxis] + variances - 2 * covariances, 0)
    )
    # Equal models differ by rounding alone, and not by chance.
    errors[errors <= _ROUNDING * np.sqrt(variances.max())] = np.inf
    largest = np.array(
        [np.max(np.abs(row[:, np.newaxis] - row) / errors) for row in noise]
    )
    critical = _critical(largest, parts.shape[2])
    margins = critical * np.where(np.isinf(errors[reference]), 0.0, errors[reference])
    behind = ratios.whole - ratios.whole[reference]
    return list(
        zip(
            behind.tolist(),
            (behind - margins).tolist(),
            (behind + margins).tolist(),
            strict=True,
        )
    )


def _critical(largest: FloatArray, listeners: int) -> float:
    """Return the standard errors that the largest difference stays within: a quantile of the resamples.

    It is one standard error of its rank further out, as there are only so many, and as Student's
    distribution is wider.
    """
    rank = CONFIDENCE * len(largest) + math.sqrt(
        CONFIDENCE * (1 - CONFIDENCE) * len(largest)
    )
    found = np.sort(largest)[min(math.ceil(rank), len(largest)) - 1]
    return float(-special.stdtrit(listeners - 1, special.ndtr(-found)))


def simplest(ranking: Iterable[Row], best: Row, compare: Compare) -> Row:
    """Return the candidate and sweep with the fewest factors, then the fewest sweeps, of those tied with the best."""
    sweeps = [
        replace(row, score=score)
        for row in scored_candidates(ranking)
        for score in row.curve
    ]
    return min(
        (row for row in compare(sweeps, best) if row.ties),
        key=lambda row: (
            getattr(row.trial.params, "factors", 0),
            row.sweep,
            -(row.behind or (0,))[0],
            row.trial.id,
        ),
    )


def _row(trial: Trial, stop: Stop | None, scores: Sequence[Score], metric: str) -> Row:
    if failure := failure_of(scores):
        return Row(trial, "failed", Stop(failure.sweep, failure.error or ""), (), None)
    curve = tuple(score for score in scores if metric in score.metrics)
    best = max(
        curve, key=lambda score: (score.metrics[metric][0], -score.sweep), default=None
    )
    return Row(trial, "pruned" if stop else "scored", stop, curve, best)
