"""From statistics, where what does not exist is NaN, to reports, where it is None."""

import math

from analysis.ab.report import Interval
from analysis.statistics import effects


def number(value: float) -> float | None:
    """The value, or None if it is not finite."""
    return float(value) if math.isfinite(value) else None


def interval(value: effects.Interval, p_value: float = math.nan, *, factor: float = 100.0) -> Interval:
    """An interval in percent.

    Args:
        value: The interval.
        p_value: Of no effect.
        factor: From its unit to percent; NaN where there is no such unit.
    """
    return Interval(
        number(value.value * factor), number(value.lower * factor), number(value.upper * factor), number(p_value)
    )
