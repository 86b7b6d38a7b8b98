"""Group-sequential inference: looks on the way to a declared horizon share one error rate.

Lan & DeMets, Discrete Sequential Boundaries for Clinical Trials, Biometrika 70(3), 1983, with the
spending function of O'Brien and Fleming's shape: next to nothing is spent on early looks, and the
last costs little more than a test with a single look. Up to the share t of the horizon a two-sided
test at level alpha may have erred with the probability 4 (1 - Phi(z / sqrt(t))), where z is the
normal quantile of 1 - alpha / 4. The bounds follow look by look by numerical integration:
Jennison & Turnbull, Group Sequential Methods, 2000, chapter 19.
"""

import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special

from analysis.statistics.effects import CONFIDENCE, Effect
from analysis.statistics.sequential import widened
from looplib.arrays import FloatArray

# A look that may spend less than the first has this bound in standard errors.
_LEAST_SPENT, _FARTHEST = 1e-14, 8.0
_LEAST_LEVEL = 1e-8  # a p-value below is given as this


def looks_so_far(progress: float, looks: int) -> tuple[float, ...]:
    """Return the shares of the horizon at which was looked, of so many at equal distances.

    The last is the progress itself, which stands for the look that was due last; none before the
    first is due.
    """
    due = min(looks, math.floor(progress * looks + 1e-9))
    earlier = [number / looks for number in range(1, due)]
    return (*earlier, min(progress, 1.0)) if due else ()


@lru_cache(maxsize=4096)
def bounds(shares: tuple[float, ...], level: float) -> tuple[float, ...]:
    """Return the standard errors that an effect must reach at each look, two-sided.

    Args:
        shares: Of the horizon at each look, ascending, above 0 and at most 1.
        level: Chance that any look reaches its bound without an effect, at the horizon.
    """
    quantile = -special.ndtri(level / 4)
    spent = 4 * special.ndtr(-quantile / np.sqrt(shares))
    found: list[float] = []
    before, nodes, density = 0.0, np.zeros(1), np.ones(1)
    for share, due in zip(shares, np.diff(spent, prepend=0.0).tolist(), strict=True):
        step = math.sqrt(share - before)
        end = _FARTHEST * math.sqrt(share)
        if due > _LEAST_SPENT:
            end = _solve(nodes, density, step, due, end)
        found.append(end / math.sqrt(share))
        # the density of the sum where no bound was reached, times the weights of the integral
        positions, weights = _nodes(32 * math.ceil(1 + end / step / 6))
        inside = end * positions
        steps = (inside[:, np.newaxis] - nodes) / step
        density = np.exp(-(steps**2) / 2) @ density * weights * end
        density /= step * math.sqrt(2 * math.pi)
        before, nodes = share, inside
    return tuple(found)


@lru_cache(maxsize=64)
def _nodes(count: int) -> tuple[FloatArray, FloatArray]:
    """Return the nodes and weights of an integral from -1 to 1 (Gauss and Legendre)."""
    return np.polynomial.legendre.leggauss(count)


def bound(shares: tuple[float, ...], level: float) -> float:
    """Return the standard errors that an effect must reach at the last of the looks."""
    return bounds(shares, level)[-1] if shares else math.inf


def _solve(
    nodes: FloatArray, density: FloatArray, step: float, due: float, farthest: float
) -> float:
    """Return the bound of the sum that is first reached at a look with the probability due."""

    def excess(end: float) -> float:
        return float(2 * (special.ndtr((nodes - end) / step) @ density) - due)

    if excess(farthest) >= 0:
        return farthest
    return float(optimize.brentq(excess, 0.0, farthest, xtol=1e-12))


def p_value_at(errors: float, shares: tuple[float, ...]) -> float:
    """Return the p-value of an effect of so many standard errors at the last look.

    It is the level at which the bound is just reached, and may be looked at at every look.
    """
    if math.isnan(errors):
        return math.nan

    def excess(log_level: float) -> float:
        # of squares, which are nearly linear in the logarithm
        return bound(shares, math.exp(log_level)) ** 2 - errors**2

    least, most = math.log(_LEAST_LEVEL), -1e-9
    if excess(least) <= 0:
        return _LEAST_LEVEL
    if excess(most) >= 0:
        return 1.0
    return math.exp(optimize.brentq(excess, least, most, xtol=1e-9))


def at_look(
    effect: Effect, shares: tuple[float, ...], confidence: float = CONFIDENCE
) -> Effect:
    """Return an effect with the interval and the p-value of a look on the way to a horizon.

    Args:
        effect: Of the listeners so far, with intervals for one look.
        shares: Of the horizon at the looks so far, the present one last.
        confidence: Chance that the intervals of all looks contain the true effect.
    """
    if not effect.standard_error > 0:
        return effect
    level = 1 - confidence
    factor = bound(shares, level) / -float(special.ndtri(level / 2))
    errors = -float(special.ndtri(effect.p_value / 2))
    return widened(effect, factor, p_value_at(errors, shares))
