"""What `analysis.power` and `analysis.aa` share: listening by listener and day, from a log without an experiment."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.measures import each_period, measure, values_of
from analysis.ab.metrics import METRICS, Metric
from analysis.ab.tables import load
from analysis.errors import AnalysisError
from analysis.statistics.moments import Quantity
from looplib.arrays import FloatArray, IntArray
from looplib.files import atomic_write_json

# Arguments of the commands
Logs = Annotated[list[str], typer.Argument(metavar="LOG…", help="Event logs, folders, patterns, or a session store.")]
MetricName = Annotated[str, typer.Option(help="What is compared.")]
OutFile = Annotated[Path | None, typer.Option(help="Write the result to this JSON file.")]


@dataclass(frozen=True)
class Sample:
    """The listeners for whom a metric has a value, and its columns."""

    users: IntArray  # shape (listeners,)
    columns: Mapping[str, FloatArray]  # column → values, each of shape (listeners,)
    quantity: Quantity  # the metric of these columns; it is proportional to its numerator


@dataclass(frozen=True)
class ListenerDays:
    """What a metric sums up of each listener on each day with a session of theirs."""

    metric: Metric
    rows: pa.Table  # user, part (days since the epoch), numerator, denominator: `analysis.ab.measures.values_of`

    @property
    def days(self) -> IntArray:
        """The days with a row, ascending, since the epoch."""
        return np.unique(self.rows["part"].to_numpy())

    def samples(self) -> Iterator[Sample]:
        """Yield for each of the days the sample of all days up to it."""
        metric = self.metric
        for _, users, so_far in each_period(self.rows, self.days):
            sums = dict(zip(metric.sums, so_far, strict=False))
            values = metric.values(sums)
            known = ~np.isnan(values)
            columns = {metric.quantity.numerator: values[known]} if metric.per_listener else sums
            yield Sample(users[known], columns, metric.quantity)


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


def read_listener_days(logs: Sequence[str | Path], name: str) -> ListenerDays:
    """Read a metric of each listener and day from logs or stores.

    Raises:
        AnalysisError: There is no such metric, they cannot be read, or no session in them was closed.
    """
    metric = find_metric(name)
    with load(logs) as loaded:
        measure(loaded, AbConfig())
        if not queries.read_table(loaded.connection, "listener_sums_day").num_rows:
            raise AnalysisError(
                f"{', '.join(map(str, logs))}: no session ends with an event 'last'; at least one is needed"
            )
        return ListenerDays(metric, values_of(loaded.connection, metric, "day"))


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


def answer(result: object, text: str, out: Path | None) -> None:
    """Write a result to a file, where one is named, and print its text."""
    if out:
        atomic_write_json(out, result)
    typer.echo(text)
