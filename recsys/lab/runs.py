"""The runs and reports below a folder, as they stand on the disk."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from recsys.errors import LabError
from recsys.report.runs import Row, Run, read_folder
from recsys.runs.folder import CONFIG, LEDGER
from recsys.workspace import open_workspace

REPORT, PAGE = "report.json", "report.html"
_SKIPPED = (".", "bucket=", "cache", "versions", "listeners", "checkpoints")


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
    return sorted(
        (read_folder(open_workspace(folder), str(folder.relative_to(root))) for folder in folders),
        key=lambda run: run.changed,
        reverse=True,
    )


def find_reports(root: Path) -> list[AbReport]:
    """All A/B reports below a folder, the newest first."""
    folders = (file.parent for file in _walk(root) if file.name == REPORT and (file.parent / PAGE).exists())
    return sorted((_read_report(root, folder) for folder in folders), key=lambda one: one.changed, reverse=True)


def _walk(root: Path) -> Iterator[Path]:
    """Ledgers and reports; hidden folders are left out, and those that hold many files and none of these."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(_SKIPPED))
        yield from (Path(folder) / name for name in files if name in (LEDGER, REPORT))


def row_of(run: Run, trial: str) -> Row:
    """The leaderboard's row of a trial.

    Raises:
        LabError: There is none.
    """
    for row in run.rows:
        if row["trial"] == trial:
            return row
    raise LabError(f"{run.name}: no trial {trial}")


def _read_report(root: Path, folder: Path) -> AbReport:
    content = orjson.loads((folder / REPORT).read_bytes())
    return AbReport(str(folder.relative_to(root)), folder, content, _changed(folder / REPORT))


def _changed(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)
