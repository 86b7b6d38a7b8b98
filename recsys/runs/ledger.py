"""What a search has found: the ledger, a JSON line for each trial and scored sweep.

A line is on disk before the search goes on: one that is killed knows all that it had found when it is run again.
A line says what was judged (the trial's id, a digest of data, parameters and seed) and by what (the scorer's digest):
lines of other data, or judged otherwise, stay in the file and count for nothing.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from recsys.errors import SearchError
from recsys.runs.scores import Checkpoint, Entry, Failure, Result, Score, entry_id
from recsys.runs.trials import Trial

_ENDS = ("value", "lower", "upper")


def append_score(file: Path, scorer: str, result: Result, score: Score) -> None:
    """Adds a scored sweep to the ledger, on disk when this returns.

    Args:
        file: The ledger.
        scorer: Digest of the scorer.
        result: Whose score.
        score: The score.
    """
    metrics = {key: dict(zip(_ENDS, ends, strict=True)) for key, ends in score.metrics.items()}
    told = {"state": "scored", "metrics": metrics, "warnings": score.warnings}
    cost = {"fit_s": score.fit_s, "score_s": score.score_s, "peak_bytes": score.peak_bytes}
    _append(file, _row(scorer, result, score.point) | told | cost)


def append_failure(file: Path, scorer: str, result: Result, failure: Failure) -> None:
    """Adds an entry's failure to the ledger, on disk when this returns."""
    told = {"state": "failed", "error": failure.reason, "final": failure.final}
    _append(file, _row(scorer, result, failure.point) | told)


def read_ledger(file: Path, scorer: str, entries: Iterable[Entry]) -> dict[str, Result]:
    """What is known of a search's entries, by id; a torn last line is cut off the file.

    A failure that is not final is left out, and so tried again.

    Args:
        file: The ledger; none yet is one without lines.
        scorer: Digest of the scorer whose lines count.
        entries: The search's entries; lines of others are left out.

    Raises:
        SearchError: A line before the last is damaged.
    """
    results = {entry_id(entry): Result(entry) for entry in entries}
    for row in _read_rows(file):
        if row.get("scorer") != scorer or row["trial"] not in results:
            continue
        result = results[row["trial"]]
        point = Checkpoint(row["sweep"], row["listeners"])
        if row["state"] == "failed" and row["final"]:
            results[result.id] = result.with_failure(Failure(row["error"], point, final=True))
        elif row["state"] == "scored" and result.score_at(point) is None:
            results[result.id] = result.with_score(_score(point, row))
    return results


def _row(scorer: str, result: Result, point: Checkpoint) -> dict[str, Any]:
    return {
        "trial": result.id,
        "scorer": scorer,
        "model": result.model,
        "params": result.params,
        "seed": result.entry.seed if isinstance(result.entry, Trial) else None,
        "sweep": point.sweep,
        "listeners": point.listeners,
    }


def _score(point: Checkpoint, row: dict[str, Any]) -> Score:
    metrics = {key: (ends["value"], ends["lower"], ends["upper"]) for key, ends in row["metrics"].items()}
    return Score(point, metrics, row["fit_s"], row["score_s"], row["peak_bytes"], row["warnings"])


def _append(file: Path, row: dict[str, Any]) -> None:
    with file.open("ab") as ledger:
        ledger.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        ledger.flush()
        os.fsync(ledger.fileno())


def _read_rows(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    lines = file.read_bytes().splitlines(keepends=True)
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
