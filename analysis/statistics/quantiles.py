"""Effects on quantiles of values that a listener has many of, such as latencies."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from analysis.statistics.effects import (
    Effect,
    Estimate,
    Interval,
    margin,
    p_value,
)
from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import FloatArray, IntArray

STEP = math.log(1.001)  # between values of a `Histogram`, as in `sql/ab/histogram.sql`
_UNIT = 1e6  # steps begin at a millionth
_SHARE_BELOW = Quantity("below", "all")


@dataclass(frozen=True, eq=False)
class Histogram:
    """Histogram of an arm's values, such as latencies in ms, in steps of 0.1 %."""

    # those that occur, ascending, shape (steps,); step s is exp(s * STEP) millionths, up to the
    # next
    steps: IntArray
    values: FloatArray  # how many each group of listeners has in each step, shape (groups, steps)
    count: int  # listeners

    @classmethod
    def of(
        cls,
        steps: IntArray,
        groups: IntArray,
        counts: IntArray,
        listeners: int,
    ) -> "Histogram":
        """Build a histogram from rows of step, listener group and count, each of shape (rows,)."""
        known_steps, columns = np.unique(steps, return_inverse=True)
        known_groups, rows = np.unique(groups, return_inverse=True)
        values = np.zeros((len(known_groups), len(known_steps)))
        np.add.at(values, (rows, columns), counts)
        return cls(known_steps, values, listeners)

    def quantile(self, share: float) -> float:
        """Return the quantile at a share, such as .5 for the median; NaN without values."""
        if not len(self.steps):
            return math.nan
        counts = self.values.sum(axis=0)
        ends = np.cumsum(counts)
        target = share * ends[-1]
        position = int(np.searchsorted(ends, target))
        begin = ends[position] - counts[position]
        within_step = (target - begin) / counts[position]
        return math.exp((self.steps[position] + within_step) * STEP) / _UNIT

    def interval(self, share: float, confidence: float) -> Interval:
        """Compute a quantile with Woodruff's confidence interval.

        The interval of the share of values below the quantile is mapped back to values. Values of
        one listener are alike, so the variance of this share is estimated as the variance of a
        ratio over random groups of listeners.

        Woodruff, Confidence Intervals for Medians and Other Position Measures, 1952. Wolter,
        Introduction to Variance Estimation, 2007, chapter 2.
        """
        value = self.quantile(share)
        groups = len(self.values)
        if groups < 2:
            return Interval(value, math.nan, math.nan)
        share_of_step = np.clip(math.log(value * _UNIT) / STEP - self.steps, 0.0, 1.0)
        columns = {"below": self.values @ share_of_step, "all": self.values.sum(axis=1)}
        variance = Moments.of(columns).variance(_SHARE_BELOW)
        half_width = margin(math.sqrt(variance / groups), groups - 1, confidence)
        lower = self.quantile(max(0.0, share - half_width))
        upper = self.quantile(min(1.0, share + half_width))
        return Interval(value, lower, upper)


def compare_quantiles(
    control: Histogram,
    arm: Histogram,
    share: float,
    confidence: float,
) -> Effect:
    """Compare a quantile of the values of two arms.

    Differences and ratios: Zou & Donner, Construction of Confidence Limits about Effect Measures
    (MOVER), 2008.

    >>> steps = np.arange(14_000, 14_010)  # about 1.2
    >>> fast, slow = (
    ...     Histogram.of(steps + slower, steps % 5, np.ones(10), 10) for slower in (0, 700)
    ... )
    >>> round(compare_quantiles(fast, slow, 0.5, 0.95).relative.value, 2)
    1.01
    """
    before = control.interval(share, confidence)
    after = arm.interval(share, confidence)
    log_ratio = _difference(_logarithm(before), _logarithm(after))
    critical = float(special.ndtri((1 + confidence) / 2))
    error = (log_ratio.upper - log_ratio.lower) / 2 / critical
    return Effect(
        control=Estimate(before.value, math.nan, control.count),
        arm=Estimate(after.value, math.nan, arm.count),
        absolute=_difference(before, after),
        relative=Interval(*(math.exp(end) - 1 for end in log_ratio)),
        standard_error=error,
        p_value=p_value(log_ratio.value, error, math.inf),
    )


def _logarithm(interval: Interval) -> Interval:
    return Interval(*(math.log(end) for end in interval))


def _difference(control: Interval, arm: Interval) -> Interval:
    value = arm.value - control.value
    below = math.hypot(arm.value - arm.lower, control.upper - control.value)
    above = math.hypot(arm.upper - arm.value, control.value - control.lower)
    return Interval(value, value - below, value + above)
