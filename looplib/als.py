"""Solve a row of implicit ALS by its hyperparameters, which fit and fold-in share.

A row u (a listener, or by symmetry a track) solves, y being the factors of the N tracks
that any listener has heard, or of the N listeners who have heard any track,

    (w Σ_i y_i y_iᵀ + Σ_i (c_ui - w) y_i y_iᵀ + λ_u I) x_u = Σ_i c_ui y_i

where the first sum is over tracks not heard, the other two over tracks heard:

- c_ui = w + alpha r_ui (Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback
  Datasets", ICDM 2008, equation 4, where the unobserved weight w is 1);
- λ_u = λ (n_u + w N)^nu with n_u others heard, which is λ for nu = 0 (Rendle, Krichene, Zhang and
  Koren, "Revisiting the Performance of iALS on Item Recommendation Benchmarks", RecSys 2022:
  frequency-scaled regularization).
"""

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from pydantic import NonNegativeFloat

from looplib.arrays import AnyFloatArray, FloatArray
from looplib.config import Config, Count, Positive

# The value r of an interaction from the sum of its listening time or weights, by `feedback.scale`.
SCALES: Mapping[str, Callable[[AnyFloatArray], AnyFloatArray]] = {
    "linear": np.positive,
    "log": np.log1p,
    "binary": np.sign,
}


class AlsConfig(Config):
    """The hyperparameters of ALS, in the formulas above.

    >>> AlsConfig(factors=128, alpha=1).regularization
    0.1
    """

    factors: Count = 64
    """length of the vectors of listeners and tracks"""
    regularization: NonNegativeFloat = 0.1
    """weight of the squared length of the vectors in the loss"""
    alpha: Positive = 10.0
    """confidence is unobserved_weight + alpha r"""
    unobserved_weight: Positive = 1.0
    """confidence of a pair without interaction"""
    nu: NonNegativeFloat = 0.0
    """regularize a row with n of N by (n + unobserved_weight N) to this power"""

    @classmethod
    def read(cls, parameters: Mapping[str, Any]) -> Self:
        """Read the hyperparameters among the parameters of a published manifest.

        Raises:
            ValueError: One is missing or not allowed.
        """
        if missing := {"factors", "regularization", "alpha"} - parameters.keys():
            raise ValueError(f"no {', '.join(sorted(missing))}")
        names = cls.model_fields.keys() & parameters.keys()
        return cls(**{name: parameters[name] for name in names})


def row_regularization(heard: FloatArray, count: int, config: AlsConfig) -> FloatArray:
    """Compute λ_u of rows.

    >>> row_regularization(np.array([1.0, 3.0]), 8, AlsConfig(nu=1))
    array([0.9, 1.1])

    Args:
        heard: n_u, how many of the others each row has heard, shape (rows,).
        count: N, how many others there are.
        config: The hyperparameters.

    Returns:
        λ_u, shape (rows,).
    """
    frequency = heard + config.unobserved_weight * count
    scaled: FloatArray = config.regularization * frequency**config.nu
    return scaled


def solve_row(
    gram: FloatArray,
    heard: FloatArray,
    times: FloatArray,
    count: int,
    config: AlsConfig,
) -> FloatArray:
    """Solve the equation of a row exactly.

    >>> items = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> solve_row(items.T @ items, items[:1], np.array([2.0]), 3, AlsConfig()).round(2)
    array([ 0.97, -0.46])

    Args:
        gram: Σ y yᵀ over all others, shape (factors, factors).
        heard: Factors of the others heard, shape (n, factors).
        times: r, shape (n,).
        count: N, how many others there are.
        config: The hyperparameters.

    Returns:
        The row's factors, shape (factors,).
    """
    confidence_added = config.alpha * times
    left = config.unobserved_weight * gram + (heard.T * confidence_added) @ heard
    (regularization,) = row_regularization(np.array([len(times)]), count, config)
    left += regularization * np.eye(len(left))
    right = heard.T @ (config.unobserved_weight + confidence_added)
    return np.linalg.solve(left, right).astype(np.float64)
