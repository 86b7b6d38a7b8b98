"""Fit implicit ALS, sweep by sweep.

The hyperparameters and the equation of a row stand in `looplib.als`; the compiled solver in
`recsys.models.kernels.als`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from looplib.als import AlsParams, row_regularization
from looplib.arrays import Float32Array
from recsys.errors import TrialError

_FIRST_SPREAD = np.float32(0.01)


@dataclass
class Fit:
    """The factors of a model."""

    sweeps: int  # done
    user_factors: Float32Array  # shape (listeners, factors)
    item_factors: Float32Array  # shape (tracks, factors)


@dataclass(frozen=True)
class Equations:
    """The equations of some rows."""

    interactions: csr_matrix  # listening time, float32, shape (rows, others)
    regularization: Float32Array  # λ_u, shape (rows,)
    params: AlsParams
    # of `implicit`: the values are the confidences, below 0 where the preference is 0
    has_confidences: bool = False

    def solve(
        self,
        rows: Float32Array,
        others: Sequence[Float32Array],
        threads: int,
    ) -> None:
        """Take steps from where rows are, shape (rows, factors), towards their solutions.

        The factors of the others may come in several arrays, each of shape (some, factors). A row's
        result depends neither on the rows beside it nor on the threads.
        """
        # takes half a second, and only a fit needs it
        from recsys.models.kernels import als as kernels

        params = self.params
        matrix = self.interactions
        indptr = matrix.indptr.astype(np.int64)
        indices = matrix.indices.astype(np.int32, copy=False)
        side = kernels.Side(indptr, indices, matrix.data, self.regularization)
        # What overflows is found when the factors are checked.
        with np.errstate(all="ignore"):
            numbers = (params.alpha, params.unobserved_weight, 0)
            if self.has_confidences:
                numbers = (1, 1, -1)
            weights = kernels.Weights(*np.array(numbers, np.float32))
            kernels.solve(rows, others, side, weights, params.cg_steps, threads)


def make_equations(
    interactions: csr_matrix,
    params: AlsParams,
    others: int | None = None,
    *,
    has_confidences: bool = False,
) -> Equations:
    """Make the equations of some rows, whose interactions are as in `Equations`.

    The equations share the memory of the interactions. The regularization counts so many others, by
    default all: what is right for a data set is not for one with tracks beside that nobody has
    heard.
    """
    heard = np.diff(interactions.indptr)
    if has_confidences:
        heard = (interactions > 0).getnnz(axis=1)
    count = interactions.shape[1] if others is None else others
    regularization = row_regularization(heard.astype(np.float64), count, params)
    weights = regularization.astype(np.float32)
    return Equations(interactions, weights, params, has_confidences)


def first_factors(shape: tuple[int, int], factors: int, seed: int) -> Fit:
    """Draw the factors that a fit begins with, shapes (rows, factors), (columns, factors)."""
    generator = np.random.default_rng(seed)
    users, items = (
        _FIRST_SPREAD * generator.random((count, factors), dtype=np.float32)
        for count in shape
    )
    return Fit(0, users, items)


def sweep(
    fit: Fit,
    listeners: Equations,
    tracks: Equations,
    threads: int,
) -> None:
    """Solve the listeners of a fit, then the tracks, in place.

    Raises:
        TrialError: A factor is not finite.
    """
    listeners.solve(fit.user_factors, [fit.item_factors], threads)
    tracks.solve(fit.item_factors, [fit.user_factors], threads)
    fit.sweeps += 1
    check_finite(fit.sweeps, fit.user_factors, fit.item_factors)


def check_finite(sweep: int, *factors: Float32Array) -> None:
    """Raise a `TrialError` if a factor is not finite."""
    if not all(np.isfinite(side).all() for side in factors):
        raise TrialError(f"the factors are not finite after sweep {sweep}")


def load_kernels() -> None:
    """Load the compiled solver, or compile it in the first process on a machine."""
    ones = np.ones((1, 1), np.float32)
    equations = make_equations(csr_matrix(ones), AlsParams(factors=1))
    equations.solve(ones.copy(), [ones], 1)
