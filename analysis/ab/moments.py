"""Compute the moments of arms in SQL: one statement a metric, the same for rows of any source.

A row is a listener in a segment, with the columns `arm`, `segment` and those of `VALUES`; without a
past, the first two. They are NULL where the metric has no value.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from analysis import queries
from analysis.ab.metrics import Metric
from analysis.queries import Column, Function
from analysis.statistics.moments import Moments, Quantity

RATIO = Quantity("numerator", "denominator")
PAST = Quantity("past_numerator", "past_denominator")
# of listeners' values, in parts of their mean; less is rounding
_LEAST_VARIATION = 1e-7
_MOST_DAYS = 30  # of a curve
UNTIL = "until="  # begins the name of a segment: what there was by the end of a day
VALUES = ("numerator", "denominator", "past_numerator", "past_denominator")


@dataclass(frozen=True)
class MetricMoments:
    """Moments of a metric over the listeners of an arm who have a value of it."""

    metric: str
    arm: str
    segment: str  # "" for the whole experiment
    listeners: int  # with and without a value
    moments: Moments  # of `RATIO` and `PAST`


def read_moments(rows: queries.Rows, metric: Metric) -> list[MetricMoments]:
    """Compute counts, means and covariances by arm and segment.

    Args:
        rows: As above.
        metric: But for quantiles.
    """
    columns = [name for name in VALUES if name in rows.columns]
    values = [Column(name) for name in columns[: 4 if metric.has_past else 2]]
    selected = {
        "listeners": Function("count_star"),
        "count": Function("count", values[0]),
        "means": Function("list_value", *(Function("avg", value) for value in values)),
        "covariances": Function(
            "list_value",
            *(
                Function("covar_samp", *pair)
                for pair in combinations_with_replacement(values, 2)
            ),
        ),
    }
    aggregates = [value.alias(name) for name, value in selected.items()]
    keys = [Column("arm"), Column("segment")]
    computed = rows.aggregate([*keys, *aggregates], "arm, segment")
    by_arm = computed.order("arm, segment").to_arrow_table().to_pylist()
    return [from_row(metric.name, row) for row in by_arm]


def from_row(metric: str, row: Mapping[str, Any]) -> MetricMoments:
    """Convert counts, means and the upper triangle of the covariances of an arm."""
    # there is no mean without listeners, and no covariance of fewer than two
    means = np.nan_to_num(np.array(row["means"], np.float64))
    covariances = np.zeros((len(means), len(means)))
    if row["count"] > 1:
        upper = np.triu_indices(len(means))
        covariances[upper] = covariances.T[upper] = row["covariances"]
    moments = Moments(VALUES[: len(means)], row["count"], means, covariances)
    listeners = row.get("listeners", row["count"])
    return MetricMoments(metric, row["arm"], row["segment"], listeners, moments)


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
