"""Two trials side by side: the same listeners under both, so that the difference has an interval of its own."""

import numpy as np

from recsys.errors import LabError
from recsys.report.runs import Row, Run
from recsys.runs.folder import LISTENERS
from recsys.runs.ranking import differences
from recsys.scoring.off_policy import Interval

RESAMPLES = 1000


def compare(run: Run, first: str, second: str) -> dict[str, object]:
    """Compare two trials of a run at their best sweeps.

    Returns:
        Values for the page: both rows and their names; the hyperparameters that differ, with both values; the choosing
        metric of the first less that of the second, with its paired 95 % interval, if the search kept what each
        listener adds; and the finding in words.
    """
    by_trial = {row["trial"]: row for row in run.rows}
    if missing := {first, second} - by_trial.keys():
        raise LabError(f"{run.name}: no trial {min(missing)}")
    rows = by_trial[first], by_trial[second]
    names = [run.label(row) for row in rows]
    pairs = {name: (rows[0][name], rows[1][name]) for name in run.params}
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    finding = "the search kept no values by listener, so only the two intervals can be compared"
    if difference := _difference(run, rows):
        _, lower, upper = difference
        is_tie = lower <= 0 <= upper
        finding = "they are tied" if is_tie else f"{names[0 if lower > 0 else 1]} is better, beyond chance"
    return {"rows": rows, "names": names, "differing": differing, "difference": difference, "finding": finding}


def _difference(run: Run, rows: tuple[Row, Row]) -> Interval | None:
    parts = []
    for row in rows:
        files = run.folder.glob(f"{LISTENERS}/*/{row['trial']}-{row['sweep'] or 0}.npz")
        newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
        if newest is None:
            return None
        with np.load(newest) as kept:
            if run.select not in kept:
                return None
            parts.append(kept[run.select])
    return differences(np.stack(parts), (1, 1), 1, RESAMPLES, 0)[0]
