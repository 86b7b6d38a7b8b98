"""Always-valid inference: intervals that hold on every day at once, so that looking each day is allowed.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Time-uniform Central Limit Theory and Asymptotic Confidence Sequences,
Annals of Statistics 52(6), 2024, theorem 2.2: Robbins' normal mixture with the estimated variance. The same boundary
is that of the mixture sequential probability ratio test of Johari, Koomen, Pekelis & Walsh, Always Valid Inference,
2022.
"""

import math

from scipy import special

from analysis.statistics.effects import CONFIDENCE, Effect, Interval


def confidence_sequence(effect: Effect, planned: float, confidence: float = CONFIDENCE) -> Interval:
    """Return the interval of the absolute effect that may be looked at as often as one likes.

    Args:
        effect: Of the listeners so far.
        planned: Listeners in the control and the arm together at which the interval is to be narrowest. It must not
            depend on the data; the intervals hold whatever it is.
        confidence: Chance that all intervals, however many are looked at, contain the true effect.
    """
    value, error = effect.absolute.value, effect.standard_error
    margin = error * widening(effect.control.count + effect.arm.count, planned, confidence)
    return Interval(value, value - margin, value + margin)


def widening(listeners: float, planned: float, confidence: float = CONFIDENCE) -> float:
    """Return half the interval's width in standard errors: about 3 when as many listeners as planned are there."""
    if listeners <= 0:
        return math.inf
    progress = _progress(listeners, planned, confidence)
    return math.sqrt((1 + 1 / progress) * (math.log1p(progress) - 2 * math.log(1 - confidence)))


def always_valid_p_value(effect: Effect, planned: float, confidence: float = CONFIDENCE) -> float:
    """Return the level at which the sequence's interval would just touch 0.

    `confidence` only sets, with `planned`, where the sequence is narrowest.
    """
    if not effect.standard_error > 0:
        return effect.p_value
    progress = _progress(effect.control.count + effect.arm.count, planned, confidence)
    squared = (effect.absolute.value / effect.standard_error) ** 2
    return min(1.0, math.sqrt(1 + progress) * math.exp(-squared * progress / (1 + progress) / 2))


def _progress(listeners: float, planned: float, confidence: float) -> float:
    """Return the listeners in the mixture's own unit, chosen so that the widening is least at the planned number.

    Setting the derivative of the squared widening to 0 gives the lower branch of Lambert's W (appendix B.2 there).
    """
    least = -float(special.lambertw(-((1 - confidence) ** 2) / math.e, k=-1).real) - 1
    return least * listeners / planned
