"""Implicit ALS, fitted sweep by sweep with the `implicit` library.

Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008: the confidence of an
interaction r is 1 + alpha r, that of every other pair is 1. `implicit` takes the confidence itself as the matrix's
value, so its own alpha stays 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from implicit.cpu.als import AlternatingLeastSquares
from implicit.recommender_base import ModelFitError
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from recsys.errors import TrialError

Factors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AlsParams:
    """The hyperparameters of a fit.

    Attributes:
        factors: Length of a factor vector.
        regularization: Weight of the squared norms.
        alpha: Confidence that a unit of listening time adds.
        cg_steps: Conjugate-gradient steps for each row and sweep.
    """

    factors: int
    regularization: float
    alpha: float
    cg_steps: int = 3


class Als:
    """A fit that can be continued: `sweep(5)` twice equals `sweep(10)` to the bit.

    Attributes:
        sweeps: Sweeps done so far.
    """

    def __init__(self, interactions: csr_matrix, params: AlsParams, seed: int, threads: int) -> None:
        """Prepares a fit.

        Args:
            interactions: Non-negative listening times, float32, shape (listeners, tracks); left as it is.
            params: Hyperparameters.
            seed: Decides the first factors.
            threads: Threads of the solver.
        """
        self.sweeps = 0
        with np.errstate(over="ignore"):
            confidence = 1 + np.float32(params.alpha) * interactions.data
        # The structure is shared with the caller's matrix, which may be mapped from disk.
        self._confidence = csr_matrix(
            (confidence, interactions.indices, interactions.indptr), shape=interactions.shape, copy=False
        )
        with threadpool_limits(1, user_api="blas"):
            self._model = AlternatingLeastSquares(
                factors=params.factors,
                regularization=params.regularization,
                alpha=1.0,
                num_threads=threads,
                random_state=seed,
            )
        self._model.cg_steps = params.cg_steps

    def sweep(self, count: int) -> None:
        """Solves both sides `count` times more.

        Raises:
            TrialError: A factor is not finite.
        """
        self._model.iterations = count
        # The solver has threads of its own; BLAS threads beside them cost more than they bring.
        with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
            try:
                self._model.fit(self._confidence, show_progress=False)
            except ModelFitError:
                raise TrialError(f"the factors are not finite after sweep {self.sweeps + count}") from None
        self.sweeps += count
        if not (np.isfinite(self.user_factors).all() and np.isfinite(self.item_factors).all()):
            raise TrialError(f"the factors are not finite after sweep {self.sweeps}")

    def restore(self, user_factors: Factors, item_factors: Factors, sweeps: int) -> None:
        """Takes up a fit where another left off: what follows is the same to the bit.

        Args:
            user_factors: Shape (listeners, factors), float32.
            item_factors: Shape (tracks, factors), float32.
            sweeps: Sweeps that led to these factors.
        """
        self._model.user_factors = user_factors
        self._model.item_factors = item_factors
        self.sweeps = sweeps

    @property
    def user_factors(self) -> Factors:
        """Shape (listeners, factors)."""
        return self._model.user_factors  # type: ignore[no-any-return]  # implicit has no types

    @property
    def item_factors(self) -> Factors:
        """Shape (tracks, factors)."""
        return self._model.item_factors  # type: ignore[no-any-return]  # implicit has no types
