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
from analysis.ab.measures import follow, values_of
from analysis.ab.metrics import Metric
from analysis.ab.tables import DAY_MS
from analysis.statistics import effects, sequential
from analysis.statistics.moments import Moments

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Day:
    """An experiment as it looked at the end of a day, or of an hour where it is shorter than two days."""

    date: str  # ISO date, or date and hour, UTC
    control_listeners: int  # control listeners so far
    arm_listeners: int  # the arm's listeners so far
    daily: RelativeEffect  # effect of the sessions that ended in this day or hour alone
    cumulative: (
        RelativeEffect  # effect of all so far, with the interval for a single look
    )
    # effect of all so far, with the interval that holds at all times at once
    sequential: RelativeEffect


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
    return (
        moment.date().isoformat()
        if period_ms == DAY_MS
        else moment.strftime("%Y-%m-%dT%H:%M")
    )


def timelines(
    connection: queries.Connection,
    arms: Sequence[str],
    config: AbConfig,
    period_ms: int,
) -> tuple[Timeline, ...]:
    """Follow each primary metric and arm over periods of a day or an hour; the control is the first arm."""
    found = []
    for metric in (config.known[name] for name in config.primary):
        of_arms = [
            values_of(connection, metric, "day" if period_ms == DAY_MS else "hour", arm)
            for arm in arms
        ]
        periods = np.unique(np.concatenate([rows["part"] for rows in of_arms]))
        dates = [iso_date(number * period_ms, period_ms) for number in periods.tolist()]
        control, *others = (list(follow(rows, periods, metric)) for rows in of_arms)
        for arm, followed in zip(arms[1:], others, strict=True):
            days = (
                _compare_day(*row, metric, config)
                for row in zip(dates, control, followed, strict=True)
            )
            found.append(Timeline(arm, metric.name, metric.label, tuple(days)))
    return tuple(found)


def _compare_day(
    date: str,
    control: tuple[Moments, Moments],
    arm: tuple[Moments, Moments],
    metric: Metric,
    config: AbConfig,
) -> Day:
    """Compare the arms by the moments of a day alone, and by those of all days so far."""
    confidence = 1 - config.alpha
    daily, total = (
        effects.compare_moments(*sides, metric.quantity, confidence)
        for sides in zip(control, arm, strict=True)
    )
    always_valid = sequential.at_any_time(total, config.planned_listeners, confidence)
    return Day(
        date=date,
        control_listeners=total.control.count,
        arm_listeners=total.arm.count,
        daily=RelativeEffect.of(daily.of_control_pct, daily.p_value),
        cumulative=RelativeEffect.of(total.of_control_pct, total.p_value),
        sequential=RelativeEffect.of(
            always_valid.relative.scaled(100), always_valid.p_value
        ),
    )


def positions(
    connection: queries.Connection, arms: Sequence[str]
) -> tuple[Position, ...]:
    """Average the listening time by arm and position, from the table `positions`, whose parts are added up."""
    rows = sorted(
        queries.read_table(connection, "positions").to_pylist(),
        key=itemgetter("arm", "position"),
    )
    found = []
    for (arm, position), group in groupby(rows, key=itemgetter("arm", "position")):
        parts = list(group)
        events, time = (
            sum(int(part[name]) for part in parts) for name in ("events", "time")
        )
        found.append(Position(arm, position, events, time / 2**80 / events))
    return tuple(sorted(found, key=lambda position: arms.index(position.arm)))
