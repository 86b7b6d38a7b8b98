"""Solve a row of implicit ALS by its hyperparameters, which fit and fold-in share.

A row u (a listener, or by symmetry a track) solves, y being the factors of the N others on the
other side that somebody has heard, or who have heard something,

    (w Σ_i y_i y_iᵀ + Σ_i (c_ui - w) y_i y_iᵀ + λ_u I) x_u = Σ_i c_ui y_i

where the first sum is over all others, the other two over those heard:

- c_ui = w + alpha r_ui (Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback
  Datasets", ICDM 2008, equation 4, where the unobserved weight w is 1);
- λ_u = λ (n_u + w N)^nu with n_u others heard, which is λ for nu = 0 (Rendle, Krichene, Zhang and
  Koren, "Revisiting the Performance of iALS on Item Recommendation Benchmarks", RecSys 2022:
  frequency-scaled regularization).
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Self

import numpy as np
from annotated_types import Ge
from pydantic import Field
from pydantic.dataclasses import dataclass

from looplib.arrays import FloatArray
from looplib.config import Count, Positive

NonNegative = Annotated[float, Ge(0)]


@dataclass(frozen=True)
class AlsParams:
    """The hyperparameters of a fit, in the formulas above; each is an axis of the search space."""

    factors: Annotated[
        Count, Field(description="length of the vectors of listeners and tracks")
    ] = 64
    regularization: Annotated[
        NonNegative,
        Field(description="weight of the squared length of the vectors in the loss"),
    ] = 0.1
    alpha: Annotated[
        Positive, Field(description="confidence is unobserved_weight + alpha r")
    ] = 10.0
    cg_steps: Annotated[
        Count,
        Field(
            description="conjugate-gradient steps for each row and sweep; as many as factors "
            "solve it"
        ),
    ] = 3
    unobserved_weight: Annotated[
        Positive, Field(description="confidence of a pair without interaction")
    ] = 1.0
    nu: Annotated[
        NonNegative,
        Field(
            description="regularize a row with n of N by (n + unobserved_weight N) to this power"
        ),
    ] = 0.0

    @classmethod
    def read(cls, parameters: Mapping[str, Any]) -> Self:
        """Read the hyperparameters among the parameters of a published manifest.

        Raises:
            ValueError: One is missing or not allowed.
        """
        names = {field.name for field in fields(cls)}
        if missing := {"factors", "regularization", "alpha"} - parameters.keys():
            raise ValueError(f"no {', '.join(sorted(missing))}")
        return cls(**{name: parameters[name] for name in names & parameters.keys()})


def row_regularization(heard: FloatArray, others: int, params: AlsParams) -> FloatArray:
    """Return λ_u of rows by the number of others that each has heard, of so many others."""
    frequency = heard + params.unobserved_weight * others
    scaled: FloatArray = params.regularization * frequency**params.nu
    return scaled


def solve_row(
    gram: FloatArray,
    heard: FloatArray,
    times: FloatArray,
    others: int,
    params: AlsParams,
) -> FloatArray:
    """Solve the equation of one row exactly.

    Args:
        gram: Σ y yᵀ over all others, shape (factors, factors).
        heard: Factors of the others heard, shape (n, factors).
        times: r, shape (n,).
        others: N.
        params: The hyperparameters.

    Returns:
        The row's factors, shape (factors,).
    """
    confidence_added = params.alpha * times
    left = params.unobserved_weight * gram + (heard.T * confidence_added) @ heard
    (regularization,) = row_regularization(np.array([len(times)]), others, params)
    left += regularization * np.eye(len(left))
    right = heard.T @ (params.unobserved_weight + confidence_added)
    return np.linalg.solve(left, right).astype(np.float64)
