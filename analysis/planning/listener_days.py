"""Listening by listener and day as arrays, for planning an experiment from a log that has none."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.measures import measure
from analysis.ab.metrics import METRICS, Metric
from analysis.ab.tables import load
from analysis.errors import AnalysisError
from analysis.statistics.moments import Quantity
from looplib.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class Sample:
    """The listeners for whom a metric has a value, and its columns."""

    users: IntArray  # shape (listeners,)
    columns: Mapping[str, FloatArray]  # column → values, each of shape (listeners,)
    quantity: Quantity  # the metric of these columns; it is proportional to its numerator


@dataclass(frozen=True)
class ListenerDays:
    """What listeners did on each day on which they closed a session; arrays of shape (rows,)."""

    users: IntArray  # the listeners, ascending; shape (listeners,)
    listener: IntArray  # index of the row's listener in `users`
    day: IntArray  # days since the epoch
    values: Mapping[str, FloatArray]  # column of `sql/ab/listener_sums.sql` → values

    def sample(self, metric: Metric) -> Sample:
        """Return the listeners and columns of a metric, of all their days."""
        *_, (_, whole) = self.samples_by_day(metric)
        return whole

    def samples_by_day(self, metric: Metric) -> Iterator[tuple[int, Sample]]:
        """Yield for each day with a row, ascending, the listeners and columns of a metric of all days up to this."""
        order = np.argsort(self.day, kind="stable")
        days, starts = np.unique(self.day[order], return_index=True)
        present = np.zeros(len(self.users), dtype=bool)
        sums = {name: np.zeros(len(self.users)) for name in (metric.numerator, metric.denominator) if name}
        for day, rows in zip(days.tolist(), np.split(order, starts[1:]), strict=True):
            listener = self.listener[rows]
            present[listener] = True
            for name, sum_of in sums.items():
                sum_of += np.bincount(listener, self.values[name][rows], minlength=len(self.users))
            yield day, _sample(metric, self.users[present], {name: sum_of[present] for name, sum_of in sums.items()})


def find_metric(name: str) -> Metric:
    """Return the metric of a name, in columns by day.

    Raises:
        AnalysisError: There is none, or it is a quantile; the message names the nearest.
    """
    known = {metric.name: metric for metric in METRICS.values() if metric.quantile is None}
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        what = "a quantile, which has no listeners" if name in METRICS else "unknown"
        raise AnalysisError(f"metric {name}: {what}; the nearest is {nearest}, allowed are {', '.join(known)}")
    return known[name]


def read_listener_days(logs: Sequence[str | Path]) -> ListenerDays:
    """Read logs or stores.

    Raises:
        AnalysisError: They cannot be read, or no session in them was closed.
    """
    with load(logs) as loaded:
        measure(loaded, AbConfig())
        rows, known = (queries.read_table(loaded.connection, f"{table}_day") for table in ("listener_sums", "known"))
    if not rows.num_rows:
        raise AnalysisError(
            f"{', '.join(map(str, logs))}: no session ends with an event 'last'; at least one is needed"
        )
    # A day on which no session was closed adds nothing to the sums, and its listener counts all the same.
    both = pa.concat_tables([rows, known], promote_options="default")
    users, listener = np.unique(both["user"].to_numpy(), return_inverse=True)
    columns = {name: both[name].fill_null(0).to_numpy().astype(np.float64) for name in rows.column_names[3:]}
    return ListenerDays(users, listener, both["part"].to_numpy(), columns)


def parse_effect(text: str) -> float:
    """Return the relative effect that a text such as "5%" or "0.05" stands for; below 0 for a fall.

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


def _sample(metric: Metric, users: IntArray, sums: Mapping[str, FloatArray]) -> Sample:
    """Return the sample of listeners whose sums are given, each of shape (listeners,)."""
    if not metric.per_listener:
        return Sample(users, sums, metric.quantity)
    values = metric.values(sums)
    known = ~np.isnan(values)
    return Sample(users[known], {metric.quantity.numerator: values[known]}, metric.quantity)
