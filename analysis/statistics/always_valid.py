"""Always-valid inference: confidence intervals that hold on every day at once.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Time-uniform Central Limit Theory and Asymptotic
Confidence Sequences, Annals of Statistics 52(6), 2024, theorem 2.2: Robbins' normal mixture with
the estimated variance. The mixture sequential probability ratio test of Johari, Koomen, Pekelis &
Walsh, Always Valid Inference, 2022, has the same boundary.

Let t be the number of listeners so far, in the mixture's own unit (t ρ² of the paper). At an effect
of z standard errors the mixture has grown to exp(z² t / (1 + t) / 2) / sqrt(1 + t). Without an
effect, the probability that it ever reaches 1 / level is at most the level (Ville's inequality).
Each unit gives an interval that is narrow around one number of listeners. If the size of an
experiment is unknown, the mixtures of several units are averaged: the average of e-processes is an
e-process (Ramdas, Grünwald, Vovk & Shafer, Game-theoretic Statistics and Safe Anytime-valid
Inference, Statistical Science 38(4), 2023).
"""

import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from looplib.arrays import FloatArray

# listeners of small, medium and large experiments
ANY_SIZE = (2e3, 2e5, 2e7)


@lru_cache(maxsize=4096)
def widening(
    listeners: float, planned: tuple[float, ...], level: float, tuned: float
) -> float:
    """Compute the half-width of an always-valid interval, in standard errors.

    >>> round(widening(2000, planned=(2000,), level=0.05, tuned=0.05), 2)
    3.04

    Args:
        listeners: Number of listeners so far, in the control and the arm together.
        planned: Numbers of listeners at which the interval is narrow. They must not depend on an
            effect; the intervals are valid whatever they are.
        level: Probability that any of the intervals, however many, misses the true effect.
        tuned: The level for which the intervals are optimized to be narrow.
    """
    if listeners <= 0:
        return math.inf
    times = _times(listeners, planned, tuned)
    # one unit alone, with its weight, reaches the level no sooner; and a little for rounding
    alone = np.log1p(times) - 2 * math.log(level / len(planned))
    farthest = 1.001 * float(np.min((1 + 1 / times) * alone))

    def missing(square: float) -> float:
        return _log_mixture(square, times) + math.log(level)

    return math.sqrt(optimize.brentq(missing, 0.0, farthest, xtol=1e-12))


def p_value_at(
    errors: float, listeners: float, planned: tuple[float, ...], tuned: float
) -> float:
    """Compute the p-value of an effect that is valid at any time.

    The p-value is the level at which the interval would just touch 0.

    >>> round(p_value_at(3.04, listeners=2000, planned=(2000,), tuned=0.05), 2)
    0.05

    Args:
        errors: The effect in standard errors.
        listeners: Number of listeners so far, in the control and the arm together.
        planned: Numbers of listeners at which the interval is narrow; see `widening`.
        tuned: The level for which the intervals are optimized; see `widening`.
    """
    grown = _log_mixture(errors**2, _times(listeners, planned, tuned))
    return math.exp(min(0.0, -grown))


def _log_mixture(square: float, times: FloatArray) -> float:
    """Compute the logarithm of the averaged mixture at a squared number of standard errors."""
    exponents = square * times / (1 + times) / 2 - np.log1p(times) / 2
    return float(special.logsumexp(exponents)) - math.log(len(times))


def _times(listeners: float, planned: tuple[float, ...], tuned: float) -> FloatArray:
    """Convert a number of listeners to the time t of each mixture, shape (units,).

    Each mixture is scaled so that its interval is narrowest at its planned number of listeners:
    setting the derivative of the squared width to 0 gives the lower branch of Lambert's W (appendix
    B.2 of the paper).
    """
    lambert_w = float(special.lambertw(-(tuned**2) / math.e, k=-1).real)
    return np.asarray((-lambert_w - 1) * listeners / np.array(planned))
