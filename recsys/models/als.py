"""Implicit ALS, fitted sweep by sweep: the normal equations of one side, their solvers, and the fit.

A row u (a listener, or by symmetry a track) solves, y being the factors of the N others on the
other side,

    (w Σ_i y_i y_iᵀ + Σ_i (c_ui - w) y_i y_iᵀ + λ_u I) x_u = Σ_i c_ui y_i

where the first sum is over all others, the second over those heard or skipped, the third over those
heard:

- heard, r_ui > 0: c_ui = w + alpha r_ui (Hu, Koren and Volinsky, "Collaborative Filtering for
  Implicit Feedback Datasets", ICDM 2008, equation 4, where the unobserved weight w is 1);
- skipped s_ui times and never heard: c_ui = w + skip_weight s_ui, and the preference is 0;
- λ_u = λ (n_u + w N)^nu with n_u others heard, which is λ for nu = 0 (Rendle, Krichene, Zhang and
  Koren, "Revisiting the Performance of iALS on Item Recommendation Benchmarks", RecSys 2022:
  frequency-scaled regularization);
- λ_u = λ n_u in parity with Spark's `ALS`.

The solvers are in `recsys.models.kernels`; that of `implicit` serves for comparison, and where
numba is missing. It takes c itself as the matrix's value, negative where the preference is 0; its w
is 1, so everything is divided by w. It has one λ for all rows. Where λ_u differs, as many others
are added as a vector has factors, the unit vectors times √μ, and every row with an interaction has
skipped each of them with the confidence λ_u / μ. They add μ I + (λ_u / μ - 1) μ I = λ_u I to the
left side and nothing to the right: exact, for the cost of so many more pairs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Literal

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix, hstack
from threadpoolctl import threadpool_limits

from looplib.arrays import Float32Array, FloatArray
from looplib.progress import console
from recsys.errors import TrialError


@dataclass(frozen=True)
class AlsParams:
    """The hyperparameters of a fit, in the formulas above."""

    factors: int  # length of a factor vector
    regularization: float  # weight of the squared norms
    alpha: float  # confidence that a unit of listening time adds
    cg_steps: int = (
        3  # conjugate-gradient steps for each row and sweep; cholesky ignores it
    )
    # a few steps towards a row's solution, all the way, or theirs
    solver: Literal["cg", "cholesky", "implicit"] = "cg"
    unobserved_weight: float = 1.0  # confidence of a pair without interaction
    # exponent of the frequency-scaled regularization; 0 regularizes every row alike
    nu: float = 0.0
    spark: bool = False  # regularization times the row's number of interactions, as in Spark's ALS
    skip_weight: float = (
        0.0  # confidence that a skip adds to a listener's dislike of the track
    )


@dataclass
class Equations:
    """The equations of some rows."""

    # heard: listening time; never heard: minus the skips; float32, shape (rows, others)
    interactions: csr_matrix
    scales: FloatArray  # λ_u / λ, shape (rows,)
    params: AlsParams

    def solve(
        self, rows: Float32Array, others: Sequence[Float32Array], threads: int
    ) -> None:
        """Solve all rows in place, shape (rows, factors), or take `params.cg_steps` steps from where they are.

        The factors of the others may come in several arrays, each of shape (some, factors).

        Raises:
            TrialError: The equations of a row have no single solution.
        """
        kernels = None if self.params.solver == "implicit" else load_kernels()
        try:
            if kernels is None:
                self._solve_with_implicit(rows, np.concatenate(others), threads)
            else:
                self._solve_with(kernels, rows, others, threads)
        except ValueError as error:
            message = f"a row has no solution with regularization {self.params.regularization} ({error})"
            raise TrialError(message) from None

    def _solve_with(
        self,
        kernels: ModuleType,
        rows: Float32Array,
        others: Sequence[Float32Array],
        threads: int,
    ) -> None:
        params, matrix = self.params, self.interactions
        regularization = (params.regularization * self.scales).astype(np.float32)
        side = kernels.Side(
            matrix.indptr.astype(np.int64), matrix.indices, matrix.data, regularization
        )
        weights = kernels.Weights(
            *map(
                np.float32, (params.alpha, params.skip_weight, params.unobserved_weight)
            )
        )
        cg_steps = params.cg_steps if params.solver == "cg" else None
        kernels.solve(rows, others, side, weights, cg_steps, threads)

    def _solve_with_implicit(
        self, rows: Float32Array, others: Float32Array, threads: int
    ) -> None:
        confidence, regularization, unit = self._of_implicit
        if unit:
            others = np.vstack(
                (
                    others,
                    np.float32(unit) * np.eye(self.params.factors, dtype=np.float32),
                )
            )
        library = AlternatingLeastSquares(
            use_cg=self.params.solver != "cholesky", num_threads=threads
        )
        library.cg_steps = self.params.cg_steps
        library.solver(confidence, rows, others, regularization, num_threads=threads)

    @cached_property
    def _of_implicit(self) -> tuple[csr_matrix, float, float]:
        """Return implicit's matrix, shape (rows, others), or (rows, others + factors); its λ; and √μ, or 0 without."""
        params, matrix = self.params, self.interactions
        of_heard = 1 + np.float32(params.alpha / params.unobserved_weight) * matrix.data
        of_skips = (
            np.float32(params.skip_weight / params.unobserved_weight) * matrix.data - 1
        )
        confidences = np.where(matrix.data < 0, of_skips, of_heard)
        confidence = csr_matrix(
            (confidences, matrix.indices, matrix.indptr), shape=matrix.shape
        )
        regularization = params.regularization / params.unobserved_weight
        if not (params.nu or params.spark) or not regularization:
            return confidence, regularization, 0.0
        unit = params.unobserved_weight * matrix.shape[1]
        unit_scale = 1.0 if params.spark else (1 + unit) ** params.nu
        known = np.diff(matrix.indptr) > 0
        values = -np.repeat(self.scales[known] / unit_scale, params.factors).astype(
            np.float32
        )
        columns = np.tile(
            np.arange(params.factors, dtype=np.int32), np.count_nonzero(known)
        )
        indptr = np.concatenate(([0], np.cumsum(known) * params.factors))
        added = csr_matrix(
            (values, columns, indptr), shape=(matrix.shape[0], params.factors)
        )
        return (
            csr_matrix(hstack((confidence, added), format="csr")),
            0.0,
            (regularization * unit_scale) ** 0.5,
        )


