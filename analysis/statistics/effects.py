"""The effect of an arm against the control: Welch's interval for means and ratios, CUPED, Woodruff's for quantiles."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import special  # `scipy.stats` takes a second to import

from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import FloatArray, IntArray

CONFIDENCE = 0.95
STEP = math.log(1.001)  # between values of a `Histogram`, as in `sql/ab/histogram.sql`
_SHARE = Quantity("below", "all")


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its confidence interval; the ends are NaN where there is none."""

    value: float
    lower: float
    upper: float

    def __iter__(self) -> Iterator[float]:
        """Iterate over value, lower and upper end."""
        return iter((self.value, self.lower, self.upper))

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of 0."""
        return self.lower > 0 or self.upper < 0

    def scaled(self, factor: float) -> "Interval":
        """Return the interval in another unit; a negative factor swaps its ends."""
        lower, upper = sorted((self.lower * factor, self.upper * factor))
        return Interval(self.value * factor, lower, upper)


NO_INTERVAL = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Estimate:
    """A metric in one arm."""

    value: float  # the mean, ratio of means, or quantile
    # of one listener's share in it; over the count, that of the value. NaN for a quantile.
    variance: float
    count: int  # listeners

    @property
    def squared_error(self) -> float:
        """Squared standard error of the value; NaN for fewer than two listeners."""
        return self.variance / self.count if self.count > 1 else math.nan


@dataclass(frozen=True)
class Effect:
    """Difference between an arm and the control."""

    control: Estimate  # the metric in the control
    arm: Estimate  # the metric in the arm
    absolute: Interval  # arm - control
    relative: (
        Interval  # arm / control - 1, with the interval of the logarithm of the ratio
    )
    standard_error: (
        float  # of the absolute effect; of the logarithm of the ratio for a quantile
    )
    p_value: float  # two-sided, of no difference; NaN where there is no interval

    @property
    def listeners(self) -> int:
        """Listeners in the control and the arm together."""
        return self.control.count + self.arm.count

    @property
    def of_control_pct(self) -> Interval:
        """The absolute effect and its interval in % of the control's value, which counts as known exactly."""
        value = self.control.value
        return self.absolute.scaled(100 / value) if value else NO_INTERVAL


def estimate(moments: Moments, quantity: Quantity) -> Estimate:
    """Estimate a metric in one arm, NaN without listeners; the variance of a ratio is that of the delta method."""
    if not moments.count:
        return Estimate(math.nan, math.nan, 0)
    return Estimate(moments.mean(quantity), moments.variance(quantity), moments.count)


def compare(control: Estimate, arm: Estimate, confidence: float = CONFIDENCE) -> Effect:
    """Compare means or ratios of two arms without assuming equal variances.

    Welch, The Generalization of Student's Problem when Several Different Population Variances are
    Involved, 1947. The relative effect's interval is that of the difference of logarithms, whose
    standard errors are those of the values divided by the values (delta method), turned back; it
    never includes an arm of nothing or less.
    """
    error, degrees = _welch(
        control.squared_error, control.count, arm.squared_error, arm.count
    )
    difference = arm.value - control.value
    margin = _margin(error, degrees, confidence)
    return Effect(
        control=control,
        arm=arm,
        absolute=Interval(difference, difference - margin, difference + margin),
        relative=_relative(control, arm, confidence),
        standard_error=error,
        p_value=_p_value(difference, error, degrees),
    )


def compare_moments(
    control: Moments, arm: Moments, quantity: Quantity, confidence: float = CONFIDENCE
) -> Effect:
    """Compare a metric of two arms by the moments of their listeners."""
    return compare(estimate(control, quantity), estimate(arm, quantity), confidence)


def _relative(control: Estimate, arm: Estimate, confidence: float) -> Interval:
    if not control.value:
        return NO_INTERVAL
    ratio = arm.value / control.value
    if not ratio > 0:
        return Interval(ratio - 1, math.nan, math.nan)
    squares = [side.squared_error / side.value**2 for side in (control, arm)]
    margin = _margin(
        *_welch(squares[0], control.count, squares[1], arm.count), confidence
    )
    # A control that may as well be nothing has a factor beyond the largest float, exp(709).
    factor = math.exp(margin) if margin < 709 else margin * math.inf
    return Interval(ratio - 1, ratio / factor - 1, ratio * factor - 1)


def _welch(control: float, controls: int, arm: float, arms: int) -> tuple[float, float]:
    """Return standard error and degrees of freedom from squared standard errors and counts."""
    total = control + arm
    if not total > 0:
        return math.sqrt(total), math.inf
    # In shares of the total, whose squares do not vanish when the errors are tiny.
    return math.sqrt(total), 1 / (
        (control / total) ** 2 / (controls - 1) + (arm / total) ** 2 / (arms - 1)
    )


def _margin(error: float, degrees: float, confidence: float) -> float:
    return (
        error * float(special.stdtrit(degrees, (1 + confidence) / 2))
        if error > 0
        else error
    )


def _p_value(difference: float, error: float, degrees: float) -> float:
    if math.isnan(error) or math.isnan(difference):
        return math.nan
    if error == 0:
        return float(difference == 0)
    return 2 * float(special.stdtr(degrees, -abs(difference) / error))


