"""CUPED: less variance by what is known of the listeners from before the experiment."""

from dataclasses import dataclass

from analysis.statistics.effects import Estimate
from analysis.statistics.moments import Moments, Quantity


@dataclass(frozen=True)
class Adjusted:
    """A metric without the part that a covariate predicts."""

    control: Estimate  # the metric in the control
    arm: Estimate  # the metric in the arm
    variance_kept: float  # variance left over both arms, as a share of that without the adjustment


def adjust(control: Moments, arm: Moments, quantity: Quantity, covariate: Quantity) -> Adjusted:
    """Remove what the covariate predicts from a metric, by the regression over the listeners of both arms.

    Deng, Xu, Kohavi & Walker, Improving the Sensitivity of Online Controlled Experiments by Utilizing Pre-Experiment
    Data, WSDM 2013, section 3; its appendix B for ratios. The covariate, such as the metric before the experiment,
    must not depend on the arm.
    """
    both = control + arm
    spread = both.variance(covariate)
    coefficient = both.covariance(quantity, covariate) / spread if spread else 0.0
    centre = both.mean(covariate)

    def adjusted(moments: Moments) -> Estimate:
        # A coefficient of 0 times a covariate that is NaN must not reach the value.
        shift = coefficient * (moments.mean(covariate) - centre) if coefficient else 0.0
        return Estimate(moments.mean(quantity) - shift, _left(moments, quantity, covariate, coefficient), moments.count)

    before = both.variance(quantity)
    kept = _left(both, quantity, covariate, coefficient) / before if before else 1.0
    return Adjusted(adjusted(control), adjusted(arm), kept)


def _left(moments: Moments, quantity: Quantity, covariate: Quantity, coefficient: float) -> float:
    """Return the variance of the metric minus coefficient times the covariate."""
    if not coefficient:
        return moments.variance(quantity)
    taken = coefficient * (coefficient * moments.variance(covariate) - 2 * moments.covariance(quantity, covariate))
    return max(0.0, moments.variance(quantity) + taken)
