"""Implicit ALS, fitted sweep by sweep: the equations of many rows, and the fit.

The hyperparameters and the equation of a row stand in `looplib.als`; the compiled solvers in
`recsys.models.kernels`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from looplib.als import AlsParams, row_regularization
from looplib.arrays import Float32Array
from recsys.errors import TrialError


@dataclass
class Equations:
    """The equations of some rows."""

    # heard: listening time; never heard: minus the skips; float32, shape (rows, others)
    interactions: csr_matrix
    regularization: Float32Array  # λ_u, shape (rows,)
    params: AlsParams

    def solve(
        self, rows: Float32Array, others: Sequence[Float32Array], threads: int
    ) -> None:
        """Solve all rows in place, shape (rows, factors), or take steps from where they are.

        The factors of the others may come in several arrays, each of shape (some, factors).

        Raises:
            TrialError: The equations of a row have no single solution.
        """
        kernels = load_kernels()
        params, matrix = self.params, self.interactions
        indptr = matrix.indptr.astype(np.int64)
        side = kernels.Side(indptr, matrix.indices, matrix.data, self.regularization)
        weights = kernels.Weights(
            alpha=np.float32(params.alpha),
            skip=np.float32(params.skip_weight),
            unobserved=np.float32(params.unobserved_weight),
        )
        cg_steps = params.cg_steps if params.solver == "cg" else None
        try:
            kernels.solve(rows, others, side, weights, cg_steps, threads)
        except np.linalg.LinAlgError as error:
            raise TrialError(
                f"a row has no solution with regularization {params.regularization} ({error})"
            ) from None


def make_equations(
    heard: csr_matrix, skipped: csr_matrix | None, params: AlsParams
) -> Equations:
    """Make the equations of some rows from positive listening times and skips where known.

    Both are float32 of shape (rows, others) and not changed; the equations share the memory of the
    first where none skipped.
    """
    counts = np.diff(heard.indptr).astype(np.float64)
    regularization = row_regularization(counts, heard.shape[1], params)
    if skipped is not None and params.skip_weight:
        never_heard = skipped - skipped.multiply(heard.astype(bool))
        never_heard.eliminate_zeros()
        heard = csr_matrix(heard - never_heard)
    return Equations(heard, regularization.astype(np.float32), params)


@cache
def load_kernels() -> ModuleType:
    """Import and compile what solves and what ranks.

    The import takes half a second, and compiling longer, for the first process on a machine; who
    reads hyperparameters or a finished fit needs neither.

    Returns:
        The module `recsys.models.kernels`.
    """
    from recsys.models import kernels, rank_kernels
    from recsys.models.compiled import compiling

    ones = np.ones((1, 1), dtype=np.float32)
    side = kernels.Side(np.array([0, 1]), np.zeros(1, np.int32), ones[0], ones[0])
    weights = kernels.Weights(np.float32(1), np.float32(1), np.float32(1))
    with compiling(kernels.solve_by_cg):
        kernels.solve(ones.copy(), [ones], side, weights, 1, 1)
        rank_kernels.rank_tracks(ones, ones, 1, 1)
    return kernels


@dataclass(eq=False)
class Fit:
    """The factors of a model."""

    sweeps: int  # done
    user_factors: Float32Array  # shape (listeners, factors)
    item_factors: Float32Array  # shape (tracks, factors)


class Als(Fit):
    """A fit that can be continued.

    `sweep(5)` twice equals `sweep(10)` to the bit, with other objects in between too.

    Both matrices are of shape (listeners, tracks) and not changed: listening times, float32, not
    negative, and how often a listener skipped a track, None if that is not known.
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

        `by_track` returns the interactions the other way round, shape (tracks, listeners), where
        they are at hand.
        """
        start = start or Fit(
            0, *first_factors(interactions.shape, params.factors, seed)
        )
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
                listeners.solve(self.user_factors, [self.item_factors], self._threads)
                tracks.solve(self.item_factors, [self.user_factors], self._threads)
                self.sweeps += 1
        check_finite(self.sweeps, self.user_factors, self.item_factors)

    @cached_property
    def _equations(self) -> tuple[Equations, Equations]:
        """Equations of the listeners and of the tracks.

        A fit that is only scored does not need them.
        """
        skips = None if self._skips is None else csr_matrix(self._skips.T)
        return (
            make_equations(self._interactions, self._skips, self._params),
            make_equations(self._by_track(), skips, self._params),
        )


def first_factors(
    shape: tuple[int, int], factors: int, seed: int
) -> tuple[Float32Array, Float32Array]:
    """Draw the factors that a fit begins with, as the library does.

    Shapes (rows, factors), (columns, factors).
    """
    with threadpool_limits(1, user_api="blas"):
        library = AlternatingLeastSquares(
            factors=factors, iterations=0, random_state=seed
        )
        # the stubs miss bare shapes
        nothing: csr_matrix = csr_matrix(shape, dtype=np.float32)  # type: ignore[arg-type]
        library.fit(nothing, show_progress=False)
    return library.user_factors, library.item_factors


def check_finite(sweep: int, *factors: Float32Array) -> None:
    """Raise a `TrialError` if a factor is not finite."""
    if not all(np.isfinite(of_side).all() for of_side in factors):
        raise TrialError(f"the factors are not finite after sweep {sweep}")
