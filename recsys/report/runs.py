"""A search's run folder as it is on the disk, finished or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from looplib.checksums import unseal
from looplib.config import load_config
from recsys.config import SearchConfig
from recsys.models.kinds import KINDS
from recsys.runs.folder import CONFIG, LEADERBOARD, LEDGER, WINNER
from recsys.runs.leaderboard import describe_params, telling_axes
from recsys.runs.ledger import read_ledger
from recsys.scoring.off_policy import Interval
from recsys.workspace import Workspace

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """The folder of a search."""

    name: str  # on the page
    folder: Path
    config: SearchConfig
    rows: tuple[Row, ...]  # the leaderboard, best first; empty while the search is not finished
    winner: Row | None  # its row of the leaderboard; None while the search is not finished
    changed: datetime  # when the ledger was last written to

    @property
    def select(self) -> str:
        """The metric that chooses."""
        return self.config.validation.select

    @cached_property
    def params(self) -> tuple[str, ...]:
        """The names of the hyperparameters."""
        return tuple(dict.fromkeys(name for row in self._ledger for name in row["params"]))

    @cached_property
    def candidates(self) -> tuple[Row, ...]:
        """The leaderboard without the baselines."""
        return tuple(row for row in self.rows if not KINDS[row["model"]].is_baseline)

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """The hyperparameters that distinguish the candidates, and the three that everybody looks for."""
        return tuple(telling_axes([{name: row[name] for name in self.params} for row in self.candidates]))

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """All metrics of the leaderboard, as name@k."""
        return tuple(key for key in (self.rows[0] if self.rows else ()) if "@" in key and " " not in key)

    def scored(self, rows: tuple[Row, ...]) -> list[Row]:
        """Return those of the rows that have a score."""
        return [row for row in rows if row.get(self.select) is not None]

    def label(self, row: Row) -> str:
        """Name a row: by the hyperparameters that distinguish it, or as the baseline that it is."""
        return describe_params({name: row[name] for name in self.axes}) if row in self.candidates else row["model"]

    def curve(self, trial: str) -> list[tuple[int, Interval]]:
        """Return the choosing metric with its interval after each scored sweep of a trial, from the ledger."""
        rows = [row for row in self._ledger if row["trial"] == trial and self.select in row.get("metrics", ())]
        return sorted({row["sweep"]: tuple(row["metrics"][self.select].values()) for row in rows}.items())

    @cached_property
    def _ledger(self) -> list[dict[str, Any]]:
        return read_ledger(self.folder / LEDGER).rows


def read_folder(run: Workspace, name: str) -> Run:
    """Read a run folder; the search may be running."""
    run.download(LEADERBOARD, CONFIG, LEDGER, WINNER)
    config, ledger, leaderboard, winner = (run.folder / file for file in (CONFIG, LEDGER, LEADERBOARD, WINNER))
    rows = tuple(pq.read_table(leaderboard).to_pylist()) if leaderboard.exists() else ()
    trial = unseal(winner.read_bytes())["trial"]["id"] if winner.exists() else None
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
