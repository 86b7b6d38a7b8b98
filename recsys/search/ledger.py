"""The ledger of a search: a JSON line for each trial and scored iteration.

While fits go on, a line has the metric that chooses; what is left at the end gets another line with
every metric. A line is on disk before the search goes on: a search that was killed and is run again
has all its scores.

A line says what was scored (the trial's id, a digest of data, hyperparameters and seed) and by what
(the scorer's digest): lines of other data, or scored otherwise, count for nothing. Where its
checksum is wrong, that step is run again.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import orjson

from looplib.checksums import seal, unseal
from looplib.files import atomic_write
from looplib.untrusted import open_untrusted
from recsys.errors import SearchError
from recsys.models.trial import Checkpoint, Trial
from recsys.run import MetricValue


@dataclass(frozen=True)
class Score:
    """How good a trial is after some iterations of its fit, or why it did not come so far."""

    trial: Trial
    iteration: int  # 0 where it has none
    scorer: str  # digest of what the score follows from beside the trial
    # by key, such as "ndcg@30"; none of a failure
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    fit_s: float = 0.0  # CPU seconds of the fit, in blocks those of the wall
    # where it has every metric, on the listeners who chose nothing
    test: dict[str, MetricValue] = field(default_factory=dict)
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
        """Whether it has every metric, not the choosing one alone."""
        return len(self.metrics) > 1


# The scores of each trial by its id, in the order of the fit; a failure is the last.
Scores = Mapping[str, tuple[Score, ...]]


def failure_of(scores: Sequence[Score]) -> Score | None:
    """Find the failure among a trial's scores; None if it did not fail."""
    return scores[-1] if scores and scores[-1].error is not None else None


def best_score(scores: Sequence[Score], metric: str) -> Score | None:
    """Find the score with the largest value of a metric, the earliest of equals."""
    return max(
        (score for score in scores if metric in score.metrics),
        key=lambda score: (score.metrics[metric][0], -score.iteration),
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
        """Read the scores of a scorer of this digest, if the file is there.

        Damaged lines are removed from the file. A failure that is not final is tried again, and so
        is a checkpoint that `is_kept` denies: what each listener adds to its score is lost.
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
                    "what its listeners add is not whole"
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
        The scores, and what is wrong with other lines, but for a torn last one, which a search may
        be writing.

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
            scores.append(msgspec.convert(unseal(content, needed=True), Score))
        except ValueError as error:
            if number < len(lines):
                damaged.append(f"line {number}: damaged ({error})")
    return scores, damaged


def scores_of(lines: Iterable[Score]) -> defaultdict[str, tuple[Score, ...]]:
    """Group the lines of a ledger by the trial; there are no scores of another."""
    scores: defaultdict[str, tuple[Score, ...]] = defaultdict(tuple)
    for score in lines:
        scores[score.trial.id] = _with(scores[score.trial.id], score)
    return scores


def _with(scores: tuple[Score, ...], added: Score) -> tuple[Score, ...]:
    """Add a score, in the order of the fit; a failure is the last.

    The score of an iteration takes the place of an earlier one of the same, which has fewer
    metrics.
    """
    by_iteration = {
        (score.error is not None, score.iteration): score for score in (*scores, added)
    }
    return tuple(by_iteration[key] for key in sorted(by_iteration))


def encode(score: Score) -> bytes:
    """Write a score as a line of a ledger."""
    return orjson.dumps(seal(score), option=orjson.OPT_APPEND_NEWLINE)
