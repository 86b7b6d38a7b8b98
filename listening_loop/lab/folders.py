"""Find runs and A/B reports below the lab's root; a damaged one is an entry that says so."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from analysis.page import numbers
from looplib.errors import UserError
from looplib.untrusted import open_untrusted, read_untrusted
from recsys.report.runs import RunFolder, interval_of, read_folder
from recsys.run import LEDGER
from recsys.search.leaderboard import describe_row
from recsys.storage import open_workspace

AB_REPORT = "report.json"
_SKIPPED = (".", "partition=", "cache", "versions", "listeners", "checkpoints")
_LONGEST = 2**28  # bytes of a file


def find_files(root: Path) -> dict[str, Path]:
    """Find the ledger of each run and `report.json` of each A/B report, by their folders' names.

    Folders that hold many other files are skipped.
    """
    files = {}
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(_SKIPPED))
        for file in (AB_REPORT, LEDGER):
            if file in names:
                files[_printable(os.path.relpath(folder, root))] = Path(folder, file)
    return files


def find_entries(root: Path) -> list[dict[str, Any]]:
    """Find all runs and A/B reports below a folder, the newest first.

    Returns:
        For each its name, when its file was last written to, and the texts of the overview, or its
            damage.
    """
    entries = []
    for name, file in find_files(root).items():
        describe = _describe_run if file.name == LEDGER else _describe_report
        changed = datetime.fromtimestamp(file.lstat().st_mtime, UTC)
        try:
            texts = describe(root, file.parent)
        except Exception as error:  # noqa: BLE001  damaged files make their readers raise any kind
            texts = [describe_damage(name, error)]
        entries.append({"name": name, "changed": changed, "texts": texts})
    return sorted(entries, key=lambda entry: entry["changed"], reverse=True)


def describe_damage(name: str, error: Exception) -> str:
    """Describe the damage of the files of a run or report; the project's errors say it."""
    if isinstance(error, UserError):
        return _printable(str(error))
    return _printable(f"{name}: damaged ({type(error).__name__}: {error})")


def read_run(root: Path, folder: Path) -> RunFolder:
    """Read a run; refuse one with a file that is no regular one below the root."""
    for file in folder.iterdir():
        if not file.is_dir():
            open_untrusted(file, _LONGEST, within=root).close()
    return read_folder(
        open_workspace(folder), _printable(os.path.relpath(folder, root))
    )


def read_file(root: Path, file: Path) -> bytes:
    """Read a regular file below the root; refuse any other."""
    return read_untrusted(file, _LONGEST, within=root)


def _describe_run(root: Path, folder: Path) -> list[str]:
    run = read_run(root, folder)
    winner = score = numbers.NOTHING
    if run.winner:
        value, lower, upper = interval_of(run.winner, run.select)
        winner = describe_row(run.winner)
        score = f"{run.select} {numbers.number(value)} ({numbers.limits(lower, upper)})"
    return [winner, score, f"{len(run.rows):,} trials", run.state]


def _describe_report(root: Path, folder: Path) -> list[str]:
    content = orjson.loads(read_file(root, folder / AB_REPORT))
    words = content["words"]
    headline = numbers.capitalized(str(words["headline"]))
    if content.get("is_simulated"):
        headline += " (simulated listeners)"
    return [headline, str(content["experiment"]), str(words["reason"])]


def _printable(text: str) -> str:
    """Escape the bytes of a file's name that UTF-8 cannot hold."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
