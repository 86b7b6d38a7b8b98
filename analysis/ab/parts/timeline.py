"""What an experiment looks like over its days and within its sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter

import numpy as np

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.effects import RelativeEffect
from analysis.ab.measures import attach_values
from analysis.ab.metrics import Metric
from analysis.ab.tables import DAY_MS
from analysis.statistics import effects, sequential
from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import FloatArray

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SUMS = ("count", "x", "y", "xx", "xy", "yy")


@dataclass(frozen=True)
class Day:
    """An experiment as it looked at the end of a day, or of an hour where it is shorter than two days."""

    date: str  # ISO date, or date and hour, UTC
    control_listeners: int  # control listeners so far
    arm_listeners: int  # the arm's listeners so far
    daily: RelativeEffect  # effect of the sessions that ended in this day or hour alone
    cumulative: RelativeEffect  # effect of all so far, with the interval for a single look
    sequential: RelativeEffect  # effect of all so far, with the interval that holds at all times at once


@dataclass(frozen=True)
class Timeline:
    """The days of a primary metric and an arm."""

    arm: str
    metric: str
    label: str
    days: tuple[Day, ...]


@dataclass(frozen=True)
class Position:
    """Listening time of the n-th track of a session."""

    arm: str  # the arm
    position: int  # from 1, the organic track
    events: int  # how many there are
    mean_time: float  # mean share of the track that was heard


def iso_date(moment_ms: int, period_ms: int = DAY_MS) -> str:
    """Return the ISO date of a moment in ms since the epoch, UTC; with its hour and minute for a shorter period."""
    moment = _EPOCH + timedelta(milliseconds=moment_ms)
    return moment.date().isoformat() if period_ms == DAY_MS else moment.strftime("%Y-%m-%dT%H:%M")


def timelines(
    connection: queries.Connection, arms: Sequence[str], config: AbConfig, period_ms: int
) -> tuple[Timeline, ...]:
    """Follow each primary metric and arm over periods of a day or an hour; the control is the first arm."""
    found = []
    for metric in (config.known[name] for name in config.primary):
        dates, alone, so_far = _read_periods(connection, metric, arms, period_ms)
        for index, arm in enumerate(arms[1:], start=1):
            days = zip(dates, alone[:, [0, index]], so_far[:, [0, index]], strict=True)
            of_arm = tuple(_compare_day(date, day, total, metric, config) for date, day, total in days)
            found.append(Timeline(arm, metric.name, metric.label, of_arm))
    return tuple(found)


def _read_periods(
    connection: queries.Connection, metric: Metric, arms: Sequence[str], period_ms: int
) -> tuple[list[str], FloatArray, FloatArray]:
    """Return ISO dates, and the sums over listeners of each period alone and of all periods so far.

    Sums are of shape (periods, arms, 6), the last axis as in `_SUMS`.
    """
    attach_values(connection, metric, "day" if period_ms == DAY_MS else "hour")
    with queries.in_order(connection):
        rows = queries.fetch_table(connection, "ab/period_sums", per_listener=metric.per_listener)
    periods, period = np.unique(rows["period"].to_numpy(), return_inverse=True)
    arm = np.array([arms.index(name) for name in rows["arm"].to_pylist()], dtype=np.int64)
    sums = np.zeros((2, len(periods), len(arms), len(_SUMS)))
    sums[rows["is_alone"].to_numpy().astype(int), period, arm] = np.column_stack(
        [rows[name].to_numpy() for name in _SUMS]
    )
    return [iso_date(number * period_ms, period_ms) for number in periods.tolist()], sums[1], sums[0].cumsum(axis=0)


def _compare_day(date: str, alone: FloatArray, so_far: FloatArray, metric: Metric, config: AbConfig) -> Day:
    """Compare the control and an arm by their sums, each of shape (2, 6)."""
    quantity = Quantity("x", "y") if metric.method == "ratio" else Quantity("x")
    confidence, planned = 1 - config.alpha, config.planned_listeners
    daily, total = (
        effects.compare_moments(_moments(sides[0]), _moments(sides[1]), quantity, confidence)
        for sides in (alone, so_far)
    )
    always_valid = sequential.at_any_time(total, planned, confidence)
    return Day(
        date=date,
        control_listeners=total.control.count,
        arm_listeners=total.arm.count,
        daily=RelativeEffect.of(daily.of_control_pct, daily.p_value),
        cumulative=RelativeEffect.of(total.of_control_pct, total.p_value),
        sequential=RelativeEffect.of(always_valid.relative.scaled(100), always_valid.p_value),
    )


def _moments(sums: FloatArray) -> Moments:
    """Return the moments of x and y from their sums and those of their products."""
    count, x, y, xx, xy, yy = sums
    totals, squares = np.array([x, y]), np.array([[xx, xy], [xy, yy]])
    products = squares - np.outer(totals, totals) / max(1, count)
    return Moments(("x", "y"), int(count), totals / max(1, count), products / max(1, count - 1))


def positions(connection: queries.Connection, arms: Sequence[str]) -> tuple[Position, ...]:
    """Average the listening time by arm and position, from the table `positions`, whose parts are added up."""
    rows = sorted(queries.read_table(connection, "positions").to_pylist(), key=itemgetter("arm", "position"))
    found = []
    for (arm, position), group in groupby(rows, key=itemgetter("arm", "position")):
        parts = list(group)
        events, time = (sum(int(part[name]) for part in parts) for name in ("events", "time"))
        found.append(Position(arm, position, events, time / 2**80 / events))
    return tuple(sorted(found, key=lambda position: arms.index(position.arm)))
