"""Solve one side of an ALS fit in compiled loops; importing this takes half a second.

In: interactions and the other side's factors. Out: the side's factors, written in place. Read
`solve` first, then `solve_rows`. The vectors that a row's interactions need are copied into one
buffer, and every step runs on that, with the loops of `vectors`. A row's operations have one order,
whatever rows stand beside it, so that no number of threads or blocks changes a bit.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import ThreadpoolController

from looplib.arrays import Float32Array, Int32Array, IntArray
from recsys.models.kernels.compiled import compiled, compiling
from recsys.models.kernels.vectors import (
    LANES,
    TOGETHER,
    add_multiples,
    aligned,
    copy,
    multiply,
)

_CHUNK = 32  # vectors that are copied and then used while they are in the fastest cache
_AHEAD = 16  # a vector is asked for this many vectors before it is copied; memory takes that long
_SOLVED = np.float32(1e-20)  # squared residual at which conjugate gradients end
BLAS = ThreadpoolController()
# Of a unit of listening time, of a pair without interaction, and what an interaction adds to the
# latter beside its value's weight.
Weights = tuple[np.float32, np.float32, np.float32]


def solve(
    rows: Float32Array,
    across: Sequence[Float32Array],
    indptr: IntArray,
    columns: Int32Array,
    values: Float32Array,
    regularization: Float32Array,
    weights: Weights,
    cg_steps: int,
    threads: int,
) -> None:
    """Move the factors of rows towards their solutions, by those of the other axis.

    Args:
        rows: Where the steps begin, shape (rows, factors).
        across: Factors of the other axis.
        indptr: Where the interactions of a row begin and end, shape (rows + 1,).
        columns: What a row heard, shape (interactions,).
        values: Listening time; below 0, minus the weight of a dislike.
        regularization: λ_u, shape (rows,).
        weights: Those of listening time and of pairs without interaction.
        cg_steps: Steps of conjugate gradients.
        threads: They change no result.
    """
    factors = rows.shape[1]
    width = -(-factors // LANES) * LANES
    padded = aligned(sum(map(len, across)), width)
    gram = aligned(width, width)
    copied = padded[:, :factors]
    np.concatenate(across, out=copied)
    np.fill_diagonal(gram, 1)  # what pads a solution is zero
    # With threads of its own, BLAS would add in another order.
    with BLAS.limit(limits=1, user_api="blas"):
        gram[:factors, :factors] = weights[1] * (copied.T @ copied)

    def solve_part(first: int, last: int) -> None:
        solve_rows(
            rows[first:last],
            padded,
            gram,
            indptr[first : last + 1],
            columns,
            values,
            regularization[first:last],
            weights,
            cg_steps,
        )

    # A row costs its interactions, and the products with the Gram matrix.
    interactions = indptr - indptr[0]
    work = interactions + np.arange(len(interactions)) * (width // 2)
    shares = np.linspace(0, work[-1], 4 * threads + 1)
    edges = np.unique(np.searchsorted(work, shares))
    with compiling(solve_rows):
        solve_part(0, 0)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(solve_part, edges[:-1].tolist(), edges[1:].tolist()))


@compiled
def _weigh(
    values: Float32Array,
    weights: Weights,
    left: Float32Array,
    right: Float32Array,
) -> None:
    """Write the weights of a row's interactions, and the zeros that fill the last step.

    What an interaction adds to the left side of the row's equations is left_j y_j y_jᵀ, where left
    is c_ui - w; to the right side right_j y_j, where right is c_ui if it was heard, else 0.
    """
    alpha, unobserved, added = weights
    count = values.size
    for j in range(count):
        value = values[j]
        left[j] = added
        left[j] += alpha * abs(value)
        right[j] = unobserved + left[j] if value >= 0 else np.float32(0)
    left[count : count + TOGETHER - 1] = 0
    right[count : count + TOGETHER - 1] = 0


@compiled
def _gather(
    across: Float32Array,
    columns: Int32Array,
    at: int,
    vectors: Float32Array,
    first: int,
    last: int,
) -> None:
    """Copy the vectors of a row's interactions, from `first` to `last`.

    The row's first one is at `at`.
    """
    end = columns.size - 1
    for j in range(first, last):
        ahead = min(at + j + _AHEAD, end)
        copy(across, columns[at + j], columns[ahead], vectors, j)


@compiled
def _add_pairs(
    vectors: Float32Array,
    left: Float32Array,
    right: Float32Array,
    products: Float32Array,
    first: int,
    last: int,
    direction: Float32Array,
    out: Float32Array,
    add: bool,
) -> np.float32:
    """Return Σ_j left_j p_j², where p_j = y_j · direction.

    If `add`, add Σ_j (right_j + left_j p_j) y_j to `out`, by way of `products`.
    """
    total = np.float32(0)
    for j in range(first, last, TOGETHER):
        total += multiply(vectors, j, direction, left, right, products)
        if add:
            add_multiples(vectors, j, products, out)
    return total


@compiled
def _multiply_gram(
    gram: Float32Array,
    diagonal: float,
    direction: Float32Array,
    out: Float32Array,
) -> None:
    """Write (gram + diagonal I) direction; the matrix is symmetric."""
    for k in range(direction.size):
        out[k] = diagonal * direction[k]
    for j in range(0, direction.size, TOGETHER):
        add_multiples(gram, j, direction, out)


@compiled
def _dot(left: Float32Array, right: Float32Array) -> np.float32:
    total = np.float32(0)
    for k in range(left.size):
        total += left[k] * right[k]
    return total


@compiled
def solve_rows(
    rows: Float32Array,
    across: Float32Array,
    gram: Float32Array,
    indptr: IntArray,
    columns: Int32Array,
    values: Float32Array,
    regularization: Float32Array,
    weights: Weights,
    steps: int,
) -> None:
    """Take conjugate-gradient steps towards each solution (Takács et al., RecSys 2011)."""
    factors = rows.shape[1]
    width = len(gram)
    longest = np.max(np.append(np.diff(indptr), 0)) + TOGETHER - 1
    vectors = aligned(longest, width)
    weighed = aligned(4, longest)
    left = weighed[0]
    right = weighed[1]
    products = weighed[2]
    nothing = weighed[3]
    state = aligned(4, width)
    solution = state[0]
    residual = state[1]
    direction = state[2]
    image = state[3]
    for row in range(len(rows)):
        at = indptr[row]
        count = indptr[row + 1] - at
        diagonal = regularization[row]
        if not count:
            rows[row] = 0
            continue
        for k in range(factors):
            solution[k] = rows[row, k]
            direction[k] = -solution[k]
        _multiply_gram(gram, diagonal, direction, residual)
        _weigh(values[at : at + count], weights, left, right)
        vectors[count : count + TOGETHER - 1] = 0
        for first in range(0, count, _CHUNK):
            last = min(first + _CHUNK, count)
            _gather(across, columns, at, vectors, first, last)
            _add_pairs(
                vectors, left, right, products, first, last, direction, residual, True
            )
        direction[:] = residual
        norm = _dot(residual, residual)
        for step in range(steps):
            if norm < _SOLVED:
                break
            _multiply_gram(gram, diagonal, direction, image)
            curvature = _dot(direction, image)
            is_last = step + 1 == steps  # it needs no new residual
            # the right side has no part in it
            curvature += _add_pairs(
                vectors,
                left,
                nothing,
                products,
                0,
                count,
                direction,
                image,
                not is_last,
            )
            length = norm / curvature
            before = norm
            for k in range(width):
                solution[k] += length * direction[k]
                residual[k] -= length * image[k]
            norm = _dot(residual, residual)
            ratio = norm / before
            for k in range(width):
                direction[k] = residual[k] + ratio * direction[k]
        for k in range(factors):
            rows[row, k] = solution[k]
