"""Implicit ALS, fitted sweep by sweep with the solvers of the `implicit` library."""

from functools import cached_property

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from looplib.arrays import Float32Array
from recsys.errors import TrialError
from recsys.models.normal_equations import Equations, make_equations
from recsys.models.params import AlsParams

__all__ = ["Als", "AlsParams", "check_finite", "first_factors"]


class Als:
    """A fit that can be continued: `sweep(5)` twice equals `sweep(10)` to the bit.

    Attributes:
        sweeps: Sweeps done so far.
        user_factors: Shape (listeners, factors).
        item_factors: Shape (tracks, factors).
    """

    def __init__(
        self, interactions: csr_matrix, params: AlsParams, seed: int, threads: int, skips: csr_matrix | None = None
    ) -> None:
        """Prepares a fit.

        Args:
            interactions: Non-negative listening times, float32, shape (listeners, tracks); left as it is.
            params: Hyperparameters.
            seed: Decides the first factors.
            threads: Threads of the solver.
            skips: How often a listener skipped a track, likewise; None if that is not known.
        """
        self.sweeps = 0
        self._interactions = interactions
        self._skips = skips if params.skip_weight else None
        self._params = params
        self._threads = threads
        self.user_factors, self.item_factors = first_factors(interactions.shape, params.factors, seed)

    def sweep(self, count: int) -> None:
        """Solves both sides `count` times more.

        Raises:
            TrialError: A factor is not finite, or a row has no solution.
        """
        # The solver has threads of its own; BLAS threads beside them cost more than they bring.
        with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
            listeners, tracks = self._equations
            for _ in range(count):
                listeners.solve(self.user_factors, self.item_factors, self._params, self._threads)
                tracks.solve(self.item_factors, self.user_factors, self._params, self._threads)
                self.sweeps += 1
        check_finite(self.user_factors, self.item_factors, self.sweeps)

    @cached_property
    def _equations(self) -> tuple[Equations, Equations]:
        """Of the listeners and of the tracks; a fit that is only scored has no need of them."""
        skips = self._skips
        by_track = None if skips is None else csr_matrix(skips.T)
        return (
            make_equations(self._interactions, skips, self._params),
            make_equations(csr_matrix(self._interactions.T), by_track, self._params),
        )

    def restore(self, user_factors: Float32Array, item_factors: Float32Array, sweeps: int) -> None:
        """Takes up a fit where another left off: what follows is the same to the bit.

        Args:
            user_factors: Shape (listeners, factors), float32.
            item_factors: Shape (tracks, factors), float32.
            sweeps: Sweeps that led to these factors.
        """
        self.user_factors = user_factors
        self.item_factors = item_factors
        self.sweeps = sweeps


def first_factors(shape: tuple[int, int], factors: int, seed: int) -> tuple[Float32Array, Float32Array]:
    """The factors that a fit of a matrix begins with, the library's own: shapes (rows, factors), (columns, factors)."""
    no_cell, no_row = np.empty(0, dtype=np.float32), np.zeros(shape[0] + 1, dtype=np.int32)
    nothing = csr_matrix((no_cell, np.empty(0, dtype=np.int32), no_row), shape=shape)
    with threadpool_limits(1, user_api="blas"):
        library = AlternatingLeastSquares(factors=factors, iterations=0, random_state=seed)
        library.fit(nothing, show_progress=False)
    return library.user_factors, library.item_factors


def check_finite(user_factors: Float32Array, item_factors: Float32Array, sweeps: int) -> None:
    """Refuses factors that went out of bounds.

    Raises:
        TrialError: One is not finite.
    """
    if not (np.isfinite(user_factors).all() and np.isfinite(item_factors).all()):
        raise TrialError(f"the factors are not finite after sweep {sweeps}")
