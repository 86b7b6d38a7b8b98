"""The runs and A/B reports below a folder."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from recsys.report.runs import Run, read_folder
from recsys.runs.folder import CONFIG, LEDGER
from recsys.workspace import open_workspace

REPORT, PAGE = "report.json", "report.html"
_SKIPPED = (".", "bucket=", "cache", "versions", "listeners", "checkpoints")


@dataclass(frozen=True)
class AbReport:
    """The folder of an A/B report; `content` is its report.json."""

    name: str
    folder: Path
    content: Mapping[str, Any]
    changed: datetime


def find_runs(root: Path) -> list[Run]:
    """Find all runs below a folder, the newest first."""
    found = (read_folder(open_workspace(folder), name) for name, folder in _folders(root, LEDGER, CONFIG))
    return sorted(found, key=lambda run: run.changed, reverse=True)


def find_run(root: Path, name: str) -> Run | None:
    """Read the run of a name; only a folder that was found below the root can be named."""
    folders = (folder for found, folder in _folders(root, LEDGER, CONFIG) if found == name)
    return next((read_folder(open_workspace(folder), name) for folder in folders), None)


def find_reports(root: Path) -> list[AbReport]:
    """Find all A/B reports below a folder, the newest first."""
    found = (
        AbReport(name, folder, orjson.loads(file.read_bytes()), datetime.fromtimestamp(file.stat().st_mtime, UTC))
        for name, folder in _folders(root, REPORT, PAGE)
        for file in [folder / REPORT]
    )
    return sorted(found, key=lambda report: report.changed, reverse=True)


def _folders(root: Path, *wanted: str) -> Iterator[tuple[str, Path]]:
    """Find folders with certain files; hidden ones are left out, and those that hold many files and none of these."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(_SKIPPED))
        if set(wanted) <= set(files):
            yield str(Path(folder).relative_to(root)), Path(folder)
