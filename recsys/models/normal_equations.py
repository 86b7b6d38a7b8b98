"""The normal equations of one side of an ALS fit, in the form that the solvers of `implicit` take.

A row u (a listener, or by symmetry a track) solves, y being the factors of the N others on the other side,

    (w Σ_i y_i y_iᵀ + Σ_i (c_ui - w) y_i y_iᵀ + λ_u I) x_u = Σ_i c_ui y_i

where the first sum is over all others, the second over those heard or skipped, the third over those heard:

- heard, r_ui > 0: c_ui = w + alpha r_ui (Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback
  Datasets", ICDM 2008, equation 4, where the unobserved weight w is 1);
- skipped s_ui times and never heard: c_ui = w + skip_weight s_ui, and the preference is 0;
- λ_u = λ (n_u + w N)^nu with n_u others heard, which is λ for nu = 0 (Rendle, Krichene, Zhang and Koren, "Revisiting
  the Performance of iALS on Item Recommendation Benchmarks", RecSys 2022: frequency-scaled regularization);
- λ_u = λ n_u in parity with Spark's `ALS`.

`implicit` takes c itself as the matrix's value, negative where the preference is 0; its w is 1, so everything is
divided by w. It has one λ for all rows. Where λ_u differs, as many others are added as a vector has factors, the unit
vectors times √μ, and every row with an interaction has skipped each of them with the confidence λ_u / μ. They add
μ I + (λ_u / μ - 1) μ I = λ_u I to the left side and nothing to the right: exact, for the cost of so many more pairs.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix, hstack

from looplib.arrays import Float32Array, FloatArray, IntArray
from recsys.errors import TrialError


@dataclass(frozen=True)
class AlsParams:
    """The hyperparameters of a fit, in the formulas above."""

    factors: int  # length of a factor vector
    regularization: float  # weight of the squared norms
    alpha: float  # confidence that a unit of listening time adds
    cg_steps: int = 3  # conjugate-gradient steps for each row and sweep; cholesky ignores it
    solver: Literal["cg", "cholesky"] = "cg"  # a few steps towards a row's solution, or all the way
    unobserved_weight: float = 1.0  # confidence of a pair without interaction
    nu: float = 0.0  # exponent of the frequency-scaled regularization; 0 regularizes every row alike
    spark: bool = False  # regularization times the row's number of interactions, as in Spark's ALS
    skip_weight: float = 0.0  # confidence that a skip adds to a listener's dislike of the track


@dataclass(frozen=True)
class Equations:
    """The equations of some rows."""

    confidence: csr_matrix  # what `implicit` calls Cui, float32, shape (rows, others), or (rows, others + factors)
    regularization: float  # the λ of all rows; 0 where the added others have it
    unit: float  # √μ, the length of the added others' factors; 0 where there are none

    def solve(self, rows: Float32Array, others: Float32Array, params: AlsParams, threads: int) -> None:
        """Solve all rows in place, shape (rows, factors), or take `params.cg_steps` steps from where they are.

        Raises:
            TrialError: The equations of a row have no single solution.
        """
        if self.unit:
            others = np.vstack((others, np.float32(self.unit) * np.eye(params.factors, dtype=np.float32)))
        library = AlternatingLeastSquares(use_cg=params.solver == "cg", num_threads=threads)
        library.cg_steps = params.cg_steps
        try:
            library.solver(self.confidence, rows, others, self.regularization, num_threads=threads)
        except ValueError as error:
            raise TrialError(f"a row has no solution with regularization {params.regularization} ({error})") from None


def make_equations(heard: csr_matrix, skipped: csr_matrix | None, params: AlsParams) -> Equations:
    """Make the equations of some rows from positive listening times, float32, and numbers of skips where known.

    Both are of shape (rows, others) and not changed; the structure of the first may be shared.
    """
    weight = params.unobserved_weight
    confidence = _confidences(heard, params.alpha / weight)
    if skipped is not None and params.skip_weight:
        never_heard = skipped - skipped.multiply(heard.astype(bool))
        never_heard.eliminate_zeros()
        disliked = _confidences(csr_matrix(never_heard), params.skip_weight / weight)
        confidence = csr_matrix(confidence - disliked)
    regularization = params.regularization / weight
    if not (params.nu or params.spark) or not regularization:
        return Equations(confidence, regularization, 0.0)
    unit_scale, scales = _scales(np.diff(heard.indptr), heard.shape[1], params)
    return Equations(
        _with_units(confidence, scales / unit_scale, params.factors), 0.0, (regularization * unit_scale) ** 0.5
    )


def _confidences(interactions: csr_matrix, alpha: float) -> csr_matrix:
    """Replace each r by 1 + alpha r; the structure is shared, as it may be mapped from disk."""
    with np.errstate(over="ignore"):
        values = 1 + np.float32(alpha) * interactions.data
    return csr_matrix((values, interactions.indices, interactions.indptr), shape=interactions.shape, copy=False)


def _scales(heard: IntArray, others: int, params: AlsParams) -> tuple[float, FloatArray]:
    """Return λ_u / λ of a row that has heard one other, and of every row; a row's is the same in any block."""
    if params.spark:
        return 1.0, heard.astype(np.float64)
    base = params.unobserved_weight * others
    return float((1 + base) ** params.nu), np.power(heard + base, params.nu, dtype=np.float64)


def _with_units(confidence: csr_matrix, scales: FloatArray, factors: int) -> csr_matrix:
    rows = np.diff(confidence.indptr) > 0
    counts = np.where(rows, factors, 0)
    values = -np.repeat(scales, counts).astype(np.float32)
    columns = np.tile(np.arange(factors, dtype=np.int32), int(np.count_nonzero(rows)))
    indptr = np.concatenate(([0], np.cumsum(counts)))
    units = csr_matrix((values, columns, indptr), shape=(confidence.shape[0], factors))
    return csr_matrix(hstack((confidence, units), format="csr"))
