"""Compute the moments of arms in SQL, the same for the listeners of a log and of a table.

A row is a value of a listener in a segment, with the columns `metric`, `arm`, `segment` and
`VALUES`; a table has the first two values. They are NULL if the metric has no value.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from analysis import queries
from analysis.queries import Column, Function
from analysis.statistics.moments import Moments, Quantity

RATIO = Quantity("numerator", "denominator")
PAST = Quantity("past_numerator", "past_denominator")
# least standard deviation of listeners' values over their mean; below it is rounding
_LEAST_VARIATION = 1e-7
_MOST_DAYS = 30  # most points of a curve
NOVELTY = (
    "novelty"  # segment of listeners' later days, with their first days as the past
)
UNTIL = "until="  # begins the name of a segment that ends with a day
VALUES = ("numerator", "denominator", "past_numerator", "past_denominator")


@dataclass(frozen=True)
class MetricMoments:
    """Moments of a metric over the listeners of an arm who have a value."""

    metric: str
    arm: str
    segment: str  # "" for the whole experiment
    listeners: int  # listeners with and without a value
    moments: Moments  # moments of `RATIO` and `PAST`


def read_moments(rows: queries.Rows) -> list[MetricMoments]:
    """Compute counts, means and covariances by metric, arm and segment."""
    values = [Column(name) for name in VALUES if name in rows.columns]
    pairs = combinations_with_replacement(values, 2)
    means = (Function("avg", value) for value in values)
    covariances = (Function("covar_samp", *pair) for pair in pairs)
    keys = "metric, arm, segment"
    moments = rows.aggregate(
        [
            *map(Column, keys.split(", ")),
            Function("count_star").alias("listeners"),
            Function("count", values[0]).alias("count"),
            Function("list_value", *means).alias("means"),
            Function("list_value", *covariances).alias("covariances"),
        ],
        keys,
    )
    return [from_row(row) for row in moments.order(keys).to_arrow_table().to_pylist()]


def from_row(row: Mapping[str, Any]) -> MetricMoments:
    """Convert counts, means and the upper triangle of the covariances of an arm."""
    # there is no mean without listeners or a past, and no covariance of fewer than two
    means = np.nan_to_num(np.array(row["means"], np.float64))
    covariances = np.zeros((len(means), len(means)))
    if row["count"] > 1:
        upper = np.triu_indices(len(means))
        values = np.nan_to_num(np.array(row["covariances"], np.float64))
        covariances[upper] = covariances.T[upper] = values
    moments = Moments(VALUES[: len(means)], row["count"], means, covariances)
    listeners = row.get("listeners", row["count"])
    return MetricMoments(row["metric"], row["arm"], row["segment"], listeners, moments)


def by_metric(
    rows: Iterable[MetricMoments], arms: Sequence[str], segment: str = ""
) -> dict[str, dict[str, Moments]]:
    """Arrange the moments of a segment by metric and arm, in the order of the arms."""
    arranged: dict[str, dict[str, Moments]] = {}
    for row in sorted(rows, key=lambda row: arms.index(row.arm)):
        if row.segment == segment:
            arranged.setdefault(row.metric, {})[row.arm] = row.moments
    return arranged


def thin(days: Sequence[Any]) -> Sequence[Any]:
    """Select at most 30 days at equal distances, the first among them."""
    return days[:: math.ceil(len(days) / _MOST_DAYS) or 1]


def find_constant(
    measurements: Mapping[str, Mapping[str, Moments]], metrics: Iterable[str]
) -> tuple[str, str] | None:
    """Find a metric and an arm all of whose listeners have the same value, or none."""
    for metric in metrics:
        for arm, moments in measurements[metric].items():
            least = (_LEAST_VARIATION * moments.mean(RATIO)) ** 2
            if not (moments.count and moments.variance(RATIO) > least):
                return metric, arm
    return None
