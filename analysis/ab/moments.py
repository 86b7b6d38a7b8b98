"""The moments of arms: counts, means and covariances of their listeners' values.

The values are `VALUES`: a numerator and a denominator, and the same of the listener's past. They
are NULL if the metric has no value.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from analysis import queries
from analysis.queries import Column, Constant, Function
from analysis.statistics.moments import Moments, Quantity, stratify

RATIO = Quantity("numerator", "denominator")
PAST = Quantity("past_numerator", "past_denominator")
_MOST_DAYS = 30  # most points of a curve
# Segments of a later part of the experiment, with an earlier part as the past: by each listener's
# days, and by the calendar
NOVELTY = {"novelty": "a listener's days", "calendar": "the experiment's days"}
# Segment of values that end at the largest but for 1 % of listeners. Its past is the value of the
# arm's largest listener, and all values
WINSORISED = "winsorised"
# segment of tracks of the second of two interleaved recommenders, with the first as the past
INTERLEAVED = "interleaved"
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


def read_moments(
    values: queries.Rows, *, within_days: bool = False
) -> list[MetricMoments]:
    """Compute the moments of a log's values by metric, arm and segment.

    Args:
        values: Rows of `sql/ab/listener_values.sql`.
        within_days: Weigh the days of arrival in every arm alike, so that arms are compared within
            days.
    """
    columns = [*map(Column, VALUES)]
    pairs = combinations_with_replacement(columns, 2)
    keys = "metric, segment, arm" + ", day" * within_days
    moments = values.aggregate(
        [
            Column("metric"),
            Column("arm"),
            Column("segment"),
            Function("count_star").alias("listeners"),
            Function("count", columns[0]).alias("count"),
            Function("list_value", *(Function("avg", value) for value in columns)),
            Function("list_value", *(Function("covar_samp", *pair) for pair in pairs)),
            (Column("day") if within_days else Constant(0)).alias("day"),
        ],
        keys,
    )
    days: dict[tuple[str, str], dict[int, dict[str, MetricMoments]]] = {}
    for *fields, day in moments.order(keys).fetchall():
        part = from_row(*fields)
        by_day = days.setdefault((part.metric, part.segment), {})
        by_day.setdefault(day, {})[part.arm] = part
    read = []
    for (metric, segment), by_day in days.items():
        strata = [by_day[day] for day in sorted(by_day)]
        for arm, whole in stratify(
            {arm: row.moments for arm, row in stratum.items()} for stratum in strata
        ).items():
            size = sum(stratum[arm].listeners for stratum in strata if arm in stratum)
            read.append(MetricMoments(metric, arm, segment, size, whole))
    return read


def from_row(
    metric: str,
    arm: str,
    segment: str,
    listeners: int,
    count: int,
    means: Sequence[float | None],
    covariances: Sequence[float | None],
) -> MetricMoments:
    """Convert counts, means and the upper triangle of the covariances of an arm."""
    # there is no mean without listeners or a past, and no covariance of fewer than two
    size = len(means)
    matrix = np.zeros((size, size))
    if count > 1:
        upper = np.triu_indices(size)
        matrix[upper] = matrix.T[upper] = np.nan_to_num(np.array(covariances, float))
    values = np.nan_to_num(np.array(means, float))
    moments = Moments(VALUES[:size], count, values, matrix)
    return MetricMoments(metric, arm, segment, listeners, moments)


def by_metric(
    rows: Iterable[MetricMoments], segment: str = ""
) -> dict[str, dict[str, Moments]]:
    """Arrange the moments of a segment by metric and arm."""
    arranged: dict[str, dict[str, Moments]] = {}
    for row in rows:
        if row.segment == segment:
            arranged.setdefault(row.metric, {})[row.arm] = row.moments
    return arranged


def thin(days: Sequence[Any]) -> Sequence[Any]:
    """Select at most 30 days at equal distances, the first among them."""
    return days[:: math.ceil(len(days) / _MOST_DAYS) or 1]
