"""Solve one side of an ALS fit in compiled loops; importing this takes half a second.

In: interactions and the other side's factors. Out: the side's factors, written in place. Read `solve` first, then
`solve_by_cg`. The vectors that a row's interactions need are copied into one buffer, and every step runs on that. A
row's operations have one order, whatever rows stand beside it, so that no number of threads or blocks changes a bit.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from looplib.arrays import Float32Array, Int32Array, IntArray
from recsys.models.compiled import compiled

_CHUNK = 32  # vectors that are copied and then used while they are in the fastest cache
_AHEAD = 16  # a vector is asked for this many vectors before it is copied; memory takes that long
_LANES = 16  # numbers that a processor multiplies at once; buffers are padded to a multiple of it
_LONG = 512  # vectors that BLAS multiplies at once
_SOLVED = np.float32(1e-20)  # squared residual at which conjugate gradients end, as in implicit


class Side(NamedTuple):
    """Interactions of consecutive rows."""

    indptr: IntArray  # shape (rows + 1,); into the next two
    others: Int32Array  # the others that a row heard or skipped
    values: Float32Array  # listening time of what was heard, minus the number of skips of what was never heard
    regularization: Float32Array  # λ_u, shape (rows,)


class Weights(NamedTuple):
    """Confidences, float32: of a unit of listening time, of a skip, and of a pair without interaction."""

    alpha: np.float32
    skip: np.float32
    unobserved: np.float32


class Buffer(NamedTuple):
    """What a row's interactions add to its equations: right_j y_j to the right side, left_j y_j y_jᵀ to the left."""

    vectors: Float32Array  # y, shape (length, factors or more)
    right: Float32Array  # c_ui where it was heard, else 0; shape (length,)
    left: Float32Array  # c_ui - w


