"""The ledger of a search: a JSON line for each trial and scored iteration.

While fits go on, a line has the choosing metric; the finalists get another line with every metric.
A line is on disk before the search goes on: a search that was killed and runs again has all its
scores.

A line names the trial (its id is a digest of data, hyperparameters and seed) and the evaluation's
digest: lines of other data, or of another evaluation, do not count. A step whose line has a wrong
checksum runs again.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import orjson

from analysis.statistics.effects import Interval
from looplib.checksums import seal, unseal
from looplib.files import atomic_write
from looplib.untrusted import open_untrusted
from recsys.errors import SearchError
from recsys.models.trial import Checkpoint, Trial


@dataclass(frozen=True)
class Score:
    """How good a trial is after some iterations of its fit, or why it did not come so far."""

    trial: Trial
    iteration: int  # 0 of a fit without iterations
    scorer: str  # digest of all inputs of the score but the trial
    # values by key, such as "ndcg@30"; empty for a failure
    metrics: dict[str, Interval] = field(default_factory=dict)
    fit_s: float = 0.0  # CPU seconds of the fit; in blocks, wall seconds
    # metrics on the test part, if the score is whole
    test: dict[str, Interval] = field(default_factory=dict)
    error: str | None = None  # why the trial failed on the way to this iteration
    # a failure follows from data and hyperparameters; if not, the next run tries again
    is_final: bool = True
    at_s: float = (
        0.0  # seconds since the search began, in all its runs, when it was recorded
    )

    @property
    def checkpoint(self) -> Checkpoint:
        """The trial and the iteration."""
        return Checkpoint(self.trial, self.iteration)

    @property
    def is_whole(self) -> bool:
        """Whether it has every metric, not the choosing metric alone."""
        return len(self.metrics) > 1


# The scores of each trial by its id, in the order of the fit; a failure is the last.
Scores = Mapping[str, tuple[Score, ...]]


def failure_of(scores: Sequence[Score]) -> Score | None:
    """Find the failure among a trial's scores; None if it did not fail."""
    return scores[-1] if scores and scores[-1].error is not None else None


def best_score(scores: Sequence[Score], metric: str) -> Score | None:
    """Find the score with the largest value of a metric; the earliest if several are equal."""
    return max(
        (score for score in scores if metric in score.metrics),
        key=lambda score: (score.metrics[metric].value, -score.iteration),
        default=None,
    )


class Ledger:
    """The scores of trials, in memory and in a file."""

    def __init__(
        self,
        file: Path,
        scorer: str,
        is_kept: Callable[[Checkpoint], bool] = lambda _: True,
    ) -> None:
        """Read the scores of an evaluation with this digest, if the file is there.

        Damaged lines are removed from the file. A failure that is not final is tried again, and so
        is a checkpoint that `is_kept` denies, because the listeners' parts of its score are lost.
        """
        self._file = file
        lines, self.damaged = read_ledger(file)
        whole = b"".join(map(encode, lines))
        if file.exists() and whole != file.read_bytes():
            with atomic_write(file) as written:
                written.write(whole)
        scores = []
        for score in lines:
            if score.scorer != scorer or not score.is_final:
                continue
            if score.error is None and not is_kept(score.checkpoint):
                self.damaged.append(
                    f"trial {score.trial.id} after iteration {score.iteration}: "
                    "the listeners' parts of its score are not whole"
                )
            else:
                scores.append(score)
        self.scores = scores_of(scores)

    def add(self, score: Score) -> None:
        """Add a score or a failure; it is on disk when this returns."""
        with self._file.open("ab") as lines:
            lines.write(encode(score))
            lines.flush()
            os.fsync(lines.fileno())
        self.scores[score.trial.id] = _with(self.scores[score.trial.id], score)


def read_ledger(file: Path) -> tuple[list[Score], list[str]]:
    """Read the whole lines of a ledger, none without the file.

    Returns:
        The scores, and a description of each damaged line. A torn last line is left out: a search
            may be writing it.

    Raises:
        SearchError: It is a pipe or a device, or cannot be read.
    """
    scores: list[Score] = []
    damaged: list[str] = []
    if not file.exists():
        return scores, damaged
    with open_untrusted(file, error=SearchError) as opened:
        lines = opened.readlines()
    for number, content in enumerate(lines, start=1):
        try:
            if not content.endswith(b"\n"):
                raise ValueError("no end")
            scores.append(msgspec.convert(unseal(content), Score))
        except ValueError as error:
            if number < len(lines):
                damaged.append(f"line {number}: damaged ({error})")
    return scores, damaged


def scores_of(lines: Iterable[Score]) -> defaultdict[str, tuple[Score, ...]]:
    """Group the lines of a ledger by trial; other trials have no scores."""
    scores: defaultdict[str, tuple[Score, ...]] = defaultdict(tuple)
    for score in lines:
        scores[score.trial.id] = _with(scores[score.trial.id], score)
    return scores


def _with(scores: tuple[Score, ...], added: Score) -> tuple[Score, ...]:
    """Add a score, in the order of the fit; a failure is the last.

    A score replaces an earlier score of the same iteration, which has fewer metrics.
    """
    by_iteration = {
        (score.error is not None, score.iteration): score for score in (*scores, added)
    }
    return tuple(by_iteration[key] for key in sorted(by_iteration))


def encode(score: Score) -> bytes:
    """Write a score as a line of a ledger."""
    return orjson.dumps(seal(score), option=orjson.OPT_APPEND_NEWLINE)
