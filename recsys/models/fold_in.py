"""Solve the factors of one listener from a history, with the factors of the tracks as they are."""

import numpy as np

from looplib.arrays import AnyIntArray, Float32Array, FloatArray
from recsys.models.normal_equations import AlsParams


def fold_in(item_factors: Float32Array, tracks: AnyIntArray, times: FloatArray, params: AlsParams) -> FloatArray:
    """Solve the normal equations of one listener exactly (`recsys.models.normal_equations` has the formula).

    Args:
        item_factors: Shape (all tracks, factors).
        tracks: Positions of the tracks that were heard, shape (n,).
        times: Listening time of each, or another weight; shape (n,), positive.
        params: The hyperparameters of the fit.

    Returns:
        The factors, float64, shape (factors,).
    """
    weight = params.unobserved_weight
    heard = item_factors[tracks].astype(np.float64)
    gram = weight * (item_factors.T @ item_factors).astype(np.float64)
    scale = float(len(tracks)) if params.spark else (len(tracks) + weight * len(item_factors)) ** params.nu
    left = gram + heard.T @ (params.alpha * times[:, None] * heard)
    left += params.regularization * scale * np.eye(item_factors.shape[1])
    return np.linalg.solve(left, heard.T @ (weight + params.alpha * times)).astype(np.float64)
