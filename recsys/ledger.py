"""What a search has found: the ledger, a JSON line for each trial and scored sweep, and the leaderboard.

A line is on disk before the search goes on, so the ledger of a killed search holds every trial that had finished.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from common.files import atomic_write
from recsys.fitting import Baseline, Score, Scored
from recsys.trials import Trial

LEDGER = "ledger.jsonl"
LEADERBOARD = "leaderboard.parquet"
Entry = Trial | Baseline


@dataclass(frozen=True)
class Result:
    """An entry of the search and what became of it."""

    entry: Entry
    scored: Scored

    @property
    def id(self) -> str:
        """The trial's id, or the baseline's name."""
        return self.entry.id if isinstance(self.entry, Trial) else self.entry

    @property
    def model(self) -> str:
        """Which kind of model it is."""
        return "als" if isinstance(self.entry, Trial) else self.entry

    @property
    def params(self) -> dict[str, Any]:
        """Its hyperparameters."""
        return asdict(self.entry.params) if isinstance(self.entry, Trial) else {}

    def best(self, select: str) -> Score | None:
        """The score with the largest value of a metric, the earliest of equals; None where the entry failed."""
        if self.scored.error is not None or not self.scored.scores:
            return None
        return max(self.scored.scores, key=lambda score: (score.metrics[select][0], -score.sweep))


def append_result(file: Path, result: Result) -> None:
    """Adds an entry's rows to the ledger, on disk when this returns.

    A scored sweep is a row with state "scored"; a failed entry's last row has state "failed" and its error.
    """
    rows = [_row(result, "scored", score) for score in result.scored.scores]
    if result.scored.error is not None:
        rows.append(_row(result, "failed", None))
    with file.open("ab") as ledger:
        ledger.write(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
        ledger.flush()
        os.fsync(ledger.fileno())


def rank(results: Sequence[Result], select: str) -> list[tuple[Result, Score | None]]:
    """The entries with their best score, best first, failed ones last; of equals the one with the smaller id."""
    scored = [(result, result.best(select)) for result in results]
    return sorted(scored, key=lambda pair: (-pair[1].metrics[select][0] if pair[1] else float("inf"), pair[0].id))


def write_leaderboard(file: Path, ranked: Sequence[tuple[Result, Score | None]]) -> None:
    """Writes a row for each entry: what it is, its best sweep, every metric with both ends of its interval."""
    rows = [_leaderboard_row(place, result, score) for place, (result, score) in enumerate(ranked, start=1)]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = pa.table({column: [row.get(column) for row in rows] for column in columns})
    with atomic_write(file) as handle:
        pq.write_table(table, handle)


def _row(result: Result, state: str, score: Score | None) -> dict[str, Any]:
    return {
        "trial": result.id,
        "model": result.model,
        "params": result.params,
        "sweep": score.sweep if score else None,
        "state": state,
        "metrics": {
            key: dict(zip(("value", "lower", "upper"), ends, strict=True)) for key, ends in score.metrics.items()
        }
        if score
        else {},
        "fit_s": round(score.fit_s, 3) if score else None,
        "score_s": round(score.score_s, 3) if score else None,
        "error": None if score else result.scored.error,
    }


def _leaderboard_row(place: int, result: Result, score: Score | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "place": place,
        "trial": result.id,
        "model": result.model,
        "state": "scored" if score else "failed",
        "error": result.scored.error,
        "sweep": score.sweep if score else None,
        "fit_s": score.fit_s if score else None,
        **result.params,
    }
    if score:
        for key, (value, lower, upper) in score.metrics.items():
            row |= {key: value, f"{key} lower": lower, f"{key} upper": upper}
    return row
