"""A search's run folder as it stands on the disk, finished or not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from looplib.config import load_config
from recsys.config import SearchConfig
from recsys.models.kinds import KINDS
from recsys.runs.folder import CONFIG, LEADERBOARD, LEDGER, WINNER
from recsys.runs.leaderboard import describe_params, telling_axes
from recsys.workspace import Workspace

Row = Mapping[str, Any]
Interval = tuple[float, float, float]


@dataclass(frozen=True)
class Run:
    """A search's folder.

    Attributes:
        name: What it is called.
        folder: Where it is.
        config: What was asked for.
        rows: The leaderboard, best first; empty while the search is not finished.
        is_finished: Whether there is a winner.
        changed: When it was last written to.
    """

    name: str
    folder: Path
    config: SearchConfig
    rows: tuple[Row, ...]
    is_finished: bool
    changed: datetime

    @property
    def select(self) -> str:
        """The metric that chooses."""
        return self.config.validation.select

    @cached_property
    def params(self) -> tuple[str, ...]:
        """Names of the hyperparameters."""
        return tuple(dict.fromkeys(name for row in self._ledger for name in row["params"]))

    @cached_property
    def candidates(self) -> tuple[Row, ...]:
        """The leaderboard without the baselines."""
        return tuple(row for row in self.rows if not KINDS[row["model"]].is_baseline)

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The hyperparameters that tell the candidates apart, and the three that everybody looks for."""
        return tuple(telling_axes([{name: row[name] for name in self.params} for row in self.candidates]))

    @property
    def winner(self) -> Row | None:
        """The leaderboard's row of the winner."""
        if not self.is_finished:
            return None
        trial = orjson.loads((self.folder / WINNER).read_bytes())["trial"]["id"]
        return next((row for row in self.rows if row["trial"] == trial), None)

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """All metrics of the leaderboard, as name@k."""
        ends = dict.fromkeys(key for row in self.rows for key in row if "@" in key and key.endswith(" lower"))
        return tuple(key.removesuffix(" lower") for key in ends)

    def label(self, row: Row) -> str:
        """A row in a few words: the hyperparameters that tell it apart, or the baseline's name."""
        return describe_params({name: row[name] for name in self.axes}) if row in self.candidates else row["model"]

    def curve(self, trial: str) -> list[tuple[int, Interval]]:
        """The choosing metric with its interval after each scored sweep of a trial, from the ledger."""
        return self._curves.get(trial, [])

    @cached_property
    def _curves(self) -> dict[str, list[tuple[int, Interval]]]:
        points: dict[str, dict[int, Interval]] = {}
        for row in self._ledger:
            ends = row["metrics"].get(self.select) if row["state"] == "scored" else None
            if ends and row.get("listeners", 1) == 1:
                points.setdefault(row["trial"], {})[row["sweep"]] = (ends["value"], ends["lower"], ends["upper"])
        return {trial: sorted(of_trial.items()) for trial, of_trial in points.items()}

    @cached_property
    def _ledger(self) -> tuple[Row, ...]:
        return tuple(read_lines(self.folder / LEDGER))


def read_folder(run: Workspace, name: str) -> Run:
    """Reads a run folder; the search may be under way."""
    run.download(LEADERBOARD, CONFIG, LEDGER, WINNER)
    folder, leaderboard = run.folder, run.folder / LEADERBOARD
    return Run(
        name=name,
        folder=folder,
        config=load_config(SearchConfig, folder / CONFIG),
        rows=tuple(pq.read_table(leaderboard).to_pylist()) if leaderboard.exists() else (),
        is_finished=(folder / WINNER).exists(),
        changed=datetime.fromtimestamp((folder / LEDGER).stat().st_mtime, UTC),
    )


def interval_of(row: Row, metric: str) -> Interval:
    """A metric of a row: value, lower, upper."""
    return row[metric], row[f"{metric} lower"], row[f"{metric} upper"]


def read_lines(file: Path) -> Iterator[Row]:
    """The lines of a ledger."""
    for line in file.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):  # the last one may be under way
            yield orjson.loads(line)
