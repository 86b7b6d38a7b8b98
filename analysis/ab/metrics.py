"""A metric: what a `.sql` file sums up for each listener, and how an arm's sums combine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import yaml
from pydantic import Field, model_validator

from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import FloatArray
from looplib.config import Config

BUILT_IN = Path(__file__).with_name("metrics.yaml")
ORIGINAL_METRICS = (
    "time",
    "sessions",
    "mean_request_latency",
    "mean_tracks_per_session",
    "mean_time_per_session",
)
ROWS = "number of rows"  # in a table, the denominator that counts a listener's rows
_VALUE = "value"  # the column of a mean over listeners of their ratios


class Metric(Config):
    """A metric."""

    # its name in configurations and reports, by which a configuration has it
    name: str = ""
    label: str  # its name for people
    unit: str = ""  # of its values, such as ms
    # How a verdict says a change of it, such as "listeners hear {} per session", of "5 % more"
    phrase: Annotated[str, Field(pattern=r"^([^{}]*\{\}[^{}]*)?$")] = ""
    # Its file: one of `analysis/sql`, or a path that ends in .sql; one row a user, arm and part of
    # the experiment
    sql: Annotated[
        str,
        Field(pattern=r"\.sql$|^ab/(listener_sums|request_latencies|session_times)$"),
    ] = "ab/listener_sums"
    numerator: str = "numerator"  # a column of the file
    # another; null for the mean of the numerator over listeners
    denominator: str | None = "denominator"
    # Whether the ratio is taken of each listener and then averaged; otherwise it is of the arm's
    # sums
    per_listener: bool = False
    better: Literal["higher", "lower"] = "higher"  # what is better
    # The quantile that it is of the values in the file's column `value`, which may have many rows a
    # listener
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    # whether it can be computed from the time before the experiment, and says something of now
    has_past: bool = True

    @model_validator(mode="after")
    def _has_a_ratio(self) -> Self:
        if self.per_listener and self.denominator is None:
            raise ValueError(
                "per_listener is the mean of ratios, which need a denominator"
            )
        return self

    @property
    def is_higher(self) -> bool:
        """Whether more of it is better."""
        return self.better == "higher"

    @property
    def source(self) -> str:
        """What tables with the file's rows are called."""
        return (
            f"own_{self.name}"
            if self.sql.endswith(".sql")
            else self.sql.removeprefix("ab/")
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file that it is made of."""
        if self.quantile is not None:
            return (_VALUE,)
        return tuple(filter(None, (self.numerator, self.denominator)))

    @property
    def sums(self) -> tuple[str, ...]:
        """The same in the columns of listeners."""
        return tuple(column_name(self.source, column) for column in self.columns)

    @property
    def quantity(self) -> Quantity:
        """The metric in the columns of `moments`."""
        return Quantity(_VALUE) if self.per_listener else Quantity(*self.sums)

    @property
    def past(self) -> Quantity | None:
        """The metric before the experiment; None where that predicts nothing."""
        return (
            Quantity(*(f"past_{name}" for name in self.sums)) if self.has_past else None
        )

    def values(self, listeners: Mapping[str, FloatArray]) -> FloatArray:
        """Return each listener's numerator, or ratio if per listener; NaN for a ratio to 0."""
        numerator = listeners[self.sums[0]]
        if not self.per_listener:
            return numerator
        denominator = listeners[self.sums[1]]
        ratios = np.full_like(numerator, np.nan)
        return np.divide(numerator, denominator, out=ratios, where=denominator > 0)

    def shares(self, listeners: Mapping[str, FloatArray]) -> FloatArray:
        """Return each listener's share in the metric less its mean, 0 without a value.

        Their variance over the number of listeners is that of the metric (delta method).
        """
        values = self.values(listeners)
        if self.denominator is not None and not self.per_listener:
            denominator = listeners[self.sums[1]]
            ratio = values.sum() / denominator.sum()
            return np.asarray((values - ratio * denominator) / denominator.mean())
        deviations = values - np.nanmean(values)
        return np.asarray(np.nan_to_num(deviations / np.mean(~np.isnan(values))))

    def moments(self, listeners: Mapping[str, FloatArray]) -> Moments:
        """Return the moments of the metric and its past over listeners with a value."""
        past = [f"past_{name}" for name in self.sums if self.has_past]
        columns = {
            name: listeners[name] for name in (*self.sums, *past) if name in listeners
        }
        columns[_VALUE] = self.values(listeners)
        known = ~np.isnan(columns[_VALUE])
        return Moments.of({name: column[known] for name, column in columns.items()})


def column_name(source: str, column: str) -> str:
    """Return the name among the columns of listeners that a column of a file has."""
    return column if source == "listener_sums" else f"{source}.{column}"


METRICS = {
    name: Metric(name=name, **given)
    for name, given in yaml.safe_load(BUILT_IN.read_text(encoding="utf-8")).items()
}
