"""Runs and A/B reports below the lab's root; one that is damaged is an entry that says what is wrong."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from analysis.page import numbers
from looplib.errors import UserError
from looplib.untrusted import open_untrusted, read_untrusted
from recsys.errors import LabError
from recsys.lock import LOCK
from recsys.report.runs import Run, interval_of, read_folder
from recsys.runs.folder import CONFIG, DASHBOARD, LEADERBOARD, LEDGER, REPORT, WINNER
from recsys.workspace import open_workspace

RUN, AB_REPORT = (LEDGER, CONFIG), ("report.json", REPORT)  # the files by which a folder is found
NOTE = "note.txt"  # in the folder of a run
_READ = (CONFIG, LEDGER, LEADERBOARD, WINNER, DASHBOARD, LOCK, NOTE)
_SKIPPED = (".", "bucket=", "cache", "versions", "listeners", "checkpoints")
_LONGEST = 2**28  # bytes of a file


@dataclass(frozen=True)
class Entry:
    """A run or a report in the overview."""

    name: str
    changed: datetime  # when its first file was last written to
    shown: Mapping[str, Any]  # for the page; empty of a damaged one
    problem: str = ""  # what is wrong with it


def find_folders(root: Path, files: tuple[str, ...]) -> dict[str, Path]:
    """Find the folders with certain files by name; hidden ones are left out, and those that hold many other files."""
    found = {}
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(_SKIPPED))
        if set(files) <= set(names):
            found[_printable(os.path.relpath(folder, root))] = Path(folder)
    return found


def find_entries(root: Path, files: tuple[str, ...]) -> list[Entry]:
    """Find all runs, or all A/B reports, below a folder, the newest first."""
    describe, entries = _describe_run if files == RUN else _describe_report, []
    for name, folder in find_folders(root, files).items():
        changed = datetime.fromtimestamp(0, UTC)
        try:
            changed = datetime.fromtimestamp((folder / files[0]).lstat().st_mtime, UTC)
            entries.append(Entry(name, changed, describe(root, folder, name)))
        except Exception as error:  # noqa: BLE001  damaged files make their readers raise any kind
            entries.append(Entry(name, changed, {}, damage(name, error)))
    return sorted(entries, key=lambda entry: entry.changed, reverse=True)


def damage(name: str, error: Exception) -> str:
    """Return what is wrong with the files of a run or report; our own errors say it."""
    found = str(error) if isinstance(error, UserError) else f"{name}: damaged ({type(error).__name__}: {error})"
    return _printable(found)


def read_run_in(root: Path, folder: Path, name: str) -> Run:
    """Read a run whose files are regular ones below the root; any other is refused with a LabError."""
    for file in (folder / name for name in _READ):
        if os.path.lexists(file):
            open_untrusted(file, _LONGEST, within=root, error=LabError).close()
    return read_folder(open_workspace(folder), name)


def read_page(root: Path, folder: Path) -> bytes:
    """Return the page of a report, a regular file below the root."""
    return read_untrusted(folder / REPORT, _LONGEST, within=root, error=LabError)


def read_note(folder: Path) -> str:
    """Read what somebody has written about a run; empty if nobody has."""
    file = folder / NOTE
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def _describe_run(root: Path, folder: Path, name: str) -> dict[str, Any]:
    """Return what the overview shows of a run, as text."""
    run = read_run_in(root, folder, name)
    shown = {"state": run.state, "metric": run.select, "note": read_note(run.folder), "winner": numbers.NOTHING}
    value, limits = None, numbers.NOTHING
    if run.winner:
        value, lower, upper = interval_of(run.winner, run.select)
        shown["winner"], limits = run.label(run.winner), numbers.limits(lower, upper)
    return {**shown, "figures": (numbers.count(len(run.rows)), numbers.number(value), limits)}


def _describe_report(root: Path, folder: Path, name: str) -> dict[str, Any]:
    """Return what the overview shows of a report, as text."""
    del name
    content = orjson.loads(read_untrusted(folder / AB_REPORT[0], _LONGEST, within=root, error=LabError))
    verdict = content["verdict"]
    decision = f"{verdict['decision']} {verdict['arm'] or ''}".rstrip()
    return {"experiment": str(content["experiment"]), "decision": decision, "reason": str(verdict["reason"])}


def _printable(text: str) -> str:
    """Return a text that UTF-8 can hold: names of files may be any bytes."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