def solve(
    rows: Float32Array, others: Float32Array, side: Side, weights: Weights, cg_steps: int | None, threads: int
) -> None:
    """Solve all rows in place, shape (rows, factors), from factors of the other side, shape (others, factors).

    Conjugate gradients begin at the rows; without `cg_steps` the solution is exact, by Cholesky's factorization.

    Raises:
        LinAlgError: The equations of a row have no single solution.
    """
    others = np.ascontiguousarray(others)
    width = -(-others.shape[1] // _LANES) * _LANES if cg_steps is not None else others.shape[1]
    gram = np.zeros((width, width), dtype=np.float32)
    gram[: others.shape[1], : others.shape[1]] = weights.unobserved * (others.T @ others)

    def solve_part(first: int, last: int) -> None:
        indptr, regularization = side.indptr[first : last + 1], side.regularization[first:last]
        part = side._replace(indptr=indptr, regularization=regularization)
        if cg_steps is None:
            _solve_by_cholesky(rows[first:last], others, gram, part, weights)
        else:
            solve_by_cg(rows[first:last], others, gram, part, weights, cg_steps)

    # A row costs its interactions, and the products with the Gram matrix.
    work = side.indptr - side.indptr[0] + np.arange(len(side.indptr)) * (width // 2)
    edges = np.unique(np.searchsorted(work, np.linspace(0, work[-1], 4 * threads + 1)))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(solve_part, edges[:-1].tolist(), edges[1:].tolist()))


@intrinsic
def _prefetch(_context: Any, array: Any, _row: Any, _column: Any) -> Any:  # noqa: ANN401  numba's and LLVM's objects
    """Ask the memory for an element of an array before it is used: an instruction that numba has no name for."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401  as above
        made = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = cgutils.get_item_pointer(context, builder, signature.args[0], made, arguments[1:])
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        of_type = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        instruction = cgutils.get_or_insert_function(builder.module, of_type, "llvm.prefetch.p0")
        # To read (0), keep in all caches (3), data (1).
        builder.call(instruction, [builder.bitcast(address, pointer), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return numba.types.void(array, numba.types.intp, numba.types.intp), generate


@compiled
def _gather(others: Float32Array, side: Side, weights: Weights, at: int, buffer: Buffer, first: int, last: int) -> None:
    """Fill `buffer[first:last]` with a row's interactions, the row's first one being at `at`, and pad to four."""
    end = side.indptr[-1] - 1
    for j in range(first, last):
        ahead = side.others[min(at + j + _AHEAD, end)]
        for k in range(0, others.shape[1], _LANES):
            _prefetch(others, ahead, k)
        value = side.values[at + j]
        heard = value >= 0
        buffer.left[j] = weights.alpha * value if heard else -weights.skip * value
        buffer.right[j] = weights.unobserved + buffer.left[j] if heard else np.float32(0)
        source, target = others[side.others[at + j]], buffer.vectors[j]
        for k in range(others.shape[1]):
            target[k] = source[k]
    for j in range(last, first + (last - first + 3) // 4 * 4):
        buffer.left[j] = buffer.right[j] = 0
        buffer.vectors[j] = 0


@compiled
def _add_pairs(buffer: Buffer, first: int, last: int, direction: Float32Array, out: Float32Array) -> None:
    """Add Σ_j (right_j + left_j y_j · direction) y_j, four at a time, so that `direction` and `out` are read less."""
    for j in range(first, last, 4):
        a, b, c, d = buffer.vectors[j], buffer.vectors[j + 1], buffer.vectors[j + 2], buffer.vectors[j + 3]
        p = q = r = s = np.float32(0)
        for k in range(direction.size):
            p += direction[k] * a[k]
            q += direction[k] * b[k]
            r += direction[k] * c[k]
            s += direction[k] * d[k]
        p = buffer.right[j] + buffer.left[j] * p
        q = buffer.right[j + 1] + buffer.left[j + 1] * q
        r = buffer.right[j + 2] + buffer.left[j + 2] * r
        s = buffer.right[j + 3] + buffer.left[j + 3] * s
        for k in range(direction.size):
            out[k] += p * a[k] + q * b[k] + r * c[k] + s * d[k]


@compiled
def _multiply_gram(gram: Float32Array, diagonal: float, direction: Float32Array, out: Float32Array) -> None:
    """Write (gram + diagonal I) direction, from four rows of the symmetric matrix at a time."""
    for k in range(direction.size):
        out[k] = diagonal * direction[k]
    for j in range(0, direction.size, 4):
        a, b, c, d = gram[j], gram[j + 1], gram[j + 2], gram[j + 3]
        p, q, r, s = direction[j], direction[j + 1], direction[j + 2], direction[j + 3]
        for k in range(direction.size):
            out[k] += p * a[k] + q * b[k] + r * c[k] + s * d[k]


@compiled
def _dot(left: Float32Array, right: Float32Array) -> np.float32:
    total = np.float32(0)
    for k in range(left.size):
        total += left[k] * right[k]
    return total


@compiled
def _new_buffer(length: int, width: int) -> Buffer:
    length += 4  # the last four may have one interaction
    return Buffer(np.zeros((length, width), np.float32), np.zeros(length, np.float32), np.zeros(length, np.float32))


@compiled
def solve_by_cg(
    rows: Float32Array, others: Float32Array, gram: Float32Array, side: Side, weights: Weights, steps: int
) -> None:
    """Take conjugate-gradient steps towards each row's solution (Takács, Pilászy and Tikk, RecSys 2011)."""
    factors, width = rows.shape[1], len(gram)
    buffer = _new_buffer(np.max(np.diff(side.indptr)), width)
    solution, residual = np.zeros(width, np.float32), np.zeros(width, np.float32)
    direction, image = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for row in range(len(rows)):
        at, count = side.indptr[row], side.indptr[row + 1] - side.indptr[row]
        if not count:
            rows[row] = 0
            continue
        diagonal = side.regularization[row]
        solution[:factors] = rows[row]
        np.negative(solution, direction)
        _multiply_gram(gram, diagonal, direction, residual)
        for first in range(0, count, _CHUNK):
            last = min(first + _CHUNK, count)
            _gather(others, side, weights, at, buffer, first, last)
            _add_pairs(buffer, first, last, direction, residual)
        buffer.right[:count] = 0
        direction[:] = residual
        norm = _dot(residual, residual)
        for _ in range(steps):
            if norm < _SOLVED:
                break
            _multiply_gram(gram, diagonal, direction, image)
            _add_pairs(buffer, 0, count, direction, image)
            length, before = norm / _dot(direction, image), norm
            for k in range(width):
                solution[k] += length * direction[k]
                residual[k] -= length * image[k]
            norm = _dot(residual, residual)
            for k in range(width):
                direction[k] = residual[k] + norm / before * direction[k]
        rows[row] = solution[:factors]


@compiled
def _solve_by_cholesky(
    rows: Float32Array, others: Float32Array, gram: Float32Array, side: Side, weights: Weights
) -> None:
    """Solve each row from the factor of its matrix, which BLAS multiplies from many vectors at once."""
    factors = rows.shape[1]
    buffer = _new_buffer(_LONG, factors)
    product = np.zeros_like(gram)
    for row in range(len(rows)):
        first, last = side.indptr[row], side.indptr[row + 1]
        solution = rows[row]
        solution[:] = 0
        if first == last:
            continue
        left = gram.copy()
        for at in range(first, last, _LONG):
            count = min(last - at, _LONG)
            _gather(others, side, weights, at, buffer, 0, count)
            for j in range(count):
                solution += buffer.right[j] * buffer.vectors[j]
                buffer.vectors[j] *= np.sqrt(buffer.left[j])
            np.dot(buffer.vectors[:count].T, buffer.vectors[:count], product)
            left += product
        for k in range(factors):
            left[k, k] += side.regularization[row]
        lower = np.linalg.cholesky(left)
        for k in range(factors):
            solution[k] = (solution[k] - _dot(lower[k, :k], solution[:k])) / lower[k, k]
        for k in range(factors - 1, -1, -1):
            solution[k] /= lower[k, k]
            solution[:k] -= solution[k] * lower[k, :k]
