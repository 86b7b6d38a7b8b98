"""Rank the candidates at the end of a search, and say how sure the ranking is.

Candidates are compared in pairs: each listener has a value under both, so the difference has a narrower interval than
either. The interval is the bootstrap's over listeners, the same resamples for all (`analysis.statistics.bootstrap`).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from analysis.statistics import bootstrap
from looplib.arrays import FloatArray
from recsys.runs.scores import Score, Scores, Stop, failure_of, score_at
from recsys.runs.trials import Candidate, Trial
from recsys.scoring.off_policy import Interval

Listeners = Callable[[Trial, int], FloatArray]  # numerators and denominators of a trial after a sweep


@dataclass(frozen=True)
class Row:
    """A row of the leaderboard: a candidate or a baseline at its best scored sweep."""

    candidate: Candidate  # its trials, one a seed
    state: Literal["scored", "pruned", "failed"]
    stop: Stop | None  # why it was stopped early or failed
    curve: tuple[Score, ...]  # means over the seeds at each checkpoint
    score: Score | None  # the best of them by the choosing metric; None of a failure
    behind: Interval | None = None  # the choosing metric less the best candidate's, with the paired interval

    @property
    def trial(self) -> Trial:
        """The trial of the first seed, which is published if this wins."""
        return self.candidate[0]

    @property
    def sweep(self) -> int:
        """After how many sweeps it is scored; 0 for a baseline."""
        return self.score.checkpoint.sweep if self.score else 0

    def value(self, metric: str) -> float:
        """Return its value of a metric; NaN without a score."""
        return self.score.metrics[metric][0] if self.score else np.nan

    @property
    def ties(self) -> bool:
        """Whether it is tied with the best candidate."""
        return self.behind is not None and self.behind[2] >= 0


def rank(candidates: Iterable[Candidate], stopped: Mapping[str, Stop], scores: Scores, metric: str) -> list[Row]:
    """Rank candidates and baselines, best first, those without a score last; of equals the smaller id first."""
    rows = [_row(candidate, stopped.get(candidate[0].id), scores, metric) for candidate in candidates]
    return sorted(rows, key=lambda row: (-row.value(metric) if row.score else np.inf, row.state, row.trial.id))


def best_of(ranking: Iterable[Row]) -> Row | None:
    """Return the first candidate of a ranking that has a score; baselines never win."""
    return next((row for row in ranking if row.score and not row.trial.is_baseline), None)


def compare(ranking: Sequence[Row], best: Row, listeners: Listeners, resamples: int, seed: int) -> list[Row]:
    """Return the ranking with how far each is behind the best.

    Args:
        ranking: Rows to compare; one without a score stays as it is.
        best: One of them.
        listeners: Returns what each listener adds to a trial's metric after a sweep, shape (2, listeners).
        resamples: Bootstrap resamples of the listeners.
        seed: Decides the resamples.
    """
    scored = [row for row in ranking if row.score is not None]
    parts = np.stack([listeners(trial, row.sweep) for row in scored for trial in row.candidate])
    resampled = bootstrap.Resamples(parts.shape[2], resamples, seed)
    (estimates,) = bootstrap.estimate(resampled, bootstrap.Ratios(parts[:, 0].T, parts[:, 1].T))
    values = bootstrap.ratio(parts[:, 0].sum(axis=1), parts[:, 1].sum(axis=1))
    seeds = np.array([len(row.candidate) for row in scored])
    means = np.add.reduceat(np.vstack([values, estimates]), np.cumsum(seeds) - seeds, axis=1) / seeds
    reference = [(row.trial.id, row.sweep) for row in scored].index((best.trial.id, best.sweep))
    behind = means - means[:, [reference]]
    rows = np.vstack([behind[0], bootstrap.percentile_interval(behind[1:])]).T.tolist()
    intervals = iter(tuple(row) for row in rows)
    return [row if row.score is None else replace(row, behind=next(intervals)) for row in ranking]


def disagreement(
    best: Row, rivals: Iterable[Row], listeners: Listeners, resamples: int, seed: int
) -> tuple[Row, Interval] | None:
    """Compare the best with the first of another metric's ranking, by the arguments of `compare`.

    Returns:
        The first by the other metric, and how much longer its recommendations would be listened to, with the paired
        95 % interval of the difference; None where both metrics choose the same candidate after the same sweep.
    """
    rival = best_of(rivals)
    if rival is None or (rival.trial.id, rival.sweep) == (best.trial.id, best.sweep):
        return None
    _, compared = compare([best, rival], best, listeners, resamples, seed)
    return (rival, compared.behind) if compared.behind else None


def simplest(ranking: Iterable[Row], best: Row, listeners: Listeners, resamples: int, seed: int) -> Row:
    """Return the candidate and sweep with the fewest factors, then the fewest sweeps, of those tied with the best.

    All scored sweeps of the candidates in the ranking are compared with the best, by the arguments of `compare`.
    """
    candidates = (row for row in ranking if row.score and not row.trial.is_baseline)
    sweeps = [replace(row, score=score) for row in candidates for score in row.curve]
    tied = (row for row in compare(sweeps, best, listeners, resamples, seed) if row.ties and row.behind)
    return min(
        tied,
        key=lambda row: (getattr(row.trial.params, "factors", 0), row.sweep, -(row.behind or (0,))[0], row.trial.id),
    )


def _row(candidate: Candidate, stop: Stop | None, scores: Scores, metric: str) -> Row:
    of_seeds = [scores[trial.id] for trial in candidate]
    failures = [failure for found in of_seeds if (failure := failure_of(found)) is not None]
    if failures:
        return Row(candidate, "failed", Stop(failures[0].checkpoint, failures[0].error or ""), (), None)
    checkpoints = [score.checkpoint for score in of_seeds[0]]
    of_checkpoints = ([score_at(found, checkpoint) for found in of_seeds] for checkpoint in checkpoints)
    curve = [_mean([score for score in seeds if score is not None]) for seeds in of_checkpoints if None not in seeds]
    best = max(curve, key=lambda score: (score.metrics[metric][0], -score.checkpoint.sweep), default=None)
    return Row(candidate, "pruned" if stop else "scored", stop, tuple(curve), best)


def _mean(scores: Sequence[Score]) -> Score:
    """Return the mean over the seeds; the ends of intervals are means too, seconds are sums."""
    if len(scores) == 1:
        return scores[0]
    metrics = {
        key: (float(value), float(lower), float(upper))
        for key in scores[0].metrics
        for value, lower, upper in [np.mean([score.metrics[key] for score in scores], axis=0)]
    }
    return Score(
        scores[0].checkpoint,
        metrics,
        fit_s=sum(score.fit_s for score in scores),
        score_s=sum(score.score_s for score in scores),
        peak_bytes=max((score.peak_bytes for score in scores if score.peak_bytes is not None), default=None),
        warnings={key: reason for score in scores for key, reason in score.warnings.items()},
    )
