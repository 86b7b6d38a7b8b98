"""Group-sequential inference: interim analyses up to a fixed horizon share one error rate.

Lan & DeMets, Discrete Sequential Boundaries for Clinical Trials, Biometrika 70(3), 1983, with a
spending function of O'Brien and Fleming's shape: early analyses spend almost none of the error
rate, and the last analysis costs little more than a single test. At the share t of the horizon a
two-sided test at level alpha may have spent 4 (1 - Phi(z / sqrt(t))), where z is the normal
quantile of 1 - alpha / 4. The bounds follow one after the other by numerical integration: Jennison
& Turnbull, Group Sequential Methods, 2000, chapter 19.
"""

import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special
from scipy.interpolate import PchipInterpolator

from looplib.arrays import FloatArray

# An analysis that may spend less than the first has this bound in standard errors.
_LEAST_SPENT = 1e-14
_FARTHEST = 8.0
# levels between which p-values are interpolated; one below the least is given as that
_LEVELS = np.concatenate([np.geomspace(1e-6, 0.1, 21), np.linspace(0.14, 1 - 1e-9, 11)])


@lru_cache(maxsize=4096)
def bounds(analyses: int, level: float) -> tuple[float, ...]:
    """Compute the two-sided bound of each interim analysis, in standard errors.

    An effect is significant at an analysis if it reaches the bound.

    >>> [round(bound, 2) for bound in bounds(3, 0.05)]
    [3.71, 2.51, 1.99]

    Args:
        analyses: Number of analyses at equal distances; the last is at the horizon.
        level: Probability that any analysis reaches its bound without an effect.

    Returns:
        One bound for each analysis.
    """
    shares = np.arange(1, analyses + 1) / analyses
    step = 1 / math.sqrt(analyses)
    quantile = -special.ndtri(level / 4)
    spent = 4 * special.ndtr(-quantile / np.sqrt(shares))
    reached: list[float] = []
    nodes = np.zeros(1)
    density = np.ones(1)
    for share, due in zip(shares.tolist(), np.diff(spent, prepend=0.0), strict=True):
        end = _FARTHEST * math.sqrt(share)
        if due > _LEAST_SPENT:
            end = _solve(nodes, density, step, due, end)
        reached.append(end / math.sqrt(share))
        # the density of the sum where no bound was reached, times the weights of the integral
        positions, weights = _nodes(32 * math.ceil(1 + end / step / 6))
        inside = end * positions
        steps = (inside[:, np.newaxis] - nodes) / step
        density = np.exp(-(steps**2) / 2) @ density * weights * end
        density /= step * math.sqrt(2 * math.pi)
        nodes = inside
    return tuple(reached)


@lru_cache(maxsize=64)
def _nodes(count: int) -> tuple[FloatArray, FloatArray]:
    """Compute the nodes and weights of Gauss-Legendre quadrature on [-1, 1]."""
    return np.polynomial.legendre.leggauss(count)


def bound(progress: float, analyses: int, level: float) -> float:
    """Compute the bound that an effect must reach now, in standard errors.

    >>> round(bound(0.7, 3, 0.05), 2)
    2.51

    Args:
        progress: Share of the horizon that is reached. The bound of the last analysis that was due
            applies; before the first analysis nothing is significant.
        analyses: Number of analyses up to the horizon.
        level: Probability that any analysis reaches its bound without an effect.
    """
    due = _due(progress, analyses)
    return bounds(analyses, level)[due - 1] if due else math.inf


def _due(progress: float, analyses: int) -> int:
    """Return the number of the last analysis that was due; 0 before the first."""
    return min(analyses, math.floor(progress * analyses + 1e-9))


def _solve(
    nodes: FloatArray,
    density: FloatArray,
    step: float,
    due: float,
    farthest: float,
) -> float:
    """Solve for the bound that is reached for the first time with the probability `due`."""

    def excess(end: float) -> float:
        return float(2 * (special.ndtr((nodes - end) / step) @ density) - due)

    if excess(farthest) >= 0:
        return farthest
    return float(optimize.brentq(excess, 0.0, farthest, xtol=1e-12))


def p_value_at(errors: float, progress: float, analyses: int) -> float:
    """Compute the p-value of an effect that is valid at every interim analysis.

    The p-value is the level at which the effect just reaches its bound.

    >>> round(p_value_at(2.51, 0.7, 3), 2)
    0.05

    Args:
        errors: The effect in standard errors.
        progress: Share of the horizon that is reached.
        analyses: Number of analyses up to the horizon.
    """
    due = _due(progress, analyses)
    if not due:
        return 1.0
    log_levels = _log_levels(analyses, due)
    log_level = log_levels(min(errors**2, log_levels.x[-1]))
    return min(1.0, math.exp(float(log_level)))


@lru_cache(maxsize=256)
def _log_levels(analyses: int, due: int) -> PchipInterpolator:
    """Interpolate the log of the level over the squared bound, which is nearly linear."""
    squares = [bounds(analyses, level)[due - 1] ** 2 for level in _LEVELS]
    order = np.unique(squares, return_index=True)[1]
    return PchipInterpolator(np.array(squares)[order], np.log(_LEVELS)[order])
