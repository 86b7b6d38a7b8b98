"""What a search has found: the ledger, a JSON line for each trial and scored sweep.

A line is on disk before the search goes on: one that is killed knows all that it had found when it is run again.
A line says what was scored (the trial's id, a digest of data, parameters and seed) and by what (the scorer's digest):
lines of other data, or scored otherwise, stay in the file and count for nothing.
"""

import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from recsys.errors import SearchError
from recsys.runs.scores import Checkpoint, Score, Scores, score_at
from recsys.runs.trials import Trial

_ENDS = ("value", "lower", "upper")


class Ledger:
    """The scores of a search's trials, in memory and in a file."""

    scores: Scores  # of each trial, by id

    def __init__(self, file: Path, scorer: str, trials: Iterable[Trial]) -> None:
        """Read what a scorer of this digest found of the trials, if the file is there.

        A torn last line is cut off the file, and a failure that is not final is tried again.

        Raises:
            SearchError: A line before the last is damaged.
        """
        self._file, self._scorer = file, scorer
        scores: dict[str, tuple[Score, ...]] = {trial.id: () for trial in trials}
        for row in _read_rows(file):
            if row.get("scorer") == scorer and row["trial"] in scores:
                score, known = _score(row), scores[row["trial"]]
                if score_at(known, score.checkpoint) is None and score.is_final:
                    scores[row["trial"]] = (*known, score)
        self.scores = scores

    def add(self, trial: Trial, score: Score) -> None:
        """Add a score or a failure; it is on disk when this returns.

        Raises:
            OSError: The disk is full.
        """
        with self._file.open("ab") as lines:
            lines.write(orjson.dumps(_row(self._scorer, trial, score), option=orjson.OPT_APPEND_NEWLINE))
            lines.flush()
            os.fsync(lines.fileno())
        self.scores = {**self.scores, trial.id: (*self.scores[trial.id], score)}


def _row(scorer: str, trial: Trial, score: Score) -> dict[str, Any]:
    row = {
        "trial": trial.id,
        "scorer": scorer,
        "model": trial.kind,
        "params": asdict(trial.params),
        "seed": trial.seed,
        "sweep": score.checkpoint.sweep,
    }
    if score.error is not None:
        return row | {"state": "failed", "error": score.error, "final": score.is_final}
    metrics = {key: dict(zip(_ENDS, ends, strict=True)) for key, ends in score.metrics.items()}
    found = {"state": "scored", "metrics": metrics, "warnings": score.warnings}
    return row | found | {"fit_s": score.fit_s, "score_s": score.score_s, "peak_bytes": score.peak_bytes}


def _score(row: dict[str, Any]) -> Score:
    checkpoint = Checkpoint(row["sweep"])
    if row["state"] == "failed":
        return Score(checkpoint, error=row["error"], is_final=row["final"])
    metrics = {key: (ends["value"], ends["lower"], ends["upper"]) for key, ends in row["metrics"].items()}
    return Score(checkpoint, metrics, row["fit_s"], row["score_s"], row["peak_bytes"], row["warnings"])


def _read_rows(file: Path) -> list[dict[str, Any]]:
    lines = file.read_bytes().splitlines(keepends=True) if file.exists() else []
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            if not line.endswith(b"\n"):
                raise ValueError("no end")
            rows.append(orjson.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise SearchError(f"{file}, line {number}: damaged ({error}); start over with --fresh") from None
            os.truncate(file, sum(map(len, lines[:-1])))
    return rows
