"""The hyperparameters of a fit, and what a fit is to those who use it."""

from dataclasses import dataclass
from typing import Literal, Protocol

from looplib.arrays import Float32Array


@dataclass(frozen=True)
class AlsParams:
    """The hyperparameters of a fit; `recsys.models.normal_equations` has the formulas.

    Attributes:
        factors: Length of a factor vector.
        regularization: Weight of the squared norms.
        alpha: Confidence that a unit of listening time adds.
        cg_steps: Conjugate-gradient steps for each row and sweep; of no meaning to `cholesky`.
        solver: "cg" goes a few steps towards a row's solution, "cholesky" all the way.
        unobserved_weight: Confidence of a pair without interaction.
        nu: Exponent of the frequency-scaled regularization; 0 regularizes every row alike.
        spark: Regularization times the row's number of interactions, as in Spark's ALS.
        skip_weight: Confidence that a skip adds to its track's being disliked; 0 makes nothing of skips.
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


class Fit(Protocol):
    """What came of a fit, however it was fitted."""

    @property
    def sweeps(self) -> int:
        """Sweeps done."""

    @property
    def user_factors(self) -> Float32Array:
        """Shape (listeners, factors)."""

    @property
    def item_factors(self) -> Float32Array:
        """Shape (tracks, factors)."""
