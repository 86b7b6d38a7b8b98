"""The fractional likelihood of a share heard, whose mean is expit(logit): working responses, dispersion and fatigue.

A share r, 0..1, has the mean m = expit(logit) and the variance

    V = dispersion m (1 - m) + step ** 2 / 12,

whatever its distribution: only these two count (Papke and Wooldridge, "Econometric methods for fractional response
variables", 1996). Shares are logged in steps, and a uniform error of one step has the variance step ** 2 / 12.
"""

import numpy as np

from looplib.arrays import AnyFloatArray, AnyIntArray, FloatArray

FIRST_DISPERSION = 0.3  # where nothing is known yet
_LEAST_DISPERSION = 1e-4
_FARTHEST_LOGIT = 8.0
# A slope counts as no less than this, or a tenth of it where shares have little noise: steps of a logit that is far off
# stay short.
_LEAST_SLOPE = 0.1


def mean_and_slope(logit: AnyFloatArray) -> tuple[AnyFloatArray, AnyFloatArray]:
    """Return the mean share m of each logit, and its slope m (1 - m)."""
    mean: AnyFloatArray = 1 / (1 + np.exp(-np.clip(logit, -_FARTHEST_LOGIT, _FARTHEST_LOGIT)))
    return mean, mean * (1 - mean)


def working_responses(
    logit: AnyFloatArray, time: AnyFloatArray, dispersion: float, step: float
) -> tuple[AnyFloatArray, AnyFloatArray]:
    """Return how far each logit is off by its response, and the weight of that.

    A regression of logit + off moves towards the maximum of the likelihood (McCullagh and Nelder, "Generalized Linear
    Models", 2.5), with damped steps.
    """
    mean, slope = mean_and_slope(logit)
    damped = np.maximum(slope, np.float32(_LEAST_SLOPE * min(1.0, 10 * dispersion)))
    weights = slope * damped / (np.float32(dispersion) * slope + np.float32(step**2 / 12))
    return (time - mean) / damped, weights


def measure_dispersion(logit: AnyFloatArray, time: AnyFloatArray, uncertainty: AnyFloatArray, step: float) -> float:
    """Measure the dispersion by held-out responses, less what comes from the `uncertainty` (variance) of logits."""
    mean, slope = mean_and_slope(logit)
    excess = float(np.sum((time - mean) ** 2 - step**2 / 12 - slope**2 * uncertainty))
    return max(_LEAST_DISPERSION, (FIRST_DISPERSION + excess) / (1 + float(slope.sum())))


def calibrate(logit: AnyFloatArray, time: AnyFloatArray) -> FloatArray:
    """Find a and b of the mean expit(a + b logit) by Newton's method, drawn to 0 and 1 as by one response each."""
    design = np.stack([np.ones(len(logit)), logit], axis=1)
    found = none = np.array([0.0, 1.0])
    for _ in range(8):
        mean, slope = mean_and_slope(design @ found)
        found = found + np.linalg.solve(
            (design.T * slope) @ design + np.eye(2), design.T @ (time - mean) + none - found
        )
    return found


def find_fatigue(mean: AnyFloatArray, time: AnyFloatArray, earlier: AnyIntArray) -> float:
    """Find the factor g, 0..1, with which shares of the mean m g ** earlier are likeliest, by Fisher's scoring.

    The mean m is that of an artist new to the session, with `earlier` tracks, at least 1. Without responses g is 1.
    """
    factor = 1.0
    for _ in range(20):
        tired = mean * factor**earlier
        slope = earlier * tired / factor
        variance = tired * (1 - tired) + _LEAST_DISPERSION
        move = np.sum(slope * (time - tired) / variance) / max(np.sum(slope**2 / variance), _LEAST_DISPERSION)
        factor = float(np.clip(factor + move, 0.01, 1.0))
    return factor
