"""The effect of an arm against the control: Welch's interval, absolute and relative."""

import math
from dataclasses import dataclass

from scipy import stats

from analysis.statistics.moments import Moments, Quantity

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A metric in one arm.

    Attributes:
        value: The mean, or ratio of means.
        variance: Of one listener's share in it; over the count, that of the value.
        count: Listeners.
    """

    value: float
    variance: float
    count: int

    @property
    def squared_error(self) -> float:
        """Squared standard error of the value; NaN for fewer than two listeners."""
        return self.variance / self.count if self.count > 1 else math.nan


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its confidence interval; the ends are NaN where there is none.

    Attributes:
        value: The estimate.
        lower: Lower end.
        upper: Upper end.
    """

    value: float
    lower: float
    upper: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of 0."""
        return self.lower > 0 or self.upper < 0

    def scaled(self, factor: float) -> "Interval":
        """The interval in another unit; a negative factor turns it round."""
        lower, upper = sorted((self.lower * factor, self.upper * factor))
        return Interval(self.value * factor, lower, upper)


@dataclass(frozen=True)
class Effect:
    """What an arm differs by from the control.

    Attributes:
        control: The metric in the control.
        arm: The metric in the arm.
        absolute: Arm - control, with Welch's interval.
        relative: Arm / control - 1, with the interval of the logarithm of the ratio.
        standard_error: Of the absolute effect.
        degrees: Welch's degrees of freedom.
        p_value: Two-sided, of no difference; NaN where there is no interval.
    """

    control: Estimate
    arm: Estimate
    absolute: Interval
    relative: Interval
    standard_error: float
    degrees: float
    p_value: float

    @property
    def of_control_pct(self) -> Interval:
        """The absolute effect and its interval in % of the control's value, which counts as known exactly."""
        value = self.control.value
        return self.absolute.scaled(100 / value) if value else Interval(math.nan, math.nan, math.nan)


def estimate(moments: Moments, quantity: Quantity) -> Estimate:
    """A metric in one arm; the variance of a ratio is that of the delta method."""
    return Estimate(moments.mean(quantity), moments.variance(quantity), moments.count)


def compare(control: Estimate, arm: Estimate, confidence: float = CONFIDENCE) -> Effect:
    """The effect of an arm, its listeners' variance not assumed to be the control's.

    Welch, The Generalization of Student's Problem when Several Different Population Variances are Involved, 1947. The
    relative effect's interval is that of the difference of logarithms, whose standard errors are those of the values
    divided by the values (delta method), turned back; it never includes an arm of nothing or less.
    """
    error, degrees = _welch(control.squared_error, control.count, arm.squared_error, arm.count)
    difference = arm.value - control.value
    margin = _margin(error, degrees, confidence)
    return Effect(
        control=control,
        arm=arm,
        absolute=Interval(difference, difference - margin, difference + margin),
        relative=_relative(control, arm, confidence),
        standard_error=error,
        degrees=degrees,
        p_value=_p_value(difference, error, degrees),
    )


def _relative(control: Estimate, arm: Estimate, confidence: float) -> Interval:
    if not control.value:
        return Interval(math.nan, math.nan, math.nan)
    ratio = arm.value / control.value
    if not ratio > 0:
        return Interval(ratio - 1, math.nan, math.nan)
    squares = [one.squared_error / one.value**2 for one in (control, arm)]
    factor = _exp(_margin(*_welch(squares[0], control.count, squares[1], arm.count), confidence))
    return Interval(ratio - 1, ratio / factor - 1, ratio * factor - 1)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf  # of a control that may as well be nothing


def _welch(control: float, controls: int, arm: float, arms: int) -> tuple[float, float]:
    """Standard error and degrees of freedom from squared standard errors and counts."""
    total = control + arm
    if not total > 0:
        return math.sqrt(total), math.inf
    # In shares of the total, whose squares do not vanish when the errors are tiny.
    return math.sqrt(total), 1 / ((control / total) ** 2 / (controls - 1) + (arm / total) ** 2 / (arms - 1))


def _margin(error: float, degrees: float, confidence: float) -> float:
    return error * float(stats.t.ppf((1 + confidence) / 2, degrees)) if error > 0 else error


def _p_value(difference: float, error: float, degrees: float) -> float:
    if math.isnan(error) or math.isnan(difference):
        return math.nan
    if error == 0:
        return float(difference == 0)
    return 2 * float(stats.t.sf(abs(difference) / error, degrees))
