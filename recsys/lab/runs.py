"""The runs and reports below a folder, as they stand on the disk."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

from common.config import load_config
from recsys.config import SearchConfig
from recsys.errors import LabError
from recsys.run import CONFIG, LEADERBOARD, LEDGER, WINNER

REPORT, PAGE = "report.json", "report.html"
Row = Mapping[str, Any]
Interval = tuple[float, float, float]
_SKIPPED = (".", "bucket=", "cache", "versions", "listeners", "checkpoints")


@dataclass(frozen=True)
class Run:
    """A search's folder.

    Attributes:
        name: Path below the root.
        folder: Where it is.
        select: The metric that chooses.
        params: Names of the hyperparameters.
        rows: The leaderboard, best first; empty while the search is not finished.
        is_finished: Whether there is a winner.
        changed: When it was last written to.
    """

    name: str
    folder: Path
    select: str
    params: tuple[str, ...]
    rows: tuple[Row, ...]
    is_finished: bool
    changed: datetime

    @property
    def winner(self) -> Row | None:
        """The leaderboard's row of the winner."""
        if not self.is_finished:
            return None
        trial = orjson.loads((self.folder / WINNER).read_bytes())["trial"]["id"]
        return next((row for row in self.rows if row["trial"] == trial), None)

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics of the leaderboard, as name@k."""
        return tuple(
            key.removesuffix(" lower")
            for key in (self.rows[0] if self.rows else {})
            if "@" in key and key.endswith(" lower")
        )

    @property
    def axes(self) -> tuple[str, ...]:
        """The hyperparameters that differ between trials."""
        trials = [row for row in self.rows if row["model"] == "als"]
        return tuple(name for name in self.params if len({row[name] for row in trials}) > 1)

    def row(self, trial: str) -> Row:
        """The leaderboard's row of a trial.

        Raises:
            LabError: There is none.
        """
        for row in self.rows:
            if row["trial"] == trial:
                return row
        raise LabError(f"{self.name}: no trial {trial}")

    def curve(self, trial: str) -> list[tuple[int, Interval]]:
        """The choosing metric with its interval after each scored sweep of a trial, from the ledger."""
        points: dict[int, Interval] = {}
        for row in _ledger(self.folder):
            if row["trial"] == trial and row["state"] == "scored" and row.get("listeners", 1) == 1:
                ends = row["metrics"][self.select]
                points[row["sweep"]] = (ends["value"], ends["lower"], ends["upper"])
        return sorted(points.items())


@dataclass(frozen=True)
class AbReport:
    """An A/B report's folder; `content` is its report.json."""

    name: str
    folder: Path
    content: Mapping[str, Any]
    changed: datetime

    @property
    def page(self) -> Path:
        """The page."""
        return self.folder / PAGE


def find_runs(root: Path) -> list[Run]:
    """All runs below a folder, the newest first."""
    folders = (file.parent for file in _walk(root) if file.name == LEDGER and (file.parent / CONFIG).exists())
    return sorted((_read_run(root, folder) for folder in folders), key=lambda run: run.changed, reverse=True)


def find_reports(root: Path) -> list[AbReport]:
    """All A/B reports below a folder, the newest first."""
    folders = (file.parent for file in _walk(root) if file.name == REPORT and (file.parent / PAGE).exists())
    return sorted((_read_report(root, folder) for folder in folders), key=lambda one: one.changed, reverse=True)


def _walk(root: Path) -> Iterator[Path]:
    """Ledgers and reports; hidden folders are left out, and those that hold many files and none of these."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(_SKIPPED))
        yield from (Path(folder) / name for name in files if name in (LEDGER, REPORT))


def _read_run(root: Path, folder: Path) -> Run:
    config = load_config(SearchConfig, folder / CONFIG)
    leaderboard = folder / LEADERBOARD
    rows = tuple(pq.read_table(leaderboard).to_pylist()) if leaderboard.exists() else ()
    return Run(
        name=str(folder.relative_to(root)),
        folder=folder,
        select=config.validation.select,
        params=tuple(dict.fromkeys(name for row in _ledger(folder) for name in row["params"])),
        rows=rows,
        is_finished=(folder / WINNER).exists(),
        changed=_changed(folder / LEDGER),
    )


def _read_report(root: Path, folder: Path) -> AbReport:
    content = orjson.loads((folder / REPORT).read_bytes())
    return AbReport(str(folder.relative_to(root)), folder, content, _changed(folder / REPORT))


def _ledger(folder: Path) -> Iterator[Row]:
    for line in (folder / LEDGER).read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):  # the last one may be under way
            yield orjson.loads(line)


def _changed(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)