def make_equations(
    heard: csr_matrix, skipped: csr_matrix | None, params: AlsParams
) -> Equations:
    """Make the equations of some rows from positive listening times, float32, and numbers of skips where known.

    Both are of shape (rows, others) and not changed; the equations share the memory of the first
    where none skipped.
    """
    counts = np.diff(heard.indptr).astype(np.float64)
    scales = (
        counts
        if params.spark
        else (counts + params.unobserved_weight * heard.shape[1]) ** params.nu
    )
    if skipped is not None and params.skip_weight:
        never_heard = skipped - skipped.multiply(heard.astype(bool))
        never_heard.eliminate_zeros()
        heard = csr_matrix(heard - never_heard)
    return Equations(heard, scales, params)


@cache
def load_kernels() -> ModuleType | None:
    """Load the compiled solver; the first process on a machine compiles it, and what ranks tracks, and says so.

    Returns None, with a note, where there is no numba for this Python.
    """
    try:
        from recsys.models import kernels, rank_kernels
        from recsys.models.compiled import compiling
    except ImportError as error:
        console.print(
            f"the slower solver of implicit serves, as numba cannot be imported ({error})"
        )
        return None
    ones = np.ones((1, 1), dtype=np.float32)
    side = kernels.Side(np.array([0, 1]), np.zeros(1, np.int32), ones[0], ones[0])
    with compiling(kernels.solve_by_cg):
        kernels.solve(
            ones.copy(),
            [ones],
            side,
            kernels.Weights(*np.ones(3, dtype=np.float32)),
            1,
            1,
        )
        rank_kernels.rank_tracks(ones, ones, 1, 1)
    return kernels


@dataclass(eq=False)
class Fit:
    """The factors of a model."""

    sweeps: int  # done
    user_factors: Float32Array  # shape (listeners, factors)
    item_factors: Float32Array  # shape (tracks, factors)


class Als(Fit):
    """A fit that can be continued: `sweep(5)` twice equals `sweep(10)` to the bit, with other objects in between too.

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
        """Equations of the listeners and of the tracks; a fit that is only scored does not need them."""
        skips = None if self._skips is None else csr_matrix(self._skips.T)
        return (
            make_equations(self._interactions, self._skips, self._params),
            make_equations(self._by_track(), skips, self._params),
        )


def first_factors(
    shape: tuple[int, int], factors: int, seed: int
) -> tuple[Float32Array, Float32Array]:
    """Draw the factors that a fit begins with, as the library does; shapes (rows, factors), (columns, factors)."""
    with threadpool_limits(1, user_api="blas"):
        library = AlternatingLeastSquares(
            factors=factors, iterations=0, random_state=seed
        )
        nothing: csr_matrix = csr_matrix(shape, dtype=np.float32)  # type: ignore[arg-type]  # stubs miss bare shapes
        library.fit(nothing, show_progress=False)
    return library.user_factors, library.item_factors


def check_finite(sweep: int, *factors: Float32Array) -> None:
    """Raise a `TrialError` if a factor is not finite."""
    if not all(np.isfinite(of_side).all() for of_side in factors):
        raise TrialError(f"the factors are not finite after sweep {sweep}")
