"""Two trials side by side: the same listeners under both, so that the difference has an interval of its own."""

from dataclasses import dataclass

import numpy as np

from recsys.errors import LabError
from recsys.report.runs import Row, Run
from recsys.runs.folder import LISTENERS
from recsys.runs.ranking import differences
from recsys.scoring.off_policy import Interval

RESAMPLES = 1000


@dataclass(frozen=True)
class Comparison:
    """Two rows of a leaderboard."""

    rows: tuple[Row, Row]
    names: tuple[str, str]
    differing: dict[str, tuple[object, object]]  # the hyperparameters that they differ in, with the values of both
    # The choosing metric of the first less that of the second, with its paired 95 % interval over listeners; None
    # where the search kept no values by listener
    difference: Interval | None

    @property
    def finding(self) -> str:
        """What the difference says, in words."""
        if self.difference is None:
            return "the search kept no values by listener, so only the two intervals can be compared"
        _, lower, upper = self.difference
        if lower <= 0 <= upper:
            return "they are tied"
        return f"{self.names[0 if lower > 0 else 1]} is better, beyond chance"


def compare(run: Run, first: str, second: str) -> Comparison:
    """Compare two trials of a run at their best sweeps."""
    by_trial = {row["trial"]: row for row in run.rows}
    if missing := {first, second} - by_trial.keys():
        raise LabError(f"{run.name}: no trial {min(missing)}")
    rows = by_trial[first], by_trial[second]
    pairs = {name: (rows[0][name], rows[1][name]) for name in run.params}
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return Comparison(rows, (run.label(rows[0]), run.label(rows[1])), differing, _difference(run, rows))


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
