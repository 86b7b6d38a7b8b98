"""Compute working responses, dispersion and decays by the fractional likelihood of shares heard.

A share r, 0..1, has the mean m = expit(logit) and the variance

    V = dispersion m (1 - m) + ROUNDING,

whatever its distribution: only these two count (Papke and Wooldridge, "Econometric methods for
fractional response variables", 1996).
"""

import numpy as np

from looplib.arrays import AnyFloatArray, AnyIntArray, FloatArray

FIRST_DISPERSION = 0.3  # where nothing is known yet
ROUNDING = 0.01**2 / 12  # variance of an error that is uniform within a hundredth
_LEAST_DISPERSION = 1e-4
_FARTHEST_LOGIT = 8.0
# A slope counts as no less than this, or a tenth of it where shares have little noise: steps of a
# logit that is far off stay short.
_LEAST_SLOPE = 0.1


def mean_and_slope(logit: AnyFloatArray) -> tuple[AnyFloatArray, AnyFloatArray]:
    """Return the mean share of each logit, and its slope."""
    near = np.clip(logit, -_FARTHEST_LOGIT, _FARTHEST_LOGIT)
    mean: AnyFloatArray = 1 / (1 + np.exp(-near))
    return mean, mean * (1 - mean)


def working_responses(
    logit: AnyFloatArray, time: AnyFloatArray, dispersion: float
) -> tuple[AnyFloatArray, AnyFloatArray]:
    """Return how far each logit is off by its response, and the weight of the response.

    A regression of logit + off moves towards the maximum of the likelihood (McCullagh and Nelder,
    "Generalized Linear Models", 2.5), with damped steps.
    """
    mean, slope = mean_and_slope(logit)
    share = min(1.0, 10 * dispersion)
    least = np.float32(_LEAST_SLOPE * share)
    damped = np.maximum(slope, least)
    variance = np.float32(dispersion) * slope + np.float32(ROUNDING)
    return (time - mean) / damped, slope * damped / variance


def measure_dispersion(
    logit: AnyFloatArray, time: AnyFloatArray, uncertainty: AnyFloatArray
) -> float:
    """Measure the dispersion by held-out responses.

    Squared errors that come from the `uncertainty` of the logits, their variance, do not count.
    """
    mean, slope = mean_and_slope(logit)
    squares = (time - mean) ** 2
    excess = np.sum(squares - ROUNDING - slope**2 * uncertainty)
    found = (FIRST_DISPERSION + float(excess)) / (1 + float(slope.sum()))
    return max(_LEAST_DISPERSION, found)


def find_decays(
    mean: AnyFloatArray, time: AnyFloatArray, counts: AnyIntArray
) -> FloatArray:
    """Find the factors g, 0..1, with which the mean shares c m g1 ** n1 g2 ** n2 are likeliest.

    The level c corrects means that are all too high or too low. The likelihood is Poisson's, so
    only totals matter; its maximum is found by Newton's method, drawn to g = 1 as by one response.

    Args:
        mean: m of each response.
        time: Share heard.
        counts: How often each is tired, in each way, shape (responses, ways).

    Returns:
        The factors, shape (ways,).
    """
    design = np.column_stack([np.ones(len(mean)), counts])
    logs = np.zeros(design.shape[1])
    for _ in range(20):
        predicted = mean * np.exp(design @ logs)
        information = (design.T * predicted) @ design + np.eye(len(logs))
        gradient = design.T @ (time - predicted) - logs
        logs += np.linalg.solve(information, gradient)
        logs[1:] = np.clip(logs[1:], np.log(0.01), 0)
    factors: FloatArray = np.exp(logs[1:])
    return factors
