"""The runs and A/B reports below a folder."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from recsys.report.runs import Run, read_folder
from recsys.runs.folder import CONFIG, LEDGER
from recsys.workspace import open_workspace

RUN, AB_REPORT = (LEDGER, CONFIG), ("report.json", "report.html")  # the files by which a folder is found
_SKIPPED = (".", "bucket=", "cache", "versions", "listeners", "checkpoints")


def find_folders(root: Path, files: tuple[str, ...]) -> dict[str, Path]:
    """Find the folders with certain files by name; hidden ones are left out, and those that hold many other files."""
    found = {}
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(_SKIPPED))
        if set(files) <= set(names):
            found[str(Path(folder).relative_to(root))] = Path(folder)
    return found


def find_runs(root: Path) -> list[Run]:
    """Find all runs below a folder, the newest first."""
    runs = (read_folder(open_workspace(folder), name) for name, folder in find_folders(root, RUN).items())
    return sorted(runs, key=lambda run: run.changed, reverse=True)


def find_reports(root: Path) -> list[dict[str, Any]]:
    """Find all A/B reports below a folder, the newest first: name, moment of the last change, content of the JSON."""
    reports = []
    for name, folder in find_folders(root, AB_REPORT).items():
        file = folder / AB_REPORT[0]
        changed = datetime.fromtimestamp(file.stat().st_mtime, UTC)
        reports.append({"name": name, "changed": changed, "content": orjson.loads(file.read_bytes())})
    return sorted(reports, key=lambda report: report["changed"], reverse=True)
