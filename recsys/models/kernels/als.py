"""Solve one side of an ALS fit in compiled loops; importing this takes half a second.

In: interactions and the other side's factors. Out: the side's factors, written in place. Read
`solve` first, then `solve_rows`. The vectors that a row's interactions need are copied into one
buffer, and every step runs on that, with the loops of `vectors`. A row's operations have one order,
whatever rows stand beside it, so that no number of threads or blocks changes a bit.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

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


class Side(NamedTuple):
    """Interactions of consecutive rows."""

    indptr: IntArray  # shape (rows + 1,); into the next two
    columns: Int32Array  # what a row heard
    values: Float32Array  # listening time; below 0, minus the weight of a dislike
    regularization: Float32Array  # λ_u, shape (rows,)


class Weights(NamedTuple):
    """Confidences, float32: of a unit of listening time, and of a pair without interaction.

    `added` is what an interaction adds to that of a pair without, beside its value's.
    """

    alpha: np.float32
    unobserved: np.float32
    added: np.float32


class Buffer(NamedTuple):
    """What a row's interactions add to its equations.

    The right side grows by right_j y_j, the left one by left_j y_j y_jᵀ.
    """

    vectors: Float32Array  # y, shape (length, factors and padding)
    right: Float32Array  # c_ui where it was heard, else 0; shape (length,)
    left: Float32Array  # c_ui - w
    products: Float32Array  # right_j + left_j y_j · direction, for a direction


def solve(
    rows: Float32Array,
    across: Sequence[Float32Array],
    side: Side,
    weights: Weights,
    cg_steps: int,
    threads: int,
) -> None:
    """Move rows towards their solutions, shape (rows, factors), by the other side's factors."""
    factors = rows.shape[1]
    width = -(-factors // LANES) * LANES
    padded = aligned(sum(map(len, across)), width)
    gram = aligned(width, width)
    copied = padded[:, :factors]
    np.concatenate(across, out=copied)
    np.fill_diagonal(gram, 1)  # what pads a solution is zero
    # With threads of its own, BLAS would add in another order.
    with BLAS.limit(limits=1, user_api="blas"):
        gram[:factors, :factors] = weights.unobserved * (copied.T @ copied)

    def solve_part(first: int, last: int) -> None:
        indptr = side.indptr[first : last + 1]
        regularization = side.regularization[first:last]
        part = Side(indptr, side.columns, side.values, regularization)
        solve_rows(rows[first:last], padded, gram, part, weights, cg_steps)

    # A row costs its interactions, and the products with the Gram matrix.
    interactions = side.indptr - side.indptr[0]
    work = interactions + np.arange(len(interactions)) * (width // 2)
    shares = np.linspace(0, work[-1], 4 * threads + 1)
    edges = np.unique(np.searchsorted(work, shares))
    with compiling(solve_rows):
        solve_part(0, 0)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(solve_part, edges[:-1].tolist(), edges[1:].tolist()))


@compiled
def _weigh(
    side: Side,
    weights: Weights,
    first: int,
    last: int,
    buffer: Buffer,
) -> None:
    """Write the weights of interactions, and behind them the zeros that fill the last step."""
    count = last - first
    left = buffer.left
    right = buffer.right
    for j in range(count):
        value = side.values[first + j]
        left[j] = weights.added
        left[j] += weights.alpha * abs(value)
        right[j] = weights.unobserved + left[j] if value >= 0 else np.float32(0)
    for j in range(count, count + TOGETHER - 1):
        left[j] = right[j] = 0
        for k in range(buffer.vectors.shape[1]):
            buffer.vectors[j, k] = 0


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
    buffer: Buffer,
    first: int,
    last: int,
    direction: Float32Array,
    out: Float32Array,
    add: bool,
) -> np.float32:
    """Return Σ_j left_j p_j², where p_j = y_j · direction.

    If `add`, add Σ_j (right_j + left_j p_j) y_j to `out`.
    """
    total = np.float32(0)
    for j in range(first, last, TOGETHER):
        total += multiply(
            buffer.vectors, j, direction, buffer.left, buffer.right, buffer.products
        )
        if add:
            add_multiples(buffer.vectors, j, buffer.products, out)
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
def _write(numbers: Float32Array, out: Float32Array) -> None:
    for k in range(numbers.size):
        out[k] = numbers[k]


@compiled
def _new_buffer(indptr: IntArray, width: int) -> Buffer:
    length = 0  # of the longest row
    for row in range(len(indptr) - 1):
        length = max(length, indptr[row + 1] - indptr[row])
    length += TOGETHER - 1
    weights = aligned(3, length)
    return Buffer(aligned(length, width), weights[0], weights[1], weights[2])


@compiled
def solve_rows(
    rows: Float32Array,
    across: Float32Array,
    gram: Float32Array,
    side: Side,
    weights: Weights,
    steps: int,
) -> None:
    """Take conjugate-gradient steps towards each solution (Takács et al., RecSys 2011)."""
    factors = rows.shape[1]
    width = len(gram)
    buffer = _new_buffer(side.indptr, width)
    state = aligned(4, width)
    solution = state[0]
    residual = state[1]
    direction = state[2]
    image = state[3]
    # The steps add nothing to the right side.
    nothing = np.zeros_like(buffer.right)
    left_side = Buffer(buffer.vectors, nothing, buffer.left, buffer.products)
    for row in range(len(rows)):
        at = side.indptr[row]
        count = side.indptr[row + 1] - at
        diagonal = side.regularization[row]
        if not count:
            rows[row] = 0
            continue
        for k in range(factors):
            solution[k] = rows[row, k]
            direction[k] = -solution[k]
        _multiply_gram(gram, diagonal, direction, residual)
        _weigh(side, weights, at, at + count, buffer)
        for first in range(0, count, _CHUNK):
            last = min(first + _CHUNK, count)
            _gather(across, side.columns, at, buffer.vectors, first, last)
            _add_pairs(buffer, first, last, direction, residual, True)
        _write(residual, direction)
        norm = _dot(residual, residual)
        for step in range(steps):
            if norm < _SOLVED:
                break
            _multiply_gram(gram, diagonal, direction, image)
            curvature = _dot(direction, image)
            is_last = step + 1 == steps  # it needs no new residual
            curvature += _add_pairs(left_side, 0, count, direction, image, not is_last)
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