@dataclass(frozen=True)
class Adjusted:
    """A metric without the part that a covariate predicts."""

    control: Estimate  # the metric in the control
    arm: Estimate  # the metric in the arm
    variance_kept: (
        float  # variance left over both arms, as a share of that without the adjustment
    )


def adjust(
    control: Moments, arm: Moments, quantity: Quantity, covariate: Quantity
) -> Adjusted:
    """Remove what a covariate predicts from a metric (CUPED), by the regression over the listeners of both arms.

    Deng, Xu, Kohavi & Walker, Improving the Sensitivity of Online Controlled Experiments by
    Utilizing Pre-Experiment Data, WSDM 2013, section 3; its appendix B for ratios. The covariate,
    such as the metric before the experiment, must not depend on the arm.
    """
    both = control + arm
    spread, centre = both.variance(covariate), both.mean(covariate)
    coefficient = both.covariance(quantity, covariate) / spread if spread else 0.0
    if not coefficient:
        return Adjusted(estimate(control, quantity), estimate(arm, quantity), 1.0)

    def adjusted(moments: Moments) -> Estimate:
        value = moments.mean(quantity) - coefficient * (
            moments.mean(covariate) - centre
        )
        taken = coefficient * moments.variance(covariate) - 2 * moments.covariance(
            quantity, covariate
        )
        return Estimate(
            value,
            max(0.0, moments.variance(quantity) + coefficient * taken),
            moments.count,
        )

    return Adjusted(
        adjusted(control),
        adjusted(arm),
        adjusted(both).variance / both.variance(quantity),
    )


@dataclass(frozen=True, eq=False)
class Histogram:
    """Measured values of an arm, such as latencies in ms, in steps of 0.1 %."""

    # those that occur, ascending, shape (steps,); step s is exp(s * STEP) millionths, up to the
    # next
    steps: IntArray
    values: FloatArray  # how many each group of listeners has in each step, shape (groups, steps)
    count: int  # listeners

    @classmethod
    def of(
        cls, steps: IntArray, groups: IntArray, counts: IntArray, listeners: int
    ) -> "Histogram":
        """Make a histogram of rows of step, group and count, each of shape (rows,)."""
        known_steps, columns = np.unique(steps, return_inverse=True)
        known_groups, rows = np.unique(groups, return_inverse=True)
        matrix = np.zeros((len(known_groups), len(known_steps)))
        np.add.at(matrix, (rows, columns), counts)
        return cls(known_steps, matrix, listeners)

    def quantile(self, share: float) -> float:
        """Return the value that this share of all stays below; NaN where there is none."""
        if not len(self.steps):
            return math.nan
        counts = self.values.sum(axis=0)
        ends = np.cumsum(counts)
        target = share * ends[-1]
        position = min(int(np.searchsorted(ends, target)), len(counts) - 1)
        within = (target - (ends[position] - counts[position])) / counts[position]
        return (
            math.exp((self.steps[position] + min(max(within, 0.0), 1.0)) * STEP) / 1e6
        )

    def interval(self, share: float, confidence: float) -> Interval:
        """Return a quantile with Woodruff's interval: that of the share below it, turned back into values.

        Values of a listener are alike, so the share's variance is that of a ratio over random
        groups of listeners.

        Woodruff, Confidence Intervals for Medians and Other Position Measures, 1952. Wolter,
        Introduction to Variance Estimation, 2007, chapter 2.
        """
        value, groups = self.quantile(share), len(self.values)
        if groups < 2:
            return Interval(value, math.nan, math.nan)
        below = self.values @ np.clip(
            math.log(value * 1e6) / STEP - self.steps, 0.0, 1.0
        )
        moments = Moments.of({"below": below, "all": self.values.sum(axis=1)})
        margin = _margin(
            math.sqrt(moments.variance(_SHARE) / groups), groups - 1, confidence
        )
        return Interval(
            value,
            self.quantile(max(0.0, share - margin)),
            self.quantile(min(1.0, share + margin)),
        )


def compare_quantiles(
    control: Histogram, arm: Histogram, share: float, confidence: float = CONFIDENCE
) -> Effect:
    """Compare a quantile of two arms' values.

    Differences and ratios: Zou & Donner, Construction of Confidence Limits about Effect Measures
    (MOVER), 2008.
    """
    before, after = (side.interval(share, confidence) for side in (control, arm))
    ratio = _difference(
        Interval(*map(math.log, before)), Interval(*map(math.log, after))
    )
    error = (ratio.upper - ratio.lower) / 2 / float(special.ndtri((1 + confidence) / 2))
    return Effect(
        control=Estimate(before.value, math.nan, control.count),
        arm=Estimate(after.value, math.nan, arm.count),
        absolute=_difference(before, after),
        relative=Interval(*(math.exp(end) - 1 for end in ratio)),
        standard_error=error,
        p_value=_p_value(ratio.value, error, math.inf),
    )


def _difference(control: Interval, arm: Interval) -> Interval:
    value = arm.value - control.value
    below = math.hypot(arm.value - arm.lower, control.upper - control.value)
    above = math.hypot(arm.upper - arm.value, control.value - control.lower)
    return Interval(value, value - below, value + above)
