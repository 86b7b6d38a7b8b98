"""Runs and A/B reports below the lab's root, and the trials of a run as a page's address asks for them.

A run or report that is damaged is an entry that says what is wrong.
"""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from analysis.page import numbers
from listening_loop.errors import LabError
from looplib.errors import UserError
from looplib.untrusted import open_untrusted, read_untrusted
from recsys.lock import LOCK
from recsys.report.runs import Row, Run, interval_of, read_folder
from recsys.runs.folder import (
    CONFIG,
    DASHBOARD,
    LEADERBOARD,
    LEDGER,
    LISTENERS,
    REPORT,
    WINNER,
)
from recsys.runs.ranking import differences
from recsys.scoring import Interval
from recsys.workspace import open_workspace

RUN, AB_REPORT = (
    (LEDGER, CONFIG),
    ("report.json", REPORT),
)  # the files by which a folder is found
NOTE = "note.txt"  # in the folder of a run
_READ = (CONFIG, LEDGER, LEADERBOARD, WINNER, DASHBOARD, LOCK, NOTE)
_SKIPPED = (".", "bucket=", "cache", "versions", "listeners", "checkpoints")
_LONGEST = 2**28  # bytes of a file
_RESAMPLES = 1000


def find_folders(root: Path, files: tuple[str, ...]) -> dict[str, Path]:
    """Find the folders with certain files by name; hidden ones are left out, and those that hold many other files."""
    found = {}
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith(_SKIPPED))
        if set(files) <= set(names):
            found[_name(root, Path(folder))] = Path(folder)
    return found


def find_entries(root: Path, files: tuple[str, ...]) -> list[dict[str, Any]]:
    """Find all runs, or all A/B reports, below a folder, the newest first.

    Returns:
        For each its name, when its first file was last written to, what is wrong with it, and if
        nothing is, what the overview shows of it, as text.
    """
    describe, entries = _describe_run if files == RUN else _describe_report, []
    for name, folder in find_folders(root, files).items():
        entry: dict[str, Any] = {
            "name": name,
            "changed": datetime.fromtimestamp(0, UTC),
            "problem": "",
        }
        entries.append(entry)
        try:
            entry["changed"] = datetime.fromtimestamp(
                (folder / files[0]).lstat().st_mtime, UTC
            )
            entry |= describe(root, folder)
        except Exception as error:  # noqa: BLE001  damaged files make their readers raise any kind
            entry["problem"] = damage(name, error)
    return sorted(entries, key=lambda entry: entry["changed"], reverse=True)


def damage(name: str, error: Exception) -> str:
    """Return what is wrong with the files of a run or report; our own errors say it."""
    found = (
        str(error)
        if isinstance(error, UserError)
        else f"{name}: damaged ({type(error).__name__}: {error})"
    )
    return _printable(found)


def read_run_in(root: Path, folder: Path) -> Run:
    """Read a run whose files are regular ones below the root; any other is refused with a LabError."""
    for file in (folder / name for name in _READ):
        if os.path.lexists(file):
            open_untrusted(file, _LONGEST, within=root, error=LabError).close()
    return read_folder(open_workspace(folder), _name(root, folder))


def read_page(root: Path, folder: Path) -> bytes:
    """Return the page of a report, a regular file below the root."""
    return read_untrusted(folder / REPORT, _LONGEST, within=root, error=LabError)


def read_note(folder: Path) -> str:
    """Read what somebody has written about a run; empty if nobody has."""
    file = folder / NOTE
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def _describe_run(root: Path, folder: Path) -> dict[str, Any]:
    run = read_run_in(root, folder)
    value, lower, upper = interval_of(run.winner or {}, run.select)
    return {
        "state": run.state,
        "winner": run.label(run.winner) if run.winner else numbers.NOTHING,
        "metric": run.select,
        "note": read_note(folder),
        "figures": (
            numbers.count(len(run.rows)),
            numbers.number(value),
            numbers.limits(lower, upper),
        ),
    }


