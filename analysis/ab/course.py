"""The course's table: effects on five means over listeners, in % of the control's, with Welch's 95 % interval."""

import math

import numpy as np

from analysis import queries
from analysis.ab.metrics import COURSE_METRICS
from analysis.ab.numbers import number
from analysis.ab.report import CourseRow
from analysis.statistics.effects import Estimate, compare

_NOBODY = Estimate(math.nan, math.nan, 0)


def course_table(connection: queries.Connection, control: str, arms: tuple[str, ...]) -> tuple[CourseRow, ...]:
    """The table, by arm and metric; the intervals are at 95 % whatever the report's alpha, as in the course.

    Args:
        connection: Has the table `listeners`.
        control: The arm that the others are compared with.
        arms: Those others.
    """
    with queries.in_order(connection):
        rows = queries.fetch_table(connection, "ab/course_moments").to_pylist()
    found = {
        (row["arm"], row["metric"]): Estimate(
            row["mean"], np.nan if row["variance"] is None else row["variance"], row["count"]
        )
        for row in rows
    }
    return tuple(
        _row(arm, metric, found.get((control, metric), _NOBODY), found.get((arm, metric), _NOBODY))
        for arm in arms
        for metric in COURSE_METRICS
    )


def _row(arm: str, metric: str, control: Estimate, treated: Estimate) -> CourseRow:
    effect = compare(control, treated).of_control_pct
    return CourseRow(
        arm=arm,
        metric=metric,
        effect_pct=number(effect.value),
        lower_pct=number(effect.lower),
        upper_pct=number(effect.upper),
        control_mean=number(control.value),
        arm_mean=number(treated.value),
        significant=effect.excludes_zero,
    )
