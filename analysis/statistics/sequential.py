"""Always-valid inference: intervals that hold on every day at once.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Time-uniform Central Limit Theory and Asymptotic
Confidence Sequences, Annals of Statistics 52(6), 2024, theorem 2.2: Robbins' normal mixture with
the estimated variance. The same boundary is that of the mixture sequential probability ratio test
of Johari, Koomen, Pekelis & Walsh, Always Valid Inference, 2022.

With t the listeners so far in the mixture's own unit (t ρ² of the paper), the interval at level
alpha reaches sqrt((1 + 1 / t) (log(1 + t) - 2 log(alpha))) standard errors to each side.
"""

import math
from dataclasses import replace

import numpy as np
from scipy import special

from analysis.statistics.effects import CONFIDENCE, Effect, Interval
from looplib.arrays import FloatArray


def at_any_time(
    effect: Effect,
    planned: float,
    confidence: float = CONFIDENCE,
    listeners: float | None = None,
) -> Effect:
    """Return an effect with intervals and a p-value that may be looked at at any time.

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
    absolute, relative = effect.absolute, effect.relative
    if math.isnan(effect.control.variance):  # a quantile; the error is its logarithm's
        critical = -float(special.ndtri((1 - confidence) / 2))
        errors = math.log1p(relative.value) / error
    else:
        critical = (absolute.upper - absolute.value) / error
        errors = absolute.value / error
    factor = widening(progress, planned, confidence) / critical
    at_looks = p_value_at(np.array(errors), progress, planned, confidence)
    return widened(effect, factor, float(at_looks))


def widened(effect: Effect, factor: float, p_value: float) -> Effect:
    """Return an effect with intervals so many times as wide, and another p-value."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        logarithms = np.log1p(np.array([*effect.relative]))
        absolute = _widen(np.array([*effect.absolute]), factor)
        relative = np.expm1(_widen(logarithms, factor))
    relative[0] = effect.relative.value
    return replace(
        effect,
        absolute=Interval(*absolute.tolist()),
        relative=Interval(*relative.tolist()),
        p_value=p_value,
    )


def _widen(interval: FloatArray, factor: float) -> FloatArray:
    """Move the ends of an interval (value, lower, upper) away from its value by a factor."""
    value = interval[0]
    ends = value + factor * (interval[1:] - value)
    return np.array([value, *ends])


def widening(
    listeners: float,
    planned: float,
    confidence: float = CONFIDENCE,
    level: float | None = None,
) -> float:
    """Return half the interval's width in standard errors, about 3 at the planned listeners.

    The level, that of the confidence unless one is given, is the chance that any interval misses
    the true effect.
    """
    if listeners <= 0:
        return math.inf
    t = _mixture_time(listeners, planned, confidence)
    log_level = math.log(level or 1 - confidence)
    return math.sqrt((1 + 1 / t) * (math.log1p(t) - 2 * log_level))


def p_value_at(
    errors: FloatArray, listeners: float, planned: float, confidence: float = CONFIDENCE
) -> FloatArray:
    """Return the p-values of effects of so many standard errors.

    They are the levels at which the intervals would just touch 0. `confidence` only sets, with
    `planned`, where the sequence is narrowest.
    """
    t = _mixture_time(listeners, planned, confidence)
    exponents = -(errors**2) * t / (1 + t) / 2
    return np.minimum(1.0, math.sqrt(1 + t) * np.exp(exponents))


def _mixture_time(listeners: float, planned: float, confidence: float) -> float:
    """Return the listeners in the mixture's own unit.

    It is chosen so that the widening is least at the planned number: setting the derivative of the
    squared widening to 0 gives the lower branch of Lambert's W (appendix B.2 there).
    """
    level = 1 - confidence
    lambert_w = float(special.lambertw(-(level**2) / math.e, k=-1).real)
    return (-lambert_w - 1) * listeners / planned
