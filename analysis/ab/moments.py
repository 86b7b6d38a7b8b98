"""Compute the moments of arms in SQL: one statement over a table of listeners of any source.

The table has a row a listener and segment, with the columns `arm` and `segment`, and of each metric
those of `column_name`: a numerator and a denominator, and of a log the same before the experiment.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from analysis import queries
from analysis.ab.metrics import Metric
from analysis.queries import Column, Constant, Expression, Function
from analysis.statistics.moments import Moments, Quantity

RATIO = Quantity("numerator", "denominator")
PAST = Quantity("past_numerator", "past_denominator")
_VALUES = ("numerator", "denominator", "past_numerator", "past_denominator")
_PAIRS = tuple(combinations_with_replacement(range(len(_VALUES)), 2))
# powers of the numerator and the denominator
_THIRD_POWERS = ((3, 0), (2, 1), (1, 2), (0, 3))


@dataclass(frozen=True)
class MetricMoments:
    """Moments of a metric over the listeners of an arm who have a value of it."""

    metric: str
    arm: str
    segment: str  # "" for the whole experiment
    listeners: int  # with and without a value
    moments: Moments  # of `RATIO` and `PAST`
    skewness: float = (
        math.nan
    )  # of the listeners' shares in the metric; where asked for


EMPTY = MetricMoments(
    "", "", "", 0, Moments(_VALUES[:2], 0, np.zeros(2), np.zeros((2, 2)))
)


def column_name(metric: str, value: str) -> str:
    """Name the column of a metric's value, such as "numerator", in a table of listeners."""
    prefix = "past_" if value.startswith("past_") else ""
    return f"{prefix}{metric}_{value.removeprefix(prefix)}"


def select_moments(
    listeners: queries.Rows,
    metrics: Sequence[Metric],
    skewed: Collection[str] = (),
) -> queries.Rows:
    """Select counts, means and covariances of metrics by arm and segment.

    Args:
        listeners: One row a listener and segment.
        metrics: But for quantiles.
        skewed: Names of those whose skewness is wanted, too.

    Returns:
        One row an arm and segment, in one statement: `sql_query()` prints it.
    """
    selected = [
        Column("arm"),
        Column("segment"),
        Function("count_star").alias("listeners"),
    ]
    for metric in metrics:
        values = _values(metric, listeners.columns)
        aggregates = {"count": Function("count", values[0])}
        for i, value in enumerate(values):
            aggregates[f"mean {i}"] = Function("avg", value)
        for i, j in _PAIRS:
            if j < len(values):
                covariance = Function("covar_samp", values[i], values[j])
                aggregates[f"covariance {i} {j}"] = covariance
        for powers in _THIRD_POWERS if metric.name in skewed else ():
            product = Constant(1.0)
            for value, power in zip(values, powers, strict=False):
                for _ in range(power):
                    product *= value
            aggregates[f"powers {powers}"] = Function("avg", product)
        selected += [
            aggregate.alias(f"{metric.name} {name}")
            for name, aggregate in aggregates.items()
        ]
    return listeners.aggregate(selected, "arm, segment")


def select_values(listeners: queries.Rows, metrics: Sequence[Metric]) -> queries.Rows:
    """Select numerators and denominators of each listener, NULL where a metric has no value."""
    values = [
        value.alias(column_name(metric.name, name))
        for metric in metrics
        for name, value in zip(_VALUES, _values(metric, ()), strict=False)
    ]
    return listeners.select(*values)


def _values(metric: Metric, columns: Iterable[str]) -> list[Expression]:
    """Express the values of a listener that a metric is made of, NULL where it has none."""
    names = [column_name(metric.name, value) for value in _VALUES]
    has_past = metric.has_past and names[2] in columns
    values = [Column(name) for name in names[: 4 if has_past else 2]]
    if metric.kind == "mean":
        values[1::2] = [Constant(1.0)] * (len(values) // 2)
    if metric.kind == "mean of ratios":
        numerator, denominator, *past = values
        is_known = denominator > Constant(0)
        values = [numerator / denominator, Constant(1.0), *past]
        values = [queries.Case(is_known, value) for value in values]
    return values


def read_moments(
    listeners: queries.Rows,
    metrics: Sequence[Metric],
    skewed: Collection[str] = (),
) -> list[MetricMoments]:
    """Run the statement of `select_moments`."""
    rows = select_moments(listeners, metrics, skewed).order("arm, segment")
    by_arm = rows.to_arrow_table().to_pylist()
    return [_from_row(metric.name, row) for metric in metrics for row in by_arm]


def _from_row(metric: str, row: Mapping[str, Any]) -> MetricMoments:
    def value(name: str) -> float:
        # there is no mean without listeners, and no covariance of fewer than two
        return row.get(f"{metric} {name}") or 0.0

    names = [name for i, name in enumerate(_VALUES) if f"{metric} mean {i}" in row]
    means = np.array([value(f"mean {i}") for i in range(len(names))])
    covariances = np.zeros((len(names), len(names)))
    for i, j in _PAIRS:
        if j < len(names):
            covariances[i, j] = covariances[j, i] = value(f"covariance {i} {j}")
    moments = Moments(tuple(names), row[f"{metric} count"], means, covariances)
    skewness = math.nan
    if f"{metric} powers {_THIRD_POWERS[0]}" in row:
        thirds = [value(f"powers {powers}") for powers in _THIRD_POWERS]
        skewness = _skewness(moments, thirds, row["listeners"])
    return MetricMoments(
        metric, row["arm"], row["segment"], row["listeners"], moments, skewness
    )


def _skewness(moments: Moments, thirds: Sequence[float], listeners: int) -> float:
    """Compute the skewness of shares in a ratio; listeners without a value have a share of 0.

    A share is in proportion to numerator - ratio * denominator, whose mean is 0.
    """
    ratio = moments.mean(RATIO)
    signs = (1, -3 * ratio, 3 * ratio**2, -(ratio**3))
    third = sum(sign * value for sign, value in zip(signs, thirds, strict=True))
    count = moments.count
    variance = moments.variance(RATIO) * moments.mean(Quantity("denominator")) ** 2
    if not variance > 0:
        return 0.0
    spread = math.sqrt(variance * (count - 1) / count)
    return third / spread**3 * math.sqrt(listeners / count)


def by_metric(
    rows: Iterable[MetricMoments], arms: Sequence[str]
) -> dict[str, dict[str, Moments]]:
    """Arrange the moments of the whole experiment by metric and arm, in the order of the arms."""
    arranged: dict[str, dict[str, Moments]] = {}
    for row in sorted(rows, key=lambda row: arms.index(row.arm)):
        if not row.segment:
            arranged.setdefault(row.metric, {})[row.arm] = row.moments
    return arranged


def largest_skewness(rows: Iterable[MetricMoments]) -> dict[str, float]:
    """Find the largest skewness of an arm by metric, where it is known."""
    largest: dict[str, float] = {}
    for row in rows:
        if not (row.segment or math.isnan(row.skewness)):
            so_far = largest.get(row.metric, 0.0)
            largest[row.metric] = max(so_far, abs(row.skewness))
    return largest
