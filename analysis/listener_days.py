"""What listeners did by day, as arrays, for planning an experiment from a log that has none."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from analysis import queries
from analysis.ab import listeners
from analysis.ab.config import AbConfig
from analysis.ab.metrics import METRICS, ByDay
from analysis.errors import AnalysisError
from analysis.statistics.moments import Quantity

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_VALUE = "value"  # the column of a mean over listeners


@dataclass(frozen=True)
class Sample:
    """The listeners for whom a metric has a value, and its columns.

    Attributes:
        users: The listeners; shape (listeners,).
        columns: Column → values, each of shape (listeners,).
        quantity: The metric of these columns.
        scaled: The column that grows in proportion when the metric does.
    """

    users: Integers
    columns: Mapping[str, Floats]
    quantity: Quantity
    scaled: str


@dataclass(frozen=True)
class ListenerDays:
    """What listeners did on each day on which they closed a session; arrays of shape (rows,).

    Attributes:
        users: The listeners, ascending; shape (listeners,).
        listener: Place of the row's listener among them.
        day: Days since the epoch.
        values: Column of `sql/planning/listener_days.sql` → values.
    """

    users: Integers
    listener: Integers
    day: Integers
    values: Mapping[str, Floats]

    def sample(self, metric: ByDay, until: int | None = None) -> Sample:
        """The listeners and columns of a metric, of their days up to and with one; of all days by default."""
        rows = slice(None) if until is None else self.day <= until
        listener = self.listener[rows]
        present = np.flatnonzero(np.bincount(listener, minlength=len(self.users)))
        users, numerator = self.users[present], self._sums(metric.numerator, rows)[present]
        if not metric.denominator:
            return Sample(users, {_VALUE: numerator}, Quantity(_VALUE), _VALUE)
        denominator = self._sums(metric.denominator, rows)[present]
        if metric.per_listener:
            known = denominator > 0
            return Sample(users[known], {_VALUE: numerator[known] / denominator[known]}, Quantity(_VALUE), _VALUE)
        columns = {metric.numerator: numerator, metric.denominator: denominator}
        return Sample(users, columns, Quantity(metric.numerator, metric.denominator), metric.numerator)

    def _sums(self, column: str, rows: slice | npt.NDArray[np.bool_]) -> Floats:
        """The sum of a column over each listener's rows; shape (listeners,)."""
        sums = np.bincount(self.listener[rows], self.values[column][rows], minlength=len(self.users))
        return sums.astype(np.float64)


def find_metric(name: str) -> ByDay:
    """The metric of a name, in columns by day.

    Raises:
        AnalysisError: There is none, or it is a quantile; the message names the nearest.
    """
    known = {metric.name: metric.by_day for metric in METRICS.values() if metric.by_day is not None}
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        what = "a quantile, which has no listeners" if name in METRICS else "unknown"
        raise AnalysisError(f"metric {name}: {what}; the nearest is {nearest}, allowed are {', '.join(known)}")
    return known[name]


def read_listener_days(logs: Sequence[str | Path]) -> ListenerDays:
    """Reads logs or stores.

    Raises:
        AnalysisError: They cannot be read, or no session in them was closed.
    """
    with listeners.load(logs) as loaded:
        listeners.tabulate(loaded, skip_below=AbConfig().skip_below)
        rows = queries.fetch_table(loaded.connection, "planning/listener_days")
    if not rows.num_rows:
        raise AnalysisError(
            f"{', '.join(map(str, logs))}: no session ends with an event 'last'; at least one is needed"
        )
    users, listener = np.unique(rows["user"].to_numpy(), return_inverse=True)
    columns = {name: rows[name].to_numpy().astype(np.float64) for name in rows.column_names[2:]}
    return ListenerDays(users, listener, rows["day"].to_numpy(), columns)


def parse_effect(text: str) -> float:
    """The relative effect that a text such as "5%" or "0.05" stands for; below 0 for a fall.

    Raises:
        AnalysisError: It stands for none, or for one of -100 % or less.
    """
    try:
        effect = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        effect = float("nan")
    if not (effect > -1 and effect != 0 and effect < float("inf")):
        raise AnalysisError(f"effect {text}: a share such as 5% or 0.05 is expected, above -100% and not 0")
    return effect
