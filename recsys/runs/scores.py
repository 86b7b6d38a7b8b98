"""The scores of a search: when a fit is scored, and what came out."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from recsys.scoring.off_policy import Interval


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a fit, at which it is scored: the sweeps done, 0 for a baseline."""

    sweep: int


@dataclass(frozen=True)
class Score:
    """A model at a checkpoint of its fit, or why it did not come so far."""

    checkpoint: Checkpoint
    metrics: dict[str, Interval] = field(default_factory=dict)  # by key, such as "ndcg@30"; none of a failure
    fit_s: float = 0.0  # since the fit began, scoring aside
    score_s: float = 0.0
    peak_bytes: int | None = None  # the worker's largest memory during the step, mapped data included
    warnings: dict[str, str] = field(default_factory=dict)  # of metrics from which nothing should be concluded
    error: str | None = None  # why the trial failed on the way to this checkpoint
    is_final: bool = True  # a failure follows from data and parameters; if not, the next run tries again


# The scores of each trial by its id, in the order of the fit; a failure is the last.
Scores = Mapping[str, tuple[Score, ...]]


def score_at(scores: tuple[Score, ...], checkpoint: Checkpoint) -> Score | None:
    """Return a trial's score at a checkpoint; None if it has none."""
    return next((score for score in scores if score.checkpoint == checkpoint and score.error is None), None)


def failure_of(scores: tuple[Score, ...]) -> Score | None:
    """Return why a trial failed; None if it did not."""
    return scores[-1] if scores and scores[-1].error is not None else None


@dataclass(frozen=True)
class Stop:
    """Why a trial takes no further step, and after which checkpoint."""

    checkpoint: Checkpoint
    reason: str
