"""The hyperparameters of a fit, and its result."""

from dataclasses import dataclass
from typing import Literal

from looplib.arrays import Float32Array


@dataclass(frozen=True)
class AlsParams:
    """The hyperparameters of a fit; `recsys.models.normal_equations` has the formulas.

    Attributes:
        factors: Length of a factor vector.
        regularization: Weight of the squared norms.
        alpha: Confidence that a unit of listening time adds.
        cg_steps: Conjugate-gradient steps for each row and sweep; `cholesky` ignores it.
        solver: "cg" goes a few steps towards a row's solution, "cholesky" all the way.
        unobserved_weight: Confidence of a pair without interaction.
        nu: Exponent of the frequency-scaled regularization; 0 regularizes every row alike.
        spark: Regularization times the row's number of interactions, as in Spark's ALS.
        skip_weight: Confidence that a skip adds to a listener's dislike of the track; 0 ignores skips.
    """

    factors: int
    regularization: float
    alpha: float
    cg_steps: int = 3
    solver: Literal["cg", "cholesky"] = "cg"
    unobserved_weight: float = 1.0
    nu: float = 0.0
    spark: bool = False
    skip_weight: float = 0.0


@dataclass(eq=False)
class Fit:
    """The factors of a model.

    Attributes:
        sweeps: Sweeps done.
        user_factors: Shape (listeners, factors).
        item_factors: Shape (tracks, factors).
    """

    sweeps: int
    user_factors: Float32Array
    item_factors: Float32Array
