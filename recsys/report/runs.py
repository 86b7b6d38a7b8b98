"""A search's run folder as it is on the disk, finished or not."""

from collections.abc import Mapping
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
from recsys.scoring.off_policy import Interval
from recsys.workspace import Workspace

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """The folder of a search.

    Attributes:
        name: Its name on the page.
        folder: Its path.
        config: What was asked for.
        rows: The leaderboard, best first; empty while the search is not finished.
        winner: The leaderboard's row of the winner; None while the search is not finished.
        changed: When the ledger was last written to.
    """

    name: str
    folder: Path
    config: SearchConfig
    rows: tuple[Row, ...]
    winner: Row | None
    changed: datetime

    @property
    def select(self) -> str:
        """Return the metric that chooses."""
        return self.config.validation.select

    @cached_property
    def params(self) -> tuple[str, ...]:
        """Return the names of the hyperparameters."""
        return tuple(dict.fromkeys(name for row in self._ledger for name in row["params"]))

    @cached_property
    def candidates(self) -> tuple[Row, ...]:
        """Return the leaderboard without the baselines."""
        return tuple(row for row in self.rows if not KINDS[row["model"]].is_baseline)

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """Return the hyperparameters that distinguish the candidates, and the three that everybody looks for."""
        return tuple(telling_axes([{name: row[name] for name in self.params} for row in self.candidates]))

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Return all metrics of the leaderboard, as name@k."""
        ends = dict.fromkeys(key for row in self.rows for key in row if "@" in key and key.endswith(" lower"))
        return tuple(key.removesuffix(" lower") for key in ends)

    def scored(self, rows: tuple[Row, ...]) -> list[Row]:
        """Return those of the rows that have a score."""
        return [row for row in rows if row.get(self.select) is not None]

    def label(self, row: Row) -> str:
        """Name a row: by the hyperparameters that distinguish it, or as the baseline that it is."""
        return describe_params({name: row[name] for name in self.axes}) if row in self.candidates else row["model"]

    def curve(self, trial: str) -> list[tuple[int, Interval]]:
        """Return the choosing metric with its interval after each scored sweep of a trial, from the ledger."""
        points = {}
        for row in self._ledger:
            ends = row["metrics"].get(self.select) if row["state"] == "scored" else None
            if ends and row["trial"] == trial:
                points[row["sweep"]] = (ends["value"], ends["lower"], ends["upper"])
        return sorted(points.items())

    @cached_property
    def _ledger(self) -> tuple[Row, ...]:
        lines = (self.folder / LEDGER).read_bytes().splitlines(keepends=True)
        return tuple(orjson.loads(line) for line in lines if line.endswith(b"\n"))  # the last may be half written


def read_folder(run: Workspace, name: str) -> Run:
    """Read a run folder; the search may be running."""
    run.download(LEADERBOARD, CONFIG, LEDGER, WINNER)
    config, ledger, leaderboard, winner = (run.folder / file for file in (CONFIG, LEDGER, LEADERBOARD, WINNER))
    rows = tuple(pq.read_table(leaderboard).to_pylist()) if leaderboard.exists() else ()
    trial = orjson.loads(winner.read_bytes())["trial"]["id"] if winner.exists() else None
    return Run(
        name,
        run.folder,
        load_config(SearchConfig, config),
        rows,
        next((row for row in rows if row["trial"] == trial), None),
        datetime.fromtimestamp(ledger.stat().st_mtime, UTC),
    )


def interval_of(row: Row, metric: str) -> Interval:
    """Return a metric of a row: value, lower and upper end of its interval."""
    return row[metric], row[f"{metric} lower"], row[f"{metric} upper"]
