"""Moments of the arms from SQL: what each metric needs of the listeners' columns, and no more."""

from collections.abc import Iterable, Mapping
from itertools import combinations_with_replacement

import numpy as np
import pyarrow as pa

from analysis import queries
from analysis.ab.metrics import Metric
from analysis.statistics.moments import Moments, Quantity

# In the order of `sql/ab/moments.sql`.
COLUMNS = (
    "sessions",
    "tracks",
    "time",
    "mean_request_latency",
    "mean_tracks_per_session",
    "mean_time_per_session",
    "recommended_tracks",
    "recommended_time",
    "skips",
    "repeats",
    "requests",
    "latency_ms",
    "named",
    "fallbacks",
    "past_sessions",
    "past_tracks",
    "past_time",
    "past_recommended_tracks",
    "past_recommended_time",
    "past_skips",
    "past_repeats",
)
_PAIRS = pa.schema({"given": pa.int64(), "left_column": pa.int64(), "right_column": pa.int64()})

Rows = Mapping[tuple[str, int, int, int], Mapping[str, float]]


def columns_of(metric: Metric) -> tuple[str, ...]:
    """The columns of a metric and its past, each once."""
    quantities = [metric.quantity, *([metric.past] if metric.past else [])]
    return tuple(dict.fromkeys(name for quantity in quantities for name in _names(quantity)))


def read_moments(
    connection: queries.Connection, metrics: Iterable[Metric], arms: Iterable[str]
) -> dict[str, dict[str, Moments]]:
    """Moments by metric and arm, of the listeners for whom the metric has a value.

    Args:
        connection: Has the table `listeners`.
        metrics: Those that are a mean or a ratio.
        arms: Wanted arms; one without listeners has moments of none.
    """
    wanted = {metric.name: columns_of(metric) for metric in metrics}
    keys = sorted({key for columns in wanted.values() for key in _keys(columns)})
    rows = [dict(zip(_PAIRS.names, key, strict=True)) for key in keys]
    queries.attach_arrow(connection, "pairs", pa.Table.from_pylist(rows, schema=_PAIRS))
    with queries.in_order(connection):
        found = queries.fetch_table(connection, "ab/moments").to_pylist()
    by_key = {(row["arm"], row["given"], row["left_column"], row["right_column"]): row for row in found}
    return {name: {arm: _moments(arm, columns, by_key) for arm in arms} for name, columns in wanted.items()}


def _names(quantity: Quantity) -> tuple[str, ...]:
    return (quantity.numerator,) if quantity.denominator is None else (quantity.numerator, quantity.denominator)


def _keys(columns: tuple[str, ...]) -> list[tuple[int, int, int]]:
    """The pairs of columns, each given a value in the first of all."""
    numbers = [COLUMNS.index(name) + 1 for name in columns]
    return [(numbers[0], left, right) for left, right in combinations_with_replacement(numbers, 2)]


def _moments(
    arm: str, columns: tuple[str, ...], rows: Mapping[tuple[str, int, int, int], Mapping[str, float]]
) -> Moments:
    width = len(columns)
    means, covariances, count = np.zeros(width), np.zeros((width, width)), 0
    places = combinations_with_replacement(range(width), 2)
    for (left, right), key in zip(places, _keys(columns), strict=True):
        row = rows.get((arm, *key))
        if row is None:
            continue
        count = int(row["count"])
        means[left], means[right] = row["left_mean"], row["right_mean"]
        covariances[left, right] = covariances[right, left] = row["covariance"] or 0.0
    return Moments(columns, count, means, covariances)
