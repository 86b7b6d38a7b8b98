"""Always-valid inference: intervals that hold on every day at once.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, Time-uniform Central Limit Theory and Asymptotic
Confidence Sequences, Annals of Statistics 52(6), 2024, theorem 2.2: Robbins' normal mixture with
the estimated variance. The same boundary is that of the mixture sequential probability ratio test
of Johari, Koomen, Pekelis & Walsh, Always Valid Inference, 2022.

With t the listeners so far in the mixture's own unit (t ρ² of the paper), the mixture has grown to
exp(z² t / (1 + t) / 2) / sqrt(1 + t) at an effect of z standard errors. Without an effect it ever
reaches 1 / level with the probability level at most (Ville). Each unit is narrow around one number
of listeners. Where it is not known how many an experiment will have, several units are averaged:
the average of e-processes is one again (Ramdas, Grünwald, Vovk & Shafer, Game-theoretic Statistics
and Safe Anytime-valid Inference, Statistical Science 38(4), 2023).
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
    """Compute half the width of an always-valid interval, in standard errors.

    Args:
        listeners: So far, of the control and the arm together.
        planned: Numbers of listeners at which the interval is narrow. They must not depend
            on an effect; the intervals hold whatever they are.
        level: Chance that any interval, however many there are, misses the true effect.
        tuned: The level at which the intervals are to be narrow.

    >>> round(widening(2000, planned=(2000,), level=0.05, tuned=0.05), 2)
    3.04
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
    """Compute the p-value of an effect, valid at any time.

    It is the level at which the interval would just touch 0.

    Args:
        errors: The effect in standard errors.
        listeners: As of `widening`.
        planned: As of `widening`.
        tuned: As of `widening`.

    >>> round(p_value_at(3.04, listeners=2000, planned=(2000,), tuned=0.05), 2)
    0.05
    """
    grown = _log_mixture(errors**2, _times(listeners, planned, tuned))
    return math.exp(min(0.0, -grown))


def _log_mixture(square: float, times: FloatArray) -> float:
    """Compute the logarithm of the mixture at a squared number of standard errors."""
    exponents = square * times / (1 + times) / 2 - np.log1p(times) / 2
    return float(special.logsumexp(exponents)) - math.log(len(times))


def _times(listeners: float, planned: tuple[float, ...], tuned: float) -> FloatArray:
    """Convert listeners to each unit, shape (units,).

    A unit's own interval is to be narrowest at its listeners: setting the derivative of its squared
    width to 0 gives the lower branch of Lambert's W (appendix B.2 there).
    """
    lambert_w = float(special.lambertw(-(tuned**2) / math.e, k=-1).real)
    return np.asarray((-lambert_w - 1) * listeners / np.array(planned))
