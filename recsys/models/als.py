"""Implicit ALS, fitted sweep by sweep."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from looplib.arrays import Float32Array
from recsys.errors import TrialError
from recsys.models.normal_equations import AlsParams, Equations, make_equations

__all__ = ["Als", "AlsParams", "Fit", "check_finite", "first_factors"]


@dataclass(eq=False)
class Fit:
    """The factors of a model."""

    sweeps: int  # done
    user_factors: Float32Array  # shape (listeners, factors)
    item_factors: Float32Array  # shape (tracks, factors)


class Als(Fit):
    """A fit that can be continued: `sweep(5)` twice equals `sweep(10)` to the bit, with other objects in between too.

    Both matrices are of shape (listeners, tracks) and not changed: listening times, float32, not negative, and how
    often a listener skipped a track, None if that is not known.
    """

    def __init__(
        self,
        interactions: csr_matrix,
        params: AlsParams,
        seed: int,
        threads: int,
        skips: csr_matrix | None = None,
        start: Fit | None = None,
        by_track: Callable[[], csr_matrix] | None = None,
    ) -> None:
        """Take over the factors of another fit, float32, or draw the first ones.

        `by_track` returns the interactions the other way round, shape (tracks, listeners), where they are at hand.
        """
        start = start or Fit(0, *first_factors(interactions.shape, params.factors, seed))
        super().__init__(start.sweeps, start.user_factors, start.item_factors)
        self._interactions = interactions
        self._by_track = by_track or (lambda: csr_matrix(interactions.T))
        self._skips = skips if params.skip_weight else None
        self._params = params
        self._threads = threads

    def sweep(self, count: int) -> None:
        """Solve both sides `count` times more.

        Raises:
            TrialError: A factor is not finite, or a row has no solution.
        """
        # The solver has threads of its own; BLAS threads beside them cost more than they bring.
        with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"):
            listeners, tracks = self._equations
            for _ in range(count):
                listeners.solve(self.user_factors, self.item_factors, self._threads)
                tracks.solve(self.item_factors, self.user_factors, self._threads)
                self.sweeps += 1
        check_finite(self)

    @cached_property
    def _equations(self) -> tuple[Equations, Equations]:
        """Equations of the listeners and of the tracks; a fit that is only scored does not need them."""
        skips = None if self._skips is None else csr_matrix(self._skips.T)
        return (
            make_equations(self._interactions, self._skips, self._params),
            make_equations(self._by_track(), skips, self._params),
        )


def first_factors(shape: tuple[int, int], factors: int, seed: int) -> tuple[Float32Array, Float32Array]:
    """Draw the factors that a fit begins with, as the library does; shapes (rows, factors), (columns, factors)."""
    with threadpool_limits(1, user_api="blas"):
        library = AlternatingLeastSquares(factors=factors, iterations=0, random_state=seed)
        nothing: csr_matrix = csr_matrix(shape, dtype=np.float32)  # type: ignore[arg-type]  # stubs miss bare shapes
        library.fit(nothing, show_progress=False)
    return library.user_factors, library.item_factors


def check_finite(fit: Fit) -> None:
    """Raise a `TrialError` if a factor is not finite."""
    if not (np.isfinite(fit.user_factors).all() and np.isfinite(fit.item_factors).all()):
        raise TrialError(f"the factors are not finite after sweep {fit.sweeps}")
