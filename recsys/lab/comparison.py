"""Two trials side by side: the same listeners under both, so that the difference has an interval of its own."""

from dataclasses import dataclass

import numpy as np

from analysis.statistics import bootstrap
from recsys.lab.runs import row_of
from recsys.report.runs import Interval, Row, Run
from recsys.runs.folder import LISTENERS

RESAMPLES = 1000


@dataclass(frozen=True)
class Comparison:
    """Two rows of a leaderboard.

    Attributes:
        first: One.
        second: The other.
        names: What they are called.
        differing: The hyperparameters that they differ in, with the values of both.
        difference: The choosing metric of the first less that of the second, with its paired 95 % interval over
            listeners; None where the search kept no listener's share of it.
    """

    first: Row
    second: Row
    names: tuple[str, str]
    differing: dict[str, tuple[object, object]]
    difference: Interval | None

    @property
    def finding(self) -> str:
        """What the difference says."""
        if self.difference is None:
            return "the search kept no values by listener, so only the two intervals can be looked at"
        _, lower, upper = self.difference
        if lower <= 0 <= upper:
            return "they cannot be told apart"
        return f"{self.names[0 if lower > 0 else 1]} is better, beyond chance"


def compare(run: Run, first: str, second: str) -> Comparison:
    """Compares two trials of a run at their best sweeps.

    Raises:
        LabError: The run has no such trial.
    """
    rows = row_of(run, first), row_of(run, second)
    params = [key for key in rows[0] if key in run.params]
    differing = {key: (rows[0][key], rows[1][key]) for key in params if rows[0][key] != rows[1][key]}
    names = run.label(rows[0]), run.label(rows[1])
    return Comparison(*rows, names, differing, _difference(run, *rows))


def _difference(run: Run, *rows: Row) -> Interval | None:
    parts = [_listeners(run, row) for row in rows]
    if any(part is None for part in parts):
        return None
    stacked = np.stack([part for part in parts if part is not None])
    resamples = bootstrap.Resamples(stacked.shape[2], RESAMPLES, 0)
    (estimates,) = bootstrap.estimate(resamples, bootstrap.Ratios(stacked[:, 0].T, stacked[:, 1].T))
    value = bootstrap.ratio(stacked[:, 0].sum(axis=1), stacked[:, 1].sum(axis=1))
    ends = bootstrap.percentile_interval((estimates[:, 0] - estimates[:, 1])[:, None])
    lower, upper = np.asarray(ends).ravel().tolist()
    return float(value[0] - value[1]), lower, upper


def _listeners(run: Run, row: Row) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]] | None":
    """Numerators and denominators over listeners of a row at its best sweep, shape (2, listeners)."""
    name = f"{row['trial']}-{row['sweep'] or 0}.npz"
    files = sorted((run.folder / LISTENERS).glob(f"*/{name}"), key=lambda file: file.stat().st_mtime)
    if not files:
        return None
    with np.load(files[-1]) as kept:
        return kept.get(run.select)  # type: ignore[no-any-return]  # numpy says Any
