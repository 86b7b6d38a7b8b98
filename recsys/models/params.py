"""The hyperparameters of a fit, and its result."""

from dataclasses import dataclass
from typing import Literal

from looplib.arrays import Float32Array


@dataclass(frozen=True)
class AlsParams:
    """The hyperparameters of a fit; `recsys.models.normal_equations` has the formulas."""

    factors: int  # length of a factor vector
    regularization: float  # weight of the squared norms
    alpha: float  # confidence that a unit of listening time adds
    cg_steps: int = 3  # conjugate-gradient steps for each row and sweep; cholesky ignores it
    solver: Literal["cg", "cholesky"] = "cg"  # a few steps towards a row's solution, or all the way
    unobserved_weight: float = 1.0  # confidence of a pair without interaction
    nu: float = 0.0  # exponent of the frequency-scaled regularization; 0 regularizes every row alike
    spark: bool = False  # regularization times the row's number of interactions, as in Spark's ALS
    skip_weight: float = 0.0  # confidence that a skip adds to a listener's dislike of the track


@dataclass(eq=False)
class Fit:
    """The factors of a model."""

    sweeps: int  # done
    user_factors: Float32Array  # shape (listeners, factors)
    item_factors: Float32Array  # shape (tracks, factors)
