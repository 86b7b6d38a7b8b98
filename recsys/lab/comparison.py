"""Trials side by side: the same listeners under all, so that each difference has an interval of its own."""

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from looplib.untrusted import open_untrusted
from recsys.errors import LabError
from recsys.report.runs import Row, Run
from recsys.runs.folder import LISTENERS
from recsys.runs.ranking import differences
from recsys.scoring import Interval

RESAMPLES = 1000


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
    names = [run.label(row) for row in rows]
    values = {name: [row[name] for row in rows] for name in run.params}
    differing = {name: found for name, found in values.items() if len(set(found)) > 1}
    others = zip(names[1:], _differences(run, rows)[1:], strict=True)
    findings = [(name, difference, _finding(names[0], name, difference)) for name, difference in others]
    return {"rows": rows, "names": names, "differing": differing, "findings": findings}


def _finding(first: str, other: str, difference: Interval | None) -> str:
    if difference is None:
        return "the search kept no values by listener, so only the intervals of each can be compared"
    _, lower, upper = difference
    return "they are tied" if lower <= 0 <= upper else f"{other if lower > 0 else first} is better, beyond chance"


def _differences(run: Run, rows: Sequence[Row]) -> Sequence[Interval | None]:
    parts = []
    with ExitStack() as stack:
        for row in rows:
            files = run.folder.glob(f"{LISTENERS}/*/{row['trial']}-{row['sweep'] or 0}.npz")
            newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
            if newest is None:
                return [None] * len(rows)
            kept = stack.enter_context(np.load(stack.enter_context(open_untrusted(newest, within=run.folder))))
            if run.select not in kept:
                return [None] * len(rows)
            parts.append(kept[run.select])
    return differences(np.stack(parts), 0, RESAMPLES, 0)
