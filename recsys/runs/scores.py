"""The values of a search: what is fitted, when it is scored, and what came out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from recsys.runs.trials import Trial
from recsys.scoring.off_policy import Interval

Baseline = Literal["random", "popular"]
BASELINES: tuple[Baseline, ...] = ("random", "popular")
Entry = Trial | Baseline


@dataclass(frozen=True)
class Checkpoint:
    """A moment at which fits are scored.

    Attributes:
        sweep: Sweeps done; 0 for a baseline.
        listeners: The share of the listeners that is fitted and scored.
    """

    sweep: int
    listeners: float = 1.0


@dataclass(frozen=True)
class Step:
    """The work between two scores of a trial, or all of a baseline."""

    entry: Entry
    point: Checkpoint


@dataclass(frozen=True)
class Score:
    """A model at one moment of its fit.

    Attributes:
        point: Which moment.
        metrics: Metric key, such as "ndcg@30", to value and the ends of its 95 % interval.
        fit_s: Seconds since the fit began, scoring aside, to the millisecond.
        score_s: Seconds that this score took.
        peak_bytes: The largest memory of the worker during the step, mapped data included; None where nobody looked.
        warnings: Metric key to why nothing should be concluded from the metric; only of those of which that is so.
    """

    point: Checkpoint
    metrics: dict[str, Interval]
    fit_s: float
    score_s: float
    peak_bytes: int | None = None
    warnings: dict[str, str] = field(default_factory=dict)


def entry_id(entry: Entry) -> str:
    """The trial's id, or the baseline's name."""
    return entry.id if isinstance(entry, Trial) else entry


@dataclass(frozen=True)
class Failure:
    """Why an entry has no further scores.

    Attributes:
        reason: In a line.
        point: What it was to be scored at.
        final: Whether it follows from data and parameters; if not, the next run tries again.
    """

    reason: str
    point: Checkpoint
    final: bool


@dataclass(frozen=True)
class Result:
    """An entry of the search and what became of it so far.

    Attributes:
        entry: The trial or baseline.
        scores: In the order of the fit.
        failure: Why it went no further; None if nothing failed.
    """

    entry: Entry
    scores: tuple[Score, ...] = ()
    failure: Failure | None = None

    @property
    def id(self) -> str:
        """The trial's id, or the baseline's name."""
        return entry_id(self.entry)

    @property
    def model(self) -> str:
        """Which kind of model it is."""
        return "als" if isinstance(self.entry, Trial) else self.entry

    @property
    def params(self) -> dict[str, Any]:
        """Its hyperparameters."""
        return asdict(self.entry.params) if isinstance(self.entry, Trial) else {}

    def score_at(self, point: Checkpoint) -> Score | None:
        """Its score at a point; None if it has none."""
        return next((score for score in self.scores if score.point == point), None)

    def with_score(self, score: Score) -> "Result":
        """The result with one more score."""
        return replace(self, scores=(*self.scores, score))

    def with_failure(self, failure: Failure) -> "Result":
        """The result of an entry that failed."""
        return replace(self, failure=failure)


Results = Mapping[str, Result]


@dataclass(frozen=True)
class Pruned:
    """A candidate that was given up.

    Attributes:
        point: After which score.
        reason: Why.
    """

    point: Checkpoint
    reason: str