def _describe_report(root: Path, folder: Path) -> dict[str, Any]:
    content = orjson.loads(
        read_untrusted(folder / AB_REPORT[0], _LONGEST, within=root, error=LabError)
    )
    verdict = content["verdict"]
    decision = f"{verdict['decision']} {verdict['arm'] or ''}".rstrip()
    return {
        "experiment": str(content["experiment"]),
        "decision": decision,
        "reason": str(verdict["reason"]),
    }


def _name(root: Path, folder: Path) -> str:
    return _printable(os.path.relpath(folder, root))


def _printable(text: str) -> str:
    """Return a text that UTF-8 can hold: names of files may be any bytes."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")


def view(run: Run, chosen: Mapping[str, str]) -> dict[str, Any]:
    """Select and sort the trials of a run by choices, each of which may be missing; unknown ones count for nothing.

    Returns:
        Values for the page, whose address has the same choices, so that it can be kept and passed
        on: the metric; the column that sorts, and whether "up" or "down"; the text to find in
        names, models or states; and the trials.
    """
    metric = chosen.get("metric", "")
    metric = metric if metric in run.metrics else run.select
    sort, order = (
        chosen.get("sort", ""),
        "up" if chosen.get("order") == "up" else "down",
    )
    sort = sort if sort in {"model", "state", "sweep", "fit_s", *run.axes} else metric
    find = chosen.get("find", "").strip()
    rows = [
        row
        for row in run.rows
        if find.lower() in f"{run.label(row)} {row['model']} {row['state']}".lower()
    ]
    known = [row for row in rows if row.get(sort) is not None]
    known.sort(key=lambda row: row[sort], reverse=order == "down")
    rows = [*known, *(row for row in rows if row.get(sort) is None)]
    return {"metric": metric, "sort": sort, "order": order, "find": find, "rows": rows}


def compare(run: Run, trials: Sequence[str]) -> dict[str, object]:
    """Compare trials of a run with the first of them, at their best sweeps.

    Returns:
        Values for the page: the rows and their names; the hyperparameters that differ, with all
        values; and for each further trial its name, its choosing metric less that of the first,
        with a 95 % interval that holds for all at once, or None if the search did not keep what
        each listener adds, and the finding in words.
    """
    by_trial = {row["trial"]: row for row in run.rows}
    if missing := set(trials) - by_trial.keys():
        raise LabError(f"{run.name}: no trial {min(missing)}")
    rows = [by_trial[trial] for trial in trials]
    first, *names = (run.label(row) for row in rows)
    values = {name: [row[name] for row in rows] for name in run.params}
    differing = {name: found for name, found in values.items() if len(set(found)) > 1}
    others = zip(names, _differences(run, rows)[1:], strict=True)
    findings = [
        (name, difference, _finding(first, name, difference))
        for name, difference in others
    ]
    return {
        "rows": rows,
        "names": [first, *names],
        "differing": differing,
        "findings": findings,
    }


def _finding(first: str, other: str, difference: Interval | None) -> str:
    if difference is None:
        return "the search kept no values by listener, so only the intervals of each can be compared"
    _, lower, upper = difference
    return (
        "they are tied"
        if lower <= 0 <= upper
        else f"{other if lower > 0 else first} is better, beyond chance"
    )


def _differences(run: Run, rows: Sequence[Row]) -> Sequence[Interval | None]:
    parts = []
    for row in rows:
        files = run.folder.glob(f"{LISTENERS}/*/{row['trial']}-{row['sweep'] or 0}.npz")
        newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
        if newest is None:
            return [None] * len(rows)
        with open_untrusted(newest, within=run.folder) as file, np.load(file) as kept:
            if run.select not in kept:
                return [None] * len(rows)
            parts.append(kept[run.select])
    return differences(np.stack(parts), 0, _RESAMPLES, 0)
