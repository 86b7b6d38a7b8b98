"""Solve the equations of implicit ALS.

The hyperparameters and the equation of a row stand in `looplib.als`; the compiled loops in
`recsys.models.kernels.als`.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.sparse import csr_matrix

from looplib.als import AlsConfig, row_regularization
from looplib.arrays import Float32Array
from recsys.errors import TrialError

# Conjugate gradients for each row and iteration: as many as factors solve it, and three come as
# near within some iterations (Takács, Pilászy and Tikk, RecSys 2011).
CG_STEPS = 3
_FIRST_SPREAD = np.float32(0.01)


def solve(
    rows: Float32Array,
    across: Sequence[Float32Array],
    interactions: csr_matrix,
    config: AlsConfig,
    threads: int,
    *,
    count: int | None = None,
    cg_steps: int = CG_STEPS,
    has_confidences: bool = False,
) -> None:
    """Move the factors of rows towards the solutions of their equations, in place.

    A row's result depends neither on the rows beside it nor on the threads.

    Args:
        rows: Factors of listeners, or of tracks, where the steps begin; shape (rows, factors).
        across: Factors of the tracks, or of the listeners, in one or several arrays, each of shape
            (some, factors).
        interactions: Listening time, float32, shape (rows, columns).
        config: The hyperparameters.
        threads: Number of threads.
        count: Number of columns with interactions, which the regularization counts. By default
            all columns.
        cg_steps: Steps of conjugate gradients.
        has_confidences: The interactions are confidences as `implicit` has them, below 0 where the
            preference is 0; without `nu`.
    """
    # takes half a second, and only a fit needs it
    from recsys.models.kernels import als as kernels

    heard = np.diff(interactions.indptr)
    if count is None:
        count = interactions.shape[1]
    regularization = row_regularization(heard.astype(np.float64), count, config)
    # an overflow is seen when the factors are checked
    with np.errstate(all="ignore"):
        numbers = (config.alpha, config.unobserved_weight, 0)
        if has_confidences:
            numbers = (1, 1, -1)
        alpha, unobserved, added = np.array(numbers, np.float32)
        kernels.solve(
            rows,
            across,
            interactions.indptr.astype(np.int64),
            interactions.indices.astype(np.int32, copy=False),
            interactions.data,
            regularization.astype(np.float32),
            (alpha, unobserved, added),
            cg_steps,
            threads,
        )


def first_factors(
    shape: tuple[int, int], factors: int, seed: int
) -> tuple[Float32Array, Float32Array]:
    """Draw the factors that a fit begins with.

    Returns:
        Factors of listeners and of tracks, shapes (listeners, factors) and (tracks, factors).
    """
    generator = np.random.default_rng(seed)
    users, items = (
        _FIRST_SPREAD * generator.random((count, factors), dtype=np.float32)
        for count in shape
    )
    return users, items


def check_finite(iteration: int, *factors: Float32Array) -> None:
    """Raise a `TrialError` if a factor is not finite."""
    if not all(np.isfinite(array).all() for array in factors):
        raise TrialError(f"the factors are not finite after iteration {iteration}")


@cache
def load_kernels() -> None:
    """Load the compiled solver, or compile it in the first process on a machine."""
    ones = np.ones((1, 1), np.float32)
    solve(ones.copy(), [ones], csr_matrix(ones), AlsConfig(factors=1), 1)
