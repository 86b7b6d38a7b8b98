"""A search's run folder as it is on the disk, finished or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from looplib.checksums import unseal
from looplib.config import load_config
from recsys.config import SearchConfig
from recsys.lock import EXPIRY_S, LOCK
from recsys.models.kinds import KINDS
from recsys.runs.folder import CONFIG, DASHBOARD, LEADERBOARD, LEDGER, WINNER
from recsys.runs.leaderboard import describe_params, telling_axes
from recsys.runs.ledger import read_ledger
from recsys.scoring import Interval
from recsys.workspace import Workspace

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """The folder of a search."""

    name: str  # on the page
    folder: Path
    config: SearchConfig
    rows: tuple[Row, ...]  # the leaderboard, best first; while the search is not finished, what is scored so far
    winner: Row | None  # its row of the leaderboard; None while the search is not finished
    changed: datetime  # when the ledger was last written to
    alive: datetime  # when the search last gave a sign of life
    dashboard: str  # address of the Dask dashboard of a running search; empty if none is known

    @property
    def state(self) -> str:
        """What became of the search: "finished", "running" or "interrupted"."""
        silent = datetime.now(UTC) - self.alive
        return "finished" if self.winner else "running" if silent < timedelta(seconds=EXPIRY_S) else "interrupted"

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
    def varied(self) -> list[str]:
        """The hyperparameters of which several values were tried."""
        return [name for name in self.axes if len({row[name] for row in self.candidates}) > 1]

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """All metrics of the leaderboard, as name@k."""
        return tuple(dict.fromkeys(key for row in self.rows for key in row if "@" in key and " " not in key))

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
    settings = load_config(SearchConfig, config)
    if leaderboard.exists():
        rows = pq.read_table(leaderboard).to_pylist()
    else:
        rows = _rows_so_far(read_ledger(ledger).rows, settings.validation.select)
    trial = unseal(winner.read_bytes())["trial"]["id"] if winner.exists() else None
    dashboard, lock = run.folder / DASHBOARD, run.folder / LOCK
    return Run(
        name,
        run.folder,
        settings,
        tuple(rows),
        next((row for row in rows if row["trial"] == trial), None),
        _changed(ledger),
        _changed(lock if lock.exists() else ledger),
        dashboard.read_text(encoding="utf-8") if dashboard.exists() else "",
    )


def interval_of(row: Row, metric: str) -> tuple[float | None, float | None, float | None]:
    """Return a metric of a row: value, lower and upper end of its interval."""
    return row.get(metric), row.get(f"{metric} lower"), row.get(f"{metric} upper")


def _rows_so_far(ledger: Sequence[Mapping[str, Any]], select: str) -> list[Row]:
    """Return the best score of each trial in a ledger as rows of a leaderboard, by the choosing metric."""
    best: dict[str, dict[str, Any]] = {}
    names = dict.fromkeys(name for line in ledger for name in line["params"])
    for line in ledger:
        metrics = line.get("metrics", {})
        ends = {name: tuple(found.values()) for name, found in metrics.items()}
        row = dict.fromkeys(names) | line["params"]
        row |= {key: line.get(key) for key in ("trial", "model", "sweep", "state", "fit_s", "peak_bytes")}
        row |= {"why": line.get("error"), "stopped_at": line["sweep"], "ties": None, select: None}
        for name, (value, lower, upper) in ends.items():
            row |= {name: value, f"{name} lower": lower, f"{name} upper": upper}
        known = best.get(line["trial"], {}).get(select)
        if known is None or (row[select] is not None and row[select] > known):
            best[line["trial"]] = row
    rows = sorted(best.values(), key=lambda row: -float("inf") if row[select] is None else row[select], reverse=True)
    return [row | {"rank": rank} for rank, row in enumerate(rows, start=1)]


def _changed(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)
