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
    """A model at a checkpoint of its fit, or why it did not come so far.

    Attributes:
        checkpoint: Which moment.
        metrics: Metric key, such as "ndcg@30", to value and the ends of its 95 % interval; none of a failure.
        fit_s: Seconds since the fit began, scoring aside, to the millisecond.
        score_s: Seconds that this score took.
        peak_bytes: The largest memory of the worker during the step, mapped data included; None where nobody looked.
        warnings: Metric key to why nothing should be concluded from the metric; only of those of which that is so.
        error: Why the trial failed on the way to this checkpoint, in a line; None if it did not.
        is_final: Whether a failure follows from data and parameters; if not, the next run tries again.
    """

    checkpoint: Checkpoint
    metrics: dict[str, Interval] = field(default_factory=dict)
    fit_s: float = 0.0
    score_s: float = 0.0
    peak_bytes: int | None = None
    warnings: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    is_final: bool = True


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
