"""The ledger of a search: a JSON line for each trial and scored sweep.

On the way a line has the metric that chooses; of what is left at the end, another line has every
metric. A line is on disk before the search goes on: one that is killed knows all that it had found
when it is run again.

A line says what was scored (the trial's id, a digest of data, parameters and seed) and by what (the
scorer's digest): lines of other data, or scored otherwise, count for nothing. Its checksum tells
damage: that step is run again.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from looplib.checksums import seal, unseal
from looplib.files import atomic_write
from looplib.untrusted import open_untrusted
from recsys.errors import SearchError
from recsys.models.kinds import KINDS
from recsys.runs.trials import Trial
from recsys.scoring import Interval


@dataclass(frozen=True)
class Score:
    """A model after some sweeps of its fit, or why it did not come so far."""

    sweep: int  # 0 for a baseline
    # by key, such as "ndcg@30"; none of a failure
    metrics: dict[str, Interval] = field(default_factory=dict)
    fit_s: float = 0.0  # since the fit began, scoring aside
    # of metrics from which nothing should be concluded
    warnings: dict[str, str] = field(default_factory=dict)
    # of what was chosen, on other listeners
    test: dict[str, Interval] = field(default_factory=dict)
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


def score_after(scores: Sequence[Score], sweep: int) -> Score | None:
    """Return a trial's score after a sweep; None if it has none."""
    return next(
        (score for score in scores if score.sweep == sweep and score.error is None),
        None,
    )


def failure_of(scores: Sequence[Score]) -> Score | None:
    """Return why a trial failed; None if it did not."""
    return scores[-1] if scores and scores[-1].error is not None else None


class Ledger:
    """The scores of a search's trials, in memory and in a file."""

    scores: Scores

    def __init__(
        self,
        file: Path,
        scorer: str,
        trials: Iterable[Trial],
        is_kept: Callable[[Trial, int], bool] = lambda *_: True,
    ) -> None:
        """Read what a scorer of this digest found of the trials, if the file is there.

        Lines that are not whole are removed from the file, and a failure that is not final is tried
        again; so is a sweep of which `is_kept` says that what its score needs is gone.
        """
        self._file, self._scorer = file, scorer
        known = {trial.id: trial for trial in trials}
        scores: dict[str, tuple[Score, ...]] = dict.fromkeys(known, ())
        lines = read_ledger(file)
        self.damaged = lines.damaged
        if file.exists() and len(lines.content) < file.stat().st_size:
            with atomic_write(file) as whole:
                whole.write(lines.content)
        for row in lines.rows:
            trial = known.get(row["trial"])
            if trial is None or row["scorer"] != scorer:
                continue
            score = _score(row)
            if not score.is_final:
                continue
            if score.error is None and not is_kept(trial, score.sweep):
                damage = (
                    f"trial {trial.id} after sweep {score.sweep}: "
                    "what its listeners add is not whole"
                )
                if damage not in self.damaged:
                    self.damaged.append(damage)
                continue
            scores[trial.id] = _with(scores[trial.id], score)
        self.scores = scores

    def add(self, trial: Trial, score: Score) -> None:
        """Add a score or a failure; it is on disk when this returns."""
        with self._file.open("ab") as lines:
            row = seal(_row(self._scorer, trial, score))
            lines.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            lines.flush()
            os.fsync(lines.fileno())
        self.scores = {**self.scores, trial.id: _with(self.scores[trial.id], score)}


@dataclass
class LedgerLines:
    """The lines of a ledger that are whole."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    content: bytearray = field(default_factory=bytearray)
    # others; but for a torn last one, which a search may be writing
    damaged: list[str] = field(default_factory=list)


def read_ledger(file: Path) -> LedgerLines:
    """Read the lines of a ledger; there are none without the file.

    Raises:
        SearchError: It is a pipe or a device, or cannot be read.
    """
    found = LedgerLines()
    if not file.exists():
        return found
    with open_untrusted(file, error=SearchError) as opened:
        lines = opened.readlines()
    for number, line in enumerate(lines, start=1):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("no end")
            found.rows.append(unseal(line, needed=True))
            found.content += line
        except ValueError as error:
            if number < len(lines):
                found.damaged.append(f"line {number}: damaged ({error})")
    return found


def read_scores(file: Path) -> tuple[list[Trial], Scores]:
    """Read all trials of a ledger and their scores, whatever data and scorer they are of."""
    trials: dict[str, Trial] = {}
    scores: dict[str, tuple[Score, ...]] = {}
    for row in read_ledger(file).rows:
        params = KINDS[row["model"]].params_type(**row["params"])
        trials[row["trial"]] = Trial(row["trial"], row["model"], params, row["seed"])
        scores[row["trial"]] = _with(scores.get(row["trial"], ()), _score(row))
    return list(trials.values()), scores


def _with(scores: tuple[Score, ...], score: Score) -> tuple[Score, ...]:
    """Return scores with a further one, in the order of the fit; a failure is the last.

    The score of a sweep takes the place of an earlier one of the same sweep, which has fewer
    metrics.
    """
    by_sweep = {
        (known.error is not None, known.sweep): known for known in (*scores, score)
    }
    return tuple(by_sweep[key] for key in sorted(by_sweep))


def named_ends(metrics: Mapping[str, Interval]) -> dict[str, dict[str, float]]:
    """Name the value of each metric, and the ends of its interval, as JSON has them."""
    return {
        key: dict(zip(("value", "lower", "upper"), ends, strict=True))
        for key, ends in metrics.items()
    }


def _row(scorer: str, trial: Trial, score: Score) -> dict[str, Any]:
    row = {
        "trial": trial.id,
        "scorer": scorer,
        "model": trial.kind,
        "params": asdict(trial.params),
        "seed": trial.seed,
        "sweep": score.sweep,
    }
    if score.error is not None:
        return row | {"state": "failed", "error": score.error, "final": score.is_final}
    return row | {
        "state": "scored",
        "metrics": named_ends(score.metrics),
        "test": named_ends(score.test),
        "warnings": score.warnings,
        "fit_s": score.fit_s,
    }


def _score(row: dict[str, Any]) -> Score:
    if row["state"] == "failed":
        return Score(row["sweep"], error=row["error"], is_final=row["final"])
    return Score(
        row["sweep"],
        _intervals(row["metrics"]),
        row["fit_s"],
        row["warnings"],
        _intervals(row["test"]),
    )


def _intervals(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, Interval]:
    return {
        key: (ends["value"], ends["lower"], ends["upper"])
        for key, ends in metrics.items()
    }
