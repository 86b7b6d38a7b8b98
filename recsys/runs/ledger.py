"""The ledger of a search: a JSON line for each trial and scored sweep.

While fits go on, a line has the metric that chooses; what is left at the end gets another line with
every metric. A line is on disk before the search goes on: a search that was killed and is run again
knows all that it had found.

A line says what was scored (the trial's id, a digest of data, parameters and seed) and by what (the
scorer's digest): lines of other data, or scored otherwise, count for nothing. Where its checksum
is wrong, that step is run again.
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
from recsys.runs.trials import Trial
from recsys.scoring import MetricValue


@dataclass(frozen=True)
class Score:
    """How good a model is after some sweeps of its fit, or why it did not come so far."""

    sweep: int  # 0 for a baseline
    # by key, such as "ndcg@30"; none of a failure
    metrics: dict[str, MetricValue] = field(default_factory=dict)
    fit_s: float = 0.0  # CPU seconds of the fit, in blocks those of the wall
    # by metric, why nothing should be concluded from it
    warnings: dict[str, str] = field(default_factory=dict)
    # where it has every metric, on the listeners who chose nothing
    test: dict[str, MetricValue] = field(default_factory=dict)
    error: str | None = None  # why the trial failed on the way to this sweep
    # a failure follows from data and parameters; if not, the next run tries again
    is_final: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether it has every metric, not the choosing one alone."""
        return len(self.metrics) > 1


# The scores of each trial by its id, in the order of the fit; a failure is the last.
Scores = Mapping[str, tuple[Score, ...]]


@dataclass(frozen=True)
class Stop:
    """Why a trial takes no further step, and after which sweep."""

    sweep: int
    reason: str


@dataclass(frozen=True)
class Line:
    """A line of the ledger."""

    scorer: str  # digest of what the score follows from beside the trial
    trial: Trial
    score: Score


def failure_of(scores: Sequence[Score]) -> Score | None:
    """Return why a trial failed; None if it did not."""
    return scores[-1] if scores and scores[-1].error is not None else None


class Ledger:
    """The scores of trials, in memory and in a file."""

    def __init__(
        self,
        file: Path,
        scorer: str,
        is_kept: Callable[[Trial, int], bool] = lambda *_: True,
    ) -> None:
        """Read what a scorer of this digest found, if the file is there.

        Damaged lines are removed from the file. A failure that is not final is tried again, and so
        is a sweep that `is_kept` denies: what each listener adds to its score is gone.
        """
        self._file = file
        self._scorer = scorer
        lines, self.damaged = read_ledger(file)
        whole = b"".join(map(_encode, lines))
        if file.exists() and whole != file.read_bytes():
            with atomic_write(file) as written:
                written.write(whole)
        known = []
        for line in lines:
            trial = line.trial
            score = line.score
            if line.scorer != scorer or not score.is_final:
                continue
            if score.error is None and not is_kept(trial, score.sweep):
                self.damaged.append(
                    f"trial {trial.id} after sweep {score.sweep}: "
                    "what its listeners add is not whole"
                )
            else:
                known.append(line)
        self.scores = scores_of(known)

    def add(self, trial: Trial, score: Score) -> None:
        """Add a score or a failure; it is on disk when this returns."""
        with self._file.open("ab") as lines:
            lines.write(_encode(Line(self._scorer, trial, score)))
            lines.flush()
            os.fsync(lines.fileno())
        self.scores[trial.id] = _with(self.scores[trial.id], score)


def read_ledger(file: Path) -> tuple[list[Line], list[str]]:
    """Read the whole lines of a ledger, none without the file.

    Returns:
        The lines, and what is wrong with others, but for a torn last one, which a search may be
        writing.

    Raises:
        SearchError: It is a pipe or a device, or cannot be read.
    """
    lines: list[Line] = []
    damaged: list[str] = []
    if not file.exists():
        return lines, damaged
    with open_untrusted(file, error=SearchError) as opened:
        found = opened.readlines()
    for number, content in enumerate(found, start=1):
        try:
            if not content.endswith(b"\n"):
                raise ValueError("no end")
            lines.append(msgspec.convert(unseal(content, needed=True), Line))
        except ValueError as error:
            if number < len(found):
                damaged.append(f"line {number}: damaged ({error})")
    return lines, damaged


def scores_of(lines: Iterable[Line]) -> defaultdict[str, tuple[Score, ...]]:
    """Return the scores of all trials in lines of a ledger; none of others."""
    scores: defaultdict[str, tuple[Score, ...]] = defaultdict(tuple)
    for line in lines:
        scores[line.trial.id] = _with(scores[line.trial.id], line.score)
    return scores


def _with(scores: tuple[Score, ...], score: Score) -> tuple[Score, ...]:
    """Return scores with a further one, in the order of the fit; a failure is the last.

    The score of a sweep takes the place of an earlier one of the same sweep, which has fewer
    metrics.
    """
    by_sweep = {
        (known.error is not None, known.sweep): known for known in (*scores, score)
    }
    return tuple(by_sweep[key] for key in sorted(by_sweep))


def _encode(line: Line) -> bytes:
    return orjson.dumps(seal(line), option=orjson.OPT_APPEND_NEWLINE)
