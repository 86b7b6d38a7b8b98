"""What logged shares say of the logits behind them."""

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from looplib.arrays import AnyIntArray, Float32Array

_LEAST_VARIANCE = 0.01


def logit_and_variance(time: Float32Array, resolution: float) -> tuple[Float32Array, Float32Array]:
    """The logit of shares logged in steps of `resolution`, and the variance that the rounding adds to it.

    A uniform error of one step has the variance step ** 2 / 12, and d logit / d share is 1 / (share (1 - share)).
    """
    inside = np.clip(time, resolution / 4, 1 - resolution / 4).astype(np.float32)
    variance = resolution**2 / 12 / (inside * (1 - inside)) ** 2
    return np.log(inside / (1 - inside)), variance.astype(np.float32)


def listener_scales(
    logit: Float32Array, who: AnyIntArray, listeners: int, prior: float
) -> tuple[Float32Array, Float32Array]:
    """Each listener's mean logit and the variance about it, where everybody's count as `prior` more responses."""
    count = np.bincount(who, minlength=listeners) + prior
    mean = ((np.bincount(who, logit, listeners) + prior * float(logit.mean())) / count).astype(np.float32)
    squared = (logit - mean[who]) ** 2
    usual = max(float(squared.mean()), _LEAST_VARIANCE)
    return mean, ((np.bincount(who, squared, listeners) + prior * usual) / count).astype(np.float32)


def average_information(
    features: Float32Array, column: AnyIntArray, weights: Float32Array, counts: Float32Array
) -> Float32Array:
    """The mean of w f f' over observations, each of the features of its column and counted as given, (k, k)."""
    of_column = np.bincount(column, weights, len(features))
    total = (features * of_column[:, None]).T @ features
    mean: Float32Array = (total / counts.sum(dtype=np.float64)).astype(np.float32)
    return mean


def find_fatigue(logit: Float32Array, time: Float32Array, earlier: npt.NDArray[np.int16]) -> float:
    """The factor g, 0..1, with which expit(logit) g ** earlier is closest to the times heard, by squared error.

    Args:
        logit: Of each track, were its artist new to the session.
        time: Share heard of it.
        earlier: Tracks of its artist before, at least 1.

    Returns:
        The factor; 1 if there is nothing to tell it from.
    """
    if not len(logit):
        return 1.0
    fresh = 1 / (1 + np.exp(-logit.astype(np.float64)))
    found = minimize_scalar(
        lambda factor: float(np.sum((fresh * factor**earlier - time) ** 2)), bounds=(0.0, 1.0), method="bounded"
    )
    return float(found.x)
