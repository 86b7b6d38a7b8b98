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
from scipy.interpolate import PchipInterpolator

from looplib.arrays import FloatArray

# A look that may spend less than the first has this bound in standard errors.
_LEAST_SPENT = 1e-14
_FARTHEST = 8.0
# levels between which p-values are interpolated; one below the least is given as that
_LEVELS = np.concatenate([np.geomspace(1e-6, 0.1, 21), np.linspace(0.14, 1 - 1e-9, 11)])


@lru_cache(maxsize=4096)
def bounds(looks: int, level: float) -> tuple[float, ...]:
    """Return the standard errors that an effect must reach at each look, two-sided.

    Args:
        looks: How many there are, at equal distances; the last is at the horizon.
        level: Chance that any look reaches its bound without an effect, at the horizon.
    """
    shares = np.arange(1, looks + 1) / looks
    step = 1 / math.sqrt(looks)
    quantile = -special.ndtri(level / 4)
    spent = 4 * special.ndtr(-quantile / np.sqrt(shares))
    found: list[float] = []
    nodes = np.zeros(1)
    density = np.ones(1)
    for share, due in zip(shares.tolist(), np.diff(spent, prepend=0.0), strict=True):
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
        nodes = inside
    return tuple(found)


@lru_cache(maxsize=64)
def _nodes(count: int) -> tuple[FloatArray, FloatArray]:
    """Return the nodes and weights of an integral from -1 to 1 (Gauss and Legendre)."""
    return np.polynomial.legendre.leggauss(count)


def bound(progress: float, looks: int, level: float) -> float:
    """Return the standard errors that an effect must reach.

    Args:
        progress: The share of the horizon that is reached. It counts as the look that was due last;
            nothing is concluded before the first.
        looks: As of `bounds`.
        level: As of `bounds`.
    """
    due = _due(progress, looks)
    return bounds(looks, level)[due - 1] if due else math.inf


def _due(progress: float, looks: int) -> int:
    """Return the number of the look that was due last; 0 before the first."""
    return min(looks, math.floor(progress * looks + 1e-9))


def _solve(
    nodes: FloatArray,
    density: FloatArray,
    step: float,
    due: float,
    farthest: float,
) -> float:
    """Return the bound of the sum that is first reached at a look with the probability due."""

    def excess(end: float) -> float:
        return float(2 * (special.ndtr((nodes - end) / step) @ density) - due)

    if excess(farthest) >= 0:
        return farthest
    return float(optimize.brentq(excess, 0.0, farthest, xtol=1e-12))


def p_value_at(errors: float, progress: float, looks: int) -> float:
    """Return the p-value of an effect of so many standard errors, valid at every look.

    It is the level at which the bound is just reached.
    """
    due = _due(progress, looks)
    if not due:
        return 1.0
    log_levels = _log_levels(looks, due)
    log_level = log_levels(min(errors**2, log_levels.x[-1]))
    return min(1.0, math.exp(float(log_level)))


@lru_cache(maxsize=256)
def _log_levels(looks: int, due: int) -> PchipInterpolator:
    """Return the logarithm of the level by its squared bound, which is nearly a line."""
    squares = [bounds(looks, level)[due - 1] ** 2 for level in _LEVELS]
    order = np.unique(squares, return_index=True)[1]
    return PchipInterpolator(np.array(squares)[order], np.log(_LEVELS)[order])
