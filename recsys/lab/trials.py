"""The trials of a run: as a page's address asks for them, and side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from looplib.untrusted import open_untrusted
from recsys.errors import LabError
from recsys.report.runs import Row, Run
from recsys.runs.folder import LISTENERS
from recsys.runs.ranking import differences
from recsys.scoring.off_policy import Interval

RESAMPLES = 1000


@dataclass(frozen=True)
class View:
    """Trials of a run; the address of a page has the same choices, so that it can be kept and passed on."""

    metric: str
    sort: str  # the column that decides the order
    order: str  # "up" or "down"
    find: str  # text that the trials have in their name, model or state; empty for all
    rows: tuple[Row, ...]

    def towards(self, column: str) -> dict[str, str]:
        """Return the choices that sort by a column; by the one that sorts already, the other way round."""
        order = "up" if column == self.sort and self.order == "down" else "down"
        return {"metric": self.metric, "find": self.find, "sort": column, "order": order}


def view(run: Run, chosen: Mapping[str, str]) -> View:
    """Select and sort the trials of a run by choices, each of which may be missing; unknown ones count for nothing."""
    metric = chosen.get("metric", "")
    metric = metric if metric in run.metrics else run.select
    sort, order = chosen.get("sort", ""), "up" if chosen.get("order") == "up" else "down"
    sort = sort if sort in {"model", "state", "sweep", "fit_s", *run.axes} else metric
    find = chosen.get("find", "").strip()
    rows = [row for row in run.rows if find.lower() in f"{run.label(row)} {row['model']} {row['state']}".lower()]
    known = sorted((row for row in rows if row.get(sort) is not None), key=lambda row: row[sort])
    known = known[::-1] if order == "down" else known
    return View(metric, sort, order, find, (*known, *(row for row in rows if row.get(sort) is None)))


def compare(run: Run, trials: Sequence[str]) -> dict[str, object]:
    """Compare trials of a run with the first of them, at their best sweeps.

    Returns:
        Values for the page: the rows and their names; the hyperparameters that differ, with all values; and for each
        further trial its name, its choosing metric less that of the first, with a 95 % interval that holds for all at
        once, or None if the search did not keep what each listener adds, and the finding in words.
    """
    by_trial = {row["trial"]: row for row in run.rows}
    if missing := set(trials) - by_trial.keys():
        raise LabError(f"{run.name}: no trial {min(missing)}")
    rows = [by_trial[trial] for trial in trials]
    first, *names = (run.label(row) for row in rows)
    values = {name: [row[name] for row in rows] for name in run.params}
    differing = {name: found for name, found in values.items() if len(set(found)) > 1}
    others = zip(names, _differences(run, rows)[1:], strict=True)
    findings = [(name, difference, _finding(first, name, difference)) for name, difference in others]
    return {"rows": rows, "names": [first, *names], "differing": differing, "findings": findings}


def _finding(first: str, other: str, difference: Interval | None) -> str:
    if difference is None:
        return "the search kept no values by listener, so only the intervals of each can be compared"
    _, lower, upper = difference
    return "they are tied" if lower <= 0 <= upper else f"{other if lower > 0 else first} is better, beyond chance"


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
    return differences(np.stack(parts), [1] * len(rows), 0, RESAMPLES, 0)
