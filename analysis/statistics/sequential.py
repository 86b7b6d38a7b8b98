"""Always-valid inference: intervals that hold on every day at once, so that looking each day is allowed.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Time-uniform Central Limit Theory and Asymptotic
Confidence Sequences, Annals of Statistics 52(6), 2024, theorem 2.2: Robbins' normal mixture with
the estimated variance. The same boundary is that of the mixture sequential probability ratio test
of Johari, Koomen, Pekelis & Walsh, Always Valid Inference, 2022.
"""

import math
from dataclasses import replace

import numpy as np
from scipy import special, stats

from analysis.statistics.effects import CONFIDENCE, Effect, Interval
from looplib.arrays import FloatArray


def at_any_time(
    effect: Effect,
    planned: float,
    confidence: float = CONFIDENCE,
    listeners: float | None = None,
) -> Effect:
    """Return an effect with the intervals and the p-value that may be looked at as often as one likes.

    Args:
        effect: Of the listeners so far, with intervals for one look.
        planned: Listeners in the control and the arm together at which the intervals are to be
            narrowest. It must not depend on the data; the intervals hold whatever it is.
        confidence: Chance that all intervals, however many are looked at, contain the true effect.
        listeners: So far, where they are not those of the control and the arm together.
    """
    error = effect.standard_error
    if not error > 0:
        return effect
    progress = listeners or effect.listeners
    is_quantile = math.isnan(effect.control.variance)
    # Half an interval's width in standard errors, and the effect in them; a quantile's error is of
    # its logarithm.
    critical = (
        stats.norm.isf((1 - confidence) / 2)
        if is_quantile
        else (effect.absolute.upper - effect.absolute.value) / error
    )
    errors = (
        math.log1p(effect.relative.value) if is_quantile else effect.absolute.value
    ) / error
    factor = widening(progress, planned, confidence) / float(critical)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        relative = np.expm1(_widen(np.log1p(np.array([*effect.relative])), factor))
    return replace(
        effect,
        absolute=Interval(*_widen(np.array([*effect.absolute]), factor).tolist()),
        relative=Interval(effect.relative.value, *relative[1:].tolist()),
        p_value=float(p_value_at(np.array(errors), progress, planned, confidence)),
    )


def _widen(ends: FloatArray, factor: float) -> FloatArray:
    """Move the ends of an interval, given after its value, so many times as far away from that."""
    return np.asarray(ends[0] + factor * (ends - ends[0]))


def widening(
    listeners: float,
    planned: float,
    confidence: float = CONFIDENCE,
    level: float | None = None,
) -> float:
    """Return half the interval's width in standard errors: about 3 when as many listeners as planned are there.

    The level, that of the confidence unless one is given, is the chance that any interval misses
    the true effect.
    """
    if listeners <= 0:
        return math.inf
    progress = _progress(listeners, planned, confidence)
    return math.sqrt(
        (1 + 1 / progress)
        * (math.log1p(progress) - 2 * math.log(level or 1 - confidence))
    )


def p_value_at(
    errors: FloatArray, listeners: float, planned: float, confidence: float = CONFIDENCE
) -> FloatArray:
    """Return the levels at which the intervals of effects of so many standard errors would just touch 0.

    `confidence` only sets, with `planned`, where the sequence is narrowest.
    """
    progress = _progress(listeners, planned, confidence)
    return np.minimum(
        1.0,
        math.sqrt(1 + progress) * np.exp(-(errors**2) * progress / (1 + progress) / 2),
    )


def _progress(listeners: float, planned: float, confidence: float) -> float:
    """Return the listeners in the mixture's own unit, chosen so that the widening is least at the planned number.

    Setting the derivative of the squared widening to 0 gives the lower branch of Lambert's W
    (appendix B.2 there).
    """
    least = -float(special.lambertw(-((1 - confidence) ** 2) / math.e, k=-1).real) - 1
    return least * listeners / planned
