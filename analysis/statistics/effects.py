"""Effects of an arm against the control: Welch's intervals for means and ratios, and CUPED."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import special  # `scipy.stats` takes a second to import

from analysis.statistics.moments import Moments, Quantity

CONFIDENCE = 0.95
_LARGEST_EXPONENT = 709.0  # exp of more is beyond the largest float


@dataclass(frozen=True)
class Interval:
    """A value with the ends of its confidence interval; the ends are NaN if no interval exists.

    >>> f"{Interval(0.31, 0.29, 0.33):.2f}"
    '0.31 (0.29 … 0.33)'
    """

    value: float
    lower: float
    upper: float

    def __iter__(self) -> Iterator[float]:
        """Iterate over the value, the lower end and the upper end."""
        return iter((self.value, self.lower, self.upper))

    def __format__(self, spec: str) -> str:
        """Format value and ends with a format specification for floats, such as ".2f"."""
        return f"{self.value:{spec}} ({self.lower:{spec}} … {self.upper:{spec}})"

    @property
    def excludes_zero(self) -> bool:
        """True if the interval does not contain 0."""
        return self.lower > 0 or self.upper < 0

    def widened(self, factor: float) -> "Interval":
        """Return the interval with both ends moved away from the value by a factor."""
        lower = self.value + factor * (self.lower - self.value)
        return Interval(
            self.value, lower, self.value + factor * (self.upper - self.value)
        )

    def scaled(self, factor: float) -> "Interval":
        """Return the interval multiplied by a factor; a negative factor swaps the ends."""
        lower, upper = sorted((self.lower * factor, self.upper * factor))
        return Interval(self.value * factor, lower, upper)


NO_INTERVAL = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Estimate:
    """Estimate of a metric in one arm."""

    value: float  # the mean, ratio of means, or quantile
    # Variance of a listener's share in the value; divided by the count, it is the variance of the
    # value. NaN for a quantile.
    variance: float
    count: int  # listeners

    @property
    def squared_error(self) -> float:
        """Squared standard error of the estimate; NaN for fewer than two listeners."""
        return self.variance / self.count if self.count > 1 else math.nan


@dataclass(frozen=True)
class Effect:
    """Effect of an arm: its difference from the control."""

    control: Estimate  # the metric in the control
    arm: Estimate  # the metric in the arm
    absolute: Interval  # arm - control
    # arm / control - 1, with the interval of the logarithm of the ratio
    relative: Interval
    # of the absolute effect; of the logarithm of the ratio for a quantile
    standard_error: float
    p_value: float  # two-sided, of no difference; NaN without an interval

    @property
    def listeners(self) -> int:
        """Number of listeners in the control and the arm together."""
        return self.control.count + self.arm.count

    @property
    def caution(self) -> float:
        """Ratio of the pooled-variance standard error to Welch's, at least 1.

        In the smaller of two unequal arms a skewed metric tends to have a low mean and a low
        variance at once, because few large values fall into it. Then the pooled variance is the
        safer estimate.
        """
        arms = (self.control, self.arm)
        weighted = sum(arm.count * arm.variance for arm in arms) / self.listeners
        common = weighted * sum(1 / arm.count for arm in arms)
        return max(1.0, math.sqrt(common) / self.standard_error)

    def widened(self, factor: float, p_value: float) -> "Effect":
        """Return the effect with intervals widened by a factor, and with another p-value."""
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            logarithms = Interval(*np.log1p([*self.relative])).widened(factor)
            lower, upper = np.expm1([logarithms.lower, logarithms.upper]).tolist()
        relative = Interval(self.relative.value, lower, upper)
        absolute = self.absolute.widened(factor)
        return replace(self, absolute=absolute, relative=relative, p_value=p_value)


def estimate(moments: Moments, quantity: Quantity) -> Estimate:
    """Estimate a metric from the moments of an arm; NaN without listeners.

    >>> plays = Moments.of({"plays": [2, 4, 6]})
    >>> estimate(plays, Quantity("plays"))
    Estimate(value=4.0, variance=4.0, count=3)
    """
    if not moments.count:
        return Estimate(math.nan, math.nan, 0)
    return Estimate(moments.mean(quantity), moments.variance(quantity), moments.count)


def compare(control: Estimate, arm: Estimate, confidence: float = CONFIDENCE) -> Effect:
    """Compare a mean or ratio between two arms, without assuming equal variances.

    Welch, The Generalization of Student's Problem when Several Different Population Variances are
    Involved, 1947. The interval of the relative effect is computed for the difference of logarithms
    (standard errors by the delta method) and transformed back, so it never includes a value of 0 or
    less in the arm.

    >>> effect = compare(Estimate(10.0, 4, 400), Estimate(11.0, 4, 400))
    >>> [round(end, 2) for end in effect.absolute]
    [1.0, 0.72, 1.28]

    Args:
        control: Estimate of the metric in the control.
        arm: Estimate of the metric in the other arm.
        confidence: Confidence of the intervals.

    Returns:
        The effect, with intervals that are valid for a single analysis.
    """
    difference = arm.value - control.value
    error, degrees = _welch(control, arm, control.squared_error, arm.squared_error)
    half_width = margin(error, degrees, confidence)
    return Effect(
        control=control,
        arm=arm,
        absolute=Interval(difference, difference - half_width, difference + half_width),
        relative=_relative(control, arm, confidence),
        standard_error=error,
        p_value=p_value(difference, error, degrees),
    )


def compare_moments(
    control: Moments,
    arm: Moments,
    quantity: Quantity,
    confidence: float = CONFIDENCE,
) -> Effect:
    """Compare a metric between two arms, given the moments of their listeners.

    >>> control, arm = (Moments.of({"plays": plays}) for plays in ([2, 4, 6], [5, 6, 7]))
    >>> round(compare_moments(control, arm, Quantity("plays")).relative.value, 2)
    0.5
    """
    return compare(estimate(control, quantity), estimate(arm, quantity), confidence)


def _relative(control: Estimate, arm: Estimate, confidence: float) -> Interval:
    if not control.value:
        return NO_INTERVAL
    ratio = arm.value / control.value
    if not ratio > 0:
        return Interval(ratio - 1, math.nan, math.nan)
    # squared standard errors of the logarithms
    control_square = control.squared_error / control.value**2
    arm_square = arm.squared_error / arm.value**2
    error, degrees = _welch(control, arm, control_square, arm_square)
    half_width = margin(error, degrees, confidence)
    # A control that may as well be nothing has an interval without end.
    if half_width >= _LARGEST_EXPONENT:
        return Interval(ratio - 1, -1.0, math.inf)
    factor = math.exp(half_width)
    return Interval(ratio - 1, ratio / factor - 1, ratio * factor - 1)


def _welch(
    control: Estimate,
    arm: Estimate,
    control_square: float,
    arm_square: float,
) -> tuple[float, float]:
    """Combine the squared standard errors of two arms by Welch and Satterthwaite.

    Returns:
        The standard error of the difference, and its degrees of freedom.
    """
    total = control_square + arm_square
    if not total > 0:
        return math.sqrt(total), math.inf
    # In shares of the total, whose squares do not vanish when the errors are tiny.
    control_share = control_square / total
    arm_share = arm_square / total
    by_control = control_share**2 / (control.count - 1)
    by_arm = arm_share**2 / (arm.count - 1)
    return math.sqrt(total), 1 / (by_control + by_arm)


def margin(error: float, degrees: float, confidence: float) -> float:
    """Compute the half-width of Student's t interval.

    >>> round(margin(error=0.5, degrees=10, confidence=0.95), 3)
    1.114
    """
    if not error > 0:
        return error
    return error * float(special.stdtrit(degrees, (1 + confidence) / 2))


def p_value(difference: float, error: float, degrees: float) -> float:
    """Compute the two-sided p-value of Student's t test for no difference; NaN for unknown inputs.

    >>> round(p_value(difference=1.0, error=0.5, degrees=10), 3)
    0.073
    """
    if math.isnan(error) or math.isnan(difference):
        return math.nan
    if error == 0:
        return float(difference == 0)
    return 2 * float(special.stdtr(degrees, -abs(difference) / error))


def adjust(
    control: Moments,
    arm: Moments,
    quantity: Quantity,
    covariate: Quantity,
) -> tuple[Estimate, Estimate, float]:
    """Adjust a metric for a covariate (CUPED) by regression over both arms.

    Deng, Xu, Kohavi & Walker, Improving the Sensitivity of Online Controlled Experiments by
    Utilizing Pre-Experiment Data, WSDM 2013, section 3; appendix B for ratios. The covariate, such
    as the same metric before the experiment, must not depend on the arm.

    >>> control = Moments.of({"now": [1, 2, 4], "past": [1, 2, 3]})
    >>> arm = Moments.of({"now": [2, 4, 5], "past": [1, 2, 3]})
    >>> *_, left = adjust(control, arm, Quantity("now"), Quantity("past"))
    >>> round(left, 2)
    0.25

    Returns:
        The adjusted metric in the control and in the arm, and the share of the variance that
        remains after the adjustment, over both arms.
    """
    both = control + arm
    spread = both.variance(covariate)
    centre = both.mean(covariate)
    theta = both.covariance(quantity, covariate) / spread if spread else 0.0
    if not theta:
        return estimate(control, quantity), estimate(arm, quantity), 1.0

    def adjusted(moments: Moments) -> Estimate:
        covariance = moments.covariance(quantity, covariate)
        explained = theta * moments.variance(covariate) - 2 * covariance
        variance = moments.variance(quantity) + theta * explained
        shift = theta * (moments.mean(covariate) - centre)
        value = moments.mean(quantity) - shift
        return Estimate(value, max(0.0, variance), moments.count)

    unexplained = adjusted(both).variance / both.variance(quantity)
    return adjusted(control), adjusted(arm), unexplained
