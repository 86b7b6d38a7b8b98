"""The fractional likelihood of a share heard, whose mean is expit(logit): working responses, dispersion and fatigue.

A share r, 0..1, has the mean m = expit(logit) and the variance

    V = dispersion m (1 - m) + step ** 2 / 12,

whatever its distribution: only these two count (Papke and Wooldridge, "Econometric methods for
fractional response variables", 1996). Shares are logged in steps, and a uniform error of one step
has the variance step ** 2 / 12.
"""

import numpy as np

from looplib.arrays import AnyFloatArray, AnyIntArray, FloatArray

FIRST_DISPERSION = 0.3  # where nothing is known yet
_LEAST_DISPERSION = 1e-4
_FARTHEST_LOGIT = 8.0
# A slope counts as no less than this, or a tenth of it where shares have little noise: steps of a
# logit that is far off stay short.
_LEAST_SLOPE = 0.1


def mean_and_slope(
    logit: AnyFloatArray, rest: AnyFloatArray | float = 1.0
) -> tuple[AnyFloatArray, AnyFloatArray]:
    """Return the mean share of each logit, rest * expit(logit), and its slope."""
    fresh: AnyFloatArray = 1 / (
        1 + np.exp(-np.clip(logit, -_FARTHEST_LOGIT, _FARTHEST_LOGIT))
    )
    return rest * fresh, rest * (fresh * (1 - fresh))


def working_responses(
    logit: AnyFloatArray,
    time: AnyFloatArray,
    dispersion: float,
    step: float,
    rest: AnyFloatArray | float = 1.0,
) -> tuple[AnyFloatArray, AnyFloatArray]:
    """Return how far each logit is off by its response, and the weight of that; the mean is rest * expit(logit).

    A regression of logit + off moves towards the maximum of the likelihood (McCullagh and Nelder,
    "Generalized Linear Models", 2.5), with damped steps.
    """
    mean, slope = mean_and_slope(logit, rest)
    damped = np.maximum(
        slope, rest * np.float32(_LEAST_SLOPE * min(1.0, 10 * dispersion))
    )
    weights = (
        slope
        * damped
        / (np.float32(dispersion) * mean * (1 - mean) + np.float32(step**2 / 12))
    )
    return (time - mean) / damped, weights


def measure_dispersion(
    logit: AnyFloatArray,
    time: AnyFloatArray,
    uncertainty: AnyFloatArray,
    step: float,
    rest: AnyFloatArray | float = 1.0,
) -> float:
    """Measure the dispersion by held-out responses, less what comes from the `uncertainty` (variance) of logits."""
    mean, slope = mean_and_slope(logit, rest)
    excess = float(np.sum((time - mean) ** 2 - step**2 / 12 - slope**2 * uncertainty))
    return max(
        _LEAST_DISPERSION,
        (FIRST_DISPERSION + excess) / (1 + float((mean * (1 - mean)).sum())),
    )


def calibrate(logit: AnyFloatArray, time: AnyFloatArray) -> FloatArray:
    """Find a and b of the mean expit(a + b logit) by Newton's method, drawn to 0 and 1 as by one response each."""
    design = np.stack([np.ones(len(logit)), logit], axis=1)
    found = none = np.array([0.0, 1.0])
    for _ in range(8):
        mean, slope = mean_and_slope(design @ found)
        found = found + np.linalg.solve(
            (design.T * slope) @ design + np.eye(2),
            design.T @ (time - mean) + none - found,
        )
    return found


def find_decay(
    mean: AnyFloatArray, time: AnyFloatArray, count: AnyIntArray, *, has_level: bool
) -> tuple[float, float]:
    """Find the factor g, 0..1, with which shares of the mean m g ** count are likeliest, by Newton's method.

    The likelihood is Poisson's, to which only the totals at each count matter, so that means which
    are too flat or too steep do no harm. Without responses g is 1.

    Args:
        mean: m of each response.
        time: Share heard.
        count: How often each is tired.
        has_level: Whether the means may all be wrong by one more factor.

    Returns:
        The factor, and by how much the deviance is less than with the factor 1.
    """
    totals, expected = np.bincount(count, time, 1), np.bincount(count, mean, 1)
    counts = np.arange(len(totals))
    level = totals.sum() / max(expected.sum(), _LEAST_DISPERSION) if has_level else 1.0
    flat = predicted = level * expected
    log_factor = 0.0
    for _ in range(20):
        information = np.sum(counts**2 * predicted)
        if has_level:
            information -= np.sum(counts * predicted) ** 2 / max(
                predicted.sum(), _LEAST_DISPERSION
            )
        move = np.sum(counts * (totals - predicted)) / max(
            information, _LEAST_DISPERSION
        )
        log_factor = float(np.clip(log_factor + move, np.log(0.01), 0.0))
        predicted = expected * np.exp(log_factor * counts)
        predicted *= (
            totals.sum() / max(predicted.sum(), _LEAST_DISPERSION) if has_level else 1.0
        )
    gain = 2 * np.sum(
        totals * np.log(np.maximum(predicted, 1e-300) / np.maximum(flat, 1e-300))
        - predicted
        + flat
    )
    return float(np.exp(log_factor)), float(gain)
