"""Power analysis: the effect that an experiment finds, and the listeners that one takes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from analysis.errors import AnalysisError

_FEWEST = 3.0  # listeners in both arms that leave a degree of freedom
_MOST = 1e15


@dataclass(frozen=True)
class Design:
    """Design of an experiment."""

    alpha: float = 0.05  # two-sided significance level
    power: float = 0.8  # chance of finding the effect when it is there
    ratio: float = 1.0  # listeners of the arm for each one of the control

    def __post_init__(self) -> None:
        """Raise an AnalysisError where power is not above alpha or ratio is not positive."""
        if not self.alpha < self.power < 1:
            raise AnalysisError(
                f"power: power must be between alpha ({self.alpha}) and 1, found {self.power}"
            )
        if not 0 < self.ratio < math.inf:
            raise AnalysisError(f"power: ratio must be positive, found {self.ratio}")


def achieved_power(
    variance: float, listeners: float, effect: float, design: Design
) -> float:
    """Return the chance that Welch's test finds an effect.

    Its distribution is then the non-central t: Cohen, Statistical Power Analysis for the Behavioral
    Sciences, 1988, section 2. The variance is that of a listener's share in the metric, the same in
    both arms; listeners are those of control and arm together; the effect is absolute.
    """
    controls, arms = _split(listeners, design)
    control_square, arm_square = variance / controls, variance / arms
    squared_error = control_square + arm_square
    degrees = squared_error**2 / (
        control_square**2 / (controls - 1) + arm_square**2 / (arms - 1)
    )
    critical = stats.t.isf(design.alpha / 2, degrees)
    noncentrality = abs(effect) / math.sqrt(squared_error)
    tails = special.nctdtr(degrees, noncentrality, [-critical, critical])
    # scipy's distribution is NaN far out in the lower tail, where it is below 1e-10.
    below_lower, below_upper = np.nan_to_num(tails)
    return float(1 - below_upper + below_lower)


def detectable_effect(variance: float, listeners: float, design: Design) -> float:
    """Return the smallest absolute effect found with the design's power (MDE), or NaN."""
    if min(_split(listeners, design)) <= 1:
        return math.nan
    if not variance > 0:
        return variance
    # In units of the standard error, so that the search does not depend on the metric's scale.
    unit = math.sqrt(variance / listeners)

    def power(shift: float) -> float:
        return achieved_power(variance, listeners, shift * unit, design)

    return unit * _solve(power, design.power, 0.0, 10)


def needed_listeners(variance: float, effect: float, design: Design) -> float:
    """Return the listeners of both arms with which an absolute effect is found, not rounded.

    Raises:
        AnalysisError: The effect is 0 or so small that no number of listeners would do.
    """

    def power(listeners: float) -> float:
        return achieved_power(variance, listeners, effect, design)

    # Just more than one in the smaller arm, whose variance is otherwise unknown.
    fewest = max(_FEWEST, 1.001 * (1 + design.ratio) / min(1.0, design.ratio))
    if not variance > 0 or power(fewest) >= design.power:
        return fewest
    if not effect or power(_MOST) < design.power:
        raise AnalysisError(
            f"power: no number of listeners finds an effect of {effect}"
        )
    return _solve(power, design.power, fewest, fewest * 10)


def _split(listeners: float, design: Design) -> tuple[float, float]:
    control = listeners / (1 + design.ratio)
    return control, listeners - control


def _solve(
    power: Callable[[float], float], wanted: float, low: float, high: float
) -> float:
    """Find the value at which a rising power is the wanted one."""
    while power(high) < wanted:
        low, high = high, high * 10
    return float(optimize.brentq(lambda value: power(value) - wanted, low, high))
