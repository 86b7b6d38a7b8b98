"""The normal equations of one side of an ALS fit, and the choice of their solver.

A row u (a listener, or by symmetry a track) solves, y being the factors of the N others on the other side,

    (w Σ_i y_i y_iᵀ + Σ_i (c_ui - w) y_i y_iᵀ + λ_u I) x_u = Σ_i c_ui y_i

where the first sum is over all others, the second over those heard or skipped, the third over those heard:

- heard, r_ui > 0: c_ui = w + alpha r_ui (Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback
  Datasets", ICDM 2008, equation 4, where the unobserved weight w is 1);
- skipped s_ui times and never heard: c_ui = w + skip_weight s_ui, and the preference is 0;
- λ_u = λ (n_u + w N)^nu with n_u others heard, which is λ for nu = 0 (Rendle, Krichene, Zhang and Koren, "Revisiting
  the Performance of iALS on Item Recommendation Benchmarks", RecSys 2022: frequency-scaled regularization);
- λ_u = λ n_u in parity with Spark's `ALS`.

The solvers are in `recsys.models.kernels`; that of `implicit` serves for comparison. It takes c itself as the matrix's
value, negative where the preference is 0; its w is 1, so everything is divided by w; and it has one λ for all rows.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import Literal

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from looplib.arrays import Float32Array, FloatArray
from recsys.errors import TrialError


@dataclass(frozen=True)
class AlsParams:
    """The hyperparameters of a fit, in the formulas above."""

    factors: int  # length of a factor vector
    regularization: float  # weight of the squared norms
    alpha: float  # confidence that a unit of listening time adds
    cg_steps: int = 3  # conjugate-gradient steps for each row and sweep; cholesky ignores it
    solver: Literal["cg", "cholesky", "implicit"] = "cg"  # a few steps towards a row's solution, all the way, or theirs
    unobserved_weight: float = 1.0  # confidence of a pair without interaction
    nu: float = 0.0  # exponent of the frequency-scaled regularization; 0 regularizes every row alike
    spark: bool = False  # regularization times the row's number of interactions, as in Spark's ALS
    skip_weight: float = 0.0  # confidence that a skip adds to a listener's dislike of the track


@dataclass
class Equations:
    """The equations of some rows."""

    interactions: csr_matrix  # heard: listening time; never heard: minus the skips; float32, shape (rows, others)
    scales: FloatArray  # λ_u / λ, shape (rows,)
    params: AlsParams

    def solve(self, rows: Float32Array, others: Float32Array, threads: int) -> None:
        """Solve all rows in place, shape (rows, factors), or take `params.cg_steps` steps from where they are.

        Raises:
            TrialError: The equations of a row have no single solution.
        """
        try:
            if self.params.solver == "implicit":
                self._solve_with_implicit(rows, others, threads)
            else:
                self._solve(rows, others, threads)
        except ValueError as error:
            message = f"a row has no solution with regularization {self.params.regularization} ({error})"
            raise TrialError(message) from None

    def _solve(self, rows: Float32Array, others: Float32Array, threads: int) -> None:
        kernels, params, matrix = load_kernels(), self.params, self.interactions
        regularization = (params.regularization * self.scales).astype(np.float32)
        side = kernels.Side(matrix.indptr.astype(np.int64), matrix.indices, matrix.data, regularization)
        weights = kernels.Weights(*map(np.float32, (params.alpha, params.skip_weight, params.unobserved_weight)))
        cg_steps = params.cg_steps if params.solver == "cg" else None
        kernels.solve(rows, others, side, weights, cg_steps, threads)

    def _solve_with_implicit(self, rows: Float32Array, others: Float32Array, threads: int) -> None:
        library = AlternatingLeastSquares(num_threads=threads)
        library.cg_steps = self.params.cg_steps
        regularization = self.params.regularization / self.params.unobserved_weight
        library.solver(self._confidence, rows, others, regularization, num_threads=threads)

    @cached_property
    def _confidence(self) -> csr_matrix:
        """The matrix of implicit, shape (rows, others)."""
        params, matrix = self.params, self.interactions
        of_heard = 1 + np.float32(params.alpha / params.unobserved_weight) * matrix.data
        of_skips = np.float32(params.skip_weight / params.unobserved_weight) * matrix.data - 1
        confidences = np.where(matrix.data < 0, of_skips, of_heard)
        return csr_matrix((confidences, matrix.indices, matrix.indptr), shape=matrix.shape)


def make_equations(heard: csr_matrix, skipped: csr_matrix | None, params: AlsParams) -> Equations:
    """Make the equations of some rows from positive listening times, float32, and numbers of skips where known.

    Both are of shape (rows, others) and not changed; the equations share the memory of the first where none skipped.
    """
    counts = np.diff(heard.indptr).astype(np.float64)
    scales = counts if params.spark else (counts + params.unobserved_weight * heard.shape[1]) ** params.nu
    if skipped is not None and params.skip_weight:
        never_heard = skipped - skipped.multiply(heard.astype(bool))
        never_heard.eliminate_zeros()
        heard = csr_matrix(heard - never_heard)
    return Equations(heard, scales, params)


@cache
def load_kernels() -> ModuleType:
    """Load the compiled solver; the first process on a machine compiles it, and what ranks tracks, and says so."""
    from recsys.models import kernels, rank_kernels
    from recsys.models.compiled import compiling

    ones = np.ones((1, 1), dtype=np.float32)
    side = kernels.Side(np.array([0, 1]), np.zeros(1, np.int32), ones[0], ones[0])
    with compiling(kernels.solve_by_cg):
        kernels.solve(ones.copy(), ones, side, kernels.Weights(*np.ones(3, dtype=np.float32)), 1, 1)
        rank_kernels.rank_tracks(ones, ones, 1, 1)
    return kernels
