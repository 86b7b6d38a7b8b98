"""Solve a factor matrix of an ALS fit in compiled loops; importing this takes half a second.

In: interactions and the other side's factors. Out: the side's factors, written in place. Read
`solve` first, then `solve_rows`. Conjugate gradients do not see a rotation: on the axes of the Gram
matrix its product with a vector is a number for each factor. The vectors that a row's interactions
need are in the caches after its first product; the memory is asked for the next row's vectors
before its turn. A row's operations have one order, whatever rows stand beside it, so that no number
of threads or blocks changes a bit.
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
    multiply,
    multiply_rows,
    prefetch,
)

_SOLVED = np.float32(1e-20)  # squared residual at which conjugate gradients end
BLAS = ThreadpoolController()
# Weight of a unit of listening time, weight of a pair without interaction, and the weight that an
# interaction adds to the latter beside its value's.
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
    """Move the factors of rows towards their solutions, by the factors of the other axis.

    Args:
        rows: Where the steps begin, shape (rows, factors).
        across: Factors of the other axis.
        indptr: Where the interactions of a row begin and end, shape (rows + 1,).
        columns: Tracks that a row heard, shape (interactions,).
        values: Listening time; below 0, minus the weight of a dislike.
        regularization: λ_u, shape (rows,).
        weights: Weights of listening time and of pairs without interaction.
        cg_steps: Steps of conjugate gradients.
        threads: They change no result.
    """
    factors = rows.shape[1]
    width = -(-factors // LANES) * LANES
    rotated = aligned(sum(map(len, across)), width)
    np.concatenate(across, out=rotated[:, :factors])
    axes = aligned(2 * width, width)
    to_axes, from_axes = axes[:width], axes[width:]
    # BLAS with several threads would add in another order.
    with BLAS.limit(limits=1, user_api="blas"):
        gram = weights[1] * (rotated.T @ rotated)
        if not np.isfinite(gram).all():
            rows[:] = np.nan
            return
        eigenvalues, to_axes[:] = np.linalg.eigh(gram)
    from_axes[:] = to_axes.T

    def rotate_part(first: int, last: int) -> None:
        part = rotated[first:last]
        rotate(part, to_axes, part)

    def solve_part(first: int, last: int) -> None:
        part = aligned(last - first, width)
        rotate(rows[first:last], to_axes, part)
        solve_rows(
            part,
            rotated,
            eigenvalues,
            indptr[first : last + 1],
            columns,
            values,
            regularization[first:last],
            weights,
            cg_steps,
        )
        rotate(part, from_axes, rows[first:last])

    # A row costs its interactions, and its rotations.
    interactions = indptr - indptr[0]
    work = interactions + np.arange(len(interactions)) * (width // 8)
    shares = np.linspace(0, 1, 4 * threads + 1)
    edges = np.unique(np.searchsorted(work, work[-1] * shares)).tolist()
    across_edges = (len(rotated) * shares).astype(np.int64).tolist()
    with compiling(solve_rows):
        solve_part(0, 0)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(rotate_part, across_edges[:-1], across_edges[1:]))
        list(pool.map(solve_part, edges[:-1], edges[1:]))


@compiled
def rotate(rows: Float32Array, axes: Float32Array, out: Float32Array) -> None:
    """Write the product of each row with a square matrix."""
    width = len(axes)
    tile = aligned(TOGETHER, width)
    products = aligned(TOGETHER, width)
    for first in range(0, len(rows), TOGETHER):
        count = min(TOGETHER, len(rows) - first)
        for n in range(count):
            for k in range(rows.shape[1]):
                tile[n, k] = rows[first + n, k]
        for column in range(0, width, LANES):
            multiply_rows(tile, axes, column, products)
        for n in range(count):
            for k in range(out.shape[1]):
                out[first + n, k] = products[n, k]


@compiled
def _weigh(values: Float32Array, weights: Weights, pairs: Float32Array) -> None:
    """Write the weights of a row's interactions, and the zeros that fill the last step.

    An interaction adds left_j y_j y_jᵀ to the left side of the row's equations, with left_j =
    c_ui - w, and right_j y_j to the right side, with right_j = c_ui if it was heard, else 0.
    """
    alpha, unobserved, added = weights
    left = pairs[0]
    right = pairs[1]
    count = values.size
    for j in range(count):
        value = values[j]
        left[j] = added
        left[j] += alpha * abs(value)
        right[j] = unobserved + left[j] if value >= 0 else np.float32(0)
    left[count : count + TOGETHER - 1] = 0
    right[count : count + TOGETHER - 1] = 0


@compiled
def _multiply(
    across: Float32Array,
    places: IntArray,
    pairs: Float32Array,
    count: int,
    diagonal: Float32Array,
    direction: Float32Array,
    out: Float32Array,
    add: bool,
    ahead: Int32Array,
) -> np.float32:
    """Multiply the left side of a row's equations with a direction, and add the right side.

    The left side is diag(diagonal) + Σ_j left_j y_j y_jᵀ. The last step needs no residual: unless
    `add`, `out` lacks the sums. The vectors `ahead` come from memory meanwhile.

    Returns:
        The product of the direction with its product with the left side.
    """
    left = pairs[0]
    right = pairs[1]
    products = pairs[2]
    total = np.float32(0)
    for k in range(direction.size):
        out[k] = diagonal[k] * direction[k]
        total += out[k] * direction[k]
    for j in range(0, count, TOGETHER):
        for column in ahead[j : j + TOGETHER]:
            prefetch(across, column)
        total += multiply(across, places, j, direction, left, right, products)
        if add:
            add_multiples(across, places, j, products, out)
    return total


@compiled
def solve_rows(
    rows: Float32Array,
    across: Float32Array,
    eigenvalues: Float32Array,
    indptr: IntArray,
    columns: Int32Array,
    values: Float32Array,
    regularization: Float32Array,
    weights: Weights,
    steps: int,
) -> None:
    """Take conjugate-gradient steps towards each solution (Takács et al., RecSys 2011)."""
    width = rows.shape[1]
    longest = np.max(np.append(np.diff(indptr), 0)) + TOGETHER - 1
    places = np.empty(longest, np.int64)
    pairs = aligned(3, longest)
    state = aligned(4, width)
    diagonal, residual, direction, image = state[0], state[1], state[2], state[3]
    for row in range(len(rows)):
        solution = rows[row]
        first = indptr[row]
        last = indptr[row + 1]
        count = last - first
        if not count:
            solution[:] = 0
            continue
        for k in range(width):
            diagonal[k] = eigenvalues[k] + regularization[row]
            direction[k] = -solution[k]
        _weigh(values[first:last], weights, pairs)
        for j in range(count):
            places[j] = columns[first + j]
        places[count : count + TOGETHER - 1] = columns[last - 1]
        _multiply(
            across,
            places,
            pairs,
            count,
            diagonal,
            direction,
            residual,
            True,
            columns[first + TOGETHER :],
        )
        pairs[1, :count] = 0  # steps have no right side
        norm = np.float32(0)
        for k in range(width):
            direction[k] = residual[k]
            norm += residual[k] * residual[k]
        for step in range(steps):
            if norm < _SOLVED:
                break
            curvature = _multiply(
                across,
                places,
                pairs,
                count,
                diagonal,
                direction,
                image,
                step + 1 < steps,
                columns[:0],
            )
            length = norm / curvature
            before = norm
            norm = np.float32(0)
            for k in range(width):
                solution[k] += length * direction[k]
                residual[k] -= length * image[k]
                norm += residual[k] * residual[k]
            ratio = norm / before
            for k in range(width):
                direction[k] = residual[k] + ratio * direction[k]
