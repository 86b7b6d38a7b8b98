"""The course's table: effects on five means over listeners, in % of the control's, with Welch's 95 % interval."""

import math

import numpy as np

from analysis import queries
from analysis.ab.metrics import COURSE_METRICS
from analysis.ab.numbers import number
from analysis.ab.report import CourseRow
from analysis.statistics.effects import Estimate, Interval, compare

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
    effect = compare(control, treated)
    of_control = effect.of_control_pct
    if not effect.standard_error > 0:  # in the course's formula 0 degrees of freedom by 0: there is no interval
        of_control = Interval(of_control.value, math.nan, math.nan)
    return CourseRow(
        arm=arm,
        metric=metric,
        effect_pct=number(of_control.value),
        lower_pct=number(of_control.lower),
        upper_pct=number(of_control.upper),
        control_mean=number(control.value),
        arm_mean=number(treated.value),
        significant=of_control.excludes_zero,
    )
