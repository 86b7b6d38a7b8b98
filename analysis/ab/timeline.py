"""Primary metrics by day: that day alone, and all so far with the interval that may be looked at every day."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.metrics import METRICS, Metric
from analysis.ab.numbers import interval
from analysis.ab.report import Day, Timeline
from analysis.statistics import effects, sequential
from analysis.statistics.moments import Moments, Quantity

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOBODY = Moments(("x", "y"), 0, np.zeros(2), np.zeros((2, 2)))
_DAILY = ("day_count", "day_x", "day_y", "day_xx", "day_xy", "day_yy")
_SO_FAR = ("count", "x", "y", "xx", "xy", "yy")

Rows = Mapping[tuple[str, int], Mapping[str, Any]]


def iso_date(day: int) -> str:
    """The date of a number of days since the epoch, UTC."""
    return (_EPOCH + timedelta(days=day)).date().isoformat()


def timelines(
    connection: queries.Connection, config: AbConfig, control: str, arms: Sequence[str]
) -> tuple[Timeline, ...]:
    """The days of each primary metric and arm.

    Args:
        connection: Has the table `listener_days`.
        config: The metrics, and the listeners planned.
        control: The arm that the others are compared with.
        arms: Those others.
    """
    found = []
    for metric in (METRICS[name] for name in config.primary):
        rows = _read(connection, metric)
        days = sorted({day for _, day in rows})
        found += [
            Timeline(arm, metric.name, metric.label, tuple(_days(rows, days, metric, config, control, arm)))
            for arm in arms
        ]
    return tuple(found)


def _read(connection: queries.Connection, metric: Metric) -> Rows:
    by_day = metric.by_day
    if by_day is None:
        return {}
    with queries.in_order(connection):
        rows = queries.fetch_table(
            connection,
            "ab/day_moments",
            numerator=by_day.numerator,
            denominator=by_day.denominator,
            per_listener=by_day.per_listener,
        )
    return {(row["arm"], row["day"]): row for row in rows.to_pylist()}


def _days(rows: Rows, days: Sequence[int], metric: Metric, config: AbConfig, control: str, arm: str) -> list[Day]:
    quantity = Quantity("x", "y") if metric.method == "ratio" else Quantity("x")
    so_far = {control: _NOBODY, arm: _NOBODY}
    found = []
    for day in days:
        today = dict.fromkeys(so_far, _NOBODY)
        for name in so_far:
            if (name, day) in rows:
                so_far[name] = _moments(rows[name, day], _SO_FAR)
                today[name] = _moments(rows[name, day], _DAILY)
        found.append(_day(day, today, so_far, quantity, config, control, arm))
    return found


def _day(
    day: int,
    today: Mapping[str, Moments],
    so_far: Mapping[str, Moments],
    quantity: Quantity,
    config: AbConfig,
    control: str,
    arm: str,
) -> Day:
    confidence = 1 - config.alpha
    daily, cumulative = (
        effects.compare(
            effects.estimate(one[control], quantity), effects.estimate(one[arm], quantity), confidence=confidence
        )
        for one in (today, so_far)
    )
    scale = 100 / cumulative.control.value if cumulative.control.value else math.nan
    return Day(
        date=iso_date(day),
        control_listeners=so_far[control].count,
        arm_listeners=so_far[arm].count,
        daily=interval(daily.of_control_pct, daily.p_value, factor=1.0),
        cumulative=interval(cumulative.of_control_pct, cumulative.p_value, factor=1.0),
        sequential=interval(
            sequential.confidence_sequence(cumulative, config.planned_listeners, confidence).scaled(scale),
            sequential.always_valid_p_value(cumulative, config.planned_listeners, confidence),
            factor=1.0,
        ),
    )


def _moments(row: Mapping[str, Any], names: Sequence[str]) -> Moments:
    """Moments from sums of x, y and their products."""
    count, x, y, xx, xy, yy = (row[name] for name in names)
    if not count:
        return _NOBODY
    products = np.array([[xx - x * x / count, xy - x * y / count], [xy - x * y / count, yy - y * y / count]])
    return Moments(("x", "y"), count, np.array([x, y]) / count, products / max(1, count - 1))
