"""Metrics of listeners as arrays, one value a listener, for planning an experiment from a log that has none."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from analysis import queries
from analysis.ab import listeners
from analysis.errors import AnalysisError
from analysis.statistics.moments import Quantity

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Columns: TypeAlias = Mapping[str, Floats]

_VALUE = "value"


@dataclass(frozen=True)
class ListenerMetric:
    """A metric out of sums over a listener's sessions.

    Attributes:
        numerator: A column of `sql/planning/listener_days.sql`.
        denominator: Another one, or None.
        of_each: Whether it is divided for each listener and then averaged over those who have something to divide by;
            else the sums over all listeners are divided.
    """

    numerator: str
    denominator: str | None = None
    of_each: bool = False

    @property
    def quantity(self) -> Quantity:
        """What it is of the columns that `columns` gives."""
        return Quantity(self.numerator, self.denominator) if self._is_ratio else Quantity(_VALUE)

    @property
    def sums(self) -> tuple[str, ...]:
        """The columns whose sums it needs."""
        return (self.numerator,) if self.denominator is None else (self.numerator, self.denominator)

    @property
    def scaled(self) -> str:
        """The column that grows in proportion when the metric does."""
        return self.numerator if self._is_ratio else _VALUE

    def columns(self, sums: Columns) -> tuple[Columns, npt.NDArray[np.bool_]]:
        """The columns that its moments are of, and which listeners have a value.

        Args:
            sums: Column → sum over each listener's sessions, of shape (listeners,).
        """
        numerator = sums[self.numerator]
        if self.denominator is None:
            return {_VALUE: numerator}, np.ones(len(numerator), dtype=bool)
        denominator = sums[self.denominator]
        if not self.of_each:
            return {self.numerator: numerator, self.denominator: denominator}, np.ones(len(numerator), dtype=bool)
        has_value = denominator > 0
        return {_VALUE: numerator[has_value] / denominator[has_value]}, has_value

    @property
    def _is_ratio(self) -> bool:
        return self.denominator is not None and not self.of_each


METRICS = {
    "time": ListenerMetric("time"),
    "sessions": ListenerMetric("sessions"),
    "mean_request_latency": ListenerMetric("latency_ms", "requests", of_each=True),
    "mean_tracks_per_session": ListenerMetric("tracks", "sessions", of_each=True),
    "mean_time_per_session": ListenerMetric("time", "sessions", of_each=True),
    "time_per_session": ListenerMetric("time", "sessions"),
    "time_per_recommended_track": ListenerMetric("recommended_time", "recommended_tracks"),
    "skip_share": ListenerMetric("skips", "recommended_tracks"),
    "repeat_share": ListenerMetric("repeats", "recommended_tracks"),
    "fallback_share": ListenerMetric("fallbacks", "named"),
}
SKIP_BELOW = 0.1


@dataclass(frozen=True)
class ListenerDays:
    """What listeners did on each day on which they closed a session; arrays of shape (rows,).

    Attributes:
        users: The listeners, ascending; shape (listeners,).
        listener: Place of the row's listener among them.
        day: Days since the epoch.
        values: Column → values.
    """

    users: Integers
    listener: Integers
    day: Integers
    values: Columns

    def totals(self, columns: Sequence[str], until: int | None = None) -> dict[str, Floats]:
        """Column → sum over each listener's days up to and with one; shape (listeners with such a day,)."""
        rows = slice(None) if until is None else self.day <= until
        listener = self.listener[rows]
        present = np.flatnonzero(np.bincount(listener, minlength=len(self.users)))
        sums = (np.bincount(listener, self.values[name][rows], minlength=len(self.users)) for name in columns)
        return {name: of_all[present].astype(np.float64) for name, of_all in zip(columns, sums, strict=True)}


def find_metric(name: str) -> ListenerMetric:
    """The metric of a name.

    Raises:
        AnalysisError: There is none; the message names the nearest.
    """
    if name not in METRICS:
        nearest = difflib.get_close_matches(name, METRICS, n=1, cutoff=0.0)[0]
        raise AnalysisError(f"metric {name}: unknown; the nearest is {nearest}, known are {', '.join(METRICS)}")
    return METRICS[name]


def read_listener_days(logs: Sequence[str | Path]) -> ListenerDays:
    """Reads logs or stores.

    Raises:
        AnalysisError: They cannot be read, or no session in them was closed.
    """
    with listeners.load(logs) as loaded:
        listeners.tabulate(loaded, skip_below=SKIP_BELOW)
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
