"""Multiply vectors of factors with a processor's vector instructions, written in LLVM's words.

Numba has none for them.

In: arrays whose rows are padded to a multiple of `LANES`. Out: what the compiled loops call. In a
loop of numba's, each inner product ends with a sum over lanes, which takes longer than a short
product; here eight such sums are one.
"""

from collections.abc import Iterable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from looplib.arrays import Float32Array
from recsys.models.compiled import compiled

LANES = 16  # numbers that are multiplied at once
TOGETHER = 8  # vectors that are multiplied at once
WORD, _FLOAT, _INDEX = ir.IntType(32), ir.FloatType(), numba.types.intp
_FLOATS, _EIGHT = ir.VectorType(_FLOAT, LANES), ir.VectorType(_FLOAT, TOGETHER)
_ZERO = ir.Constant(_FLOATS, [0.0] * LANES)


@compiled
def aligned(rows: int, columns: int) -> Float32Array:
    """Return zeros that begin at a cache line.

    `columns` is a multiple of `LANES`, or only the first row does.
    """
    numbers = np.zeros(rows * columns + LANES, np.float32)
    start = -(numbers.ctypes.data // 4) % LANES
    return numbers[start : start + rows * columns].reshape(rows, columns)


def open_arrays(
    context: Any, builder: Any, signature: Any, values: Any
) -> tuple[Any, Any]:
    """Return two functions of an intrinsic's arrays, named by their number among the arguments.

    The first returns an element's address, as the address of a kind of value, and the second an
    array's shape.
    """

    def array(number: int) -> Any:
        return context.make_array(signature.args[number])(
            context, builder, values[number]
        )

    def pointer(kind: Any, number: int, *at: Any) -> Any:
        address = cgutils.get_item_pointer(
            context, builder, signature.args[number], array(number), at
        )
        return builder.bitcast(address, kind.as_pointer())

    return pointer, lambda number: cgutils.unpack_tuple(builder, array(number).shape)


def shuffle(
    builder: Any, positions: Iterable[int], first: Any, second: Any = None
) -> Any:
    """Return the numbers at these positions of a vector, or of two, the second behind the first."""
    chosen = [WORD(position) for position in positions]
    return builder.shuffle_vector(
        first, second or first, ir.Constant(ir.VectorType(WORD, len(chosen)), chosen)
    )


def spread(builder: Any, value: Any) -> Any:
    """Return a vector that holds a value in every lane."""
    empty = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    return shuffle(builder, [0] * LANES, builder.insert_element(empty, value, WORD(0)))


def _instruction(builder: Any, name: str, returned: Any, *values: Any) -> Any:
    of_type = ir.FunctionType(returned, [value.type for value in values])
    return builder.call(
        cgutils.get_or_insert_function(builder.module, of_type, f"llvm.{name}"), values
    )


def _multiply_add(builder: Any, address: Any, factor: Any, total: Any) -> Any:
    # Sums written as such LLVM would put in an order that takes longer.
    return _instruction(
        builder,
        f"fmuladd.v{LANES}f32",
        _FLOATS,
        builder.load(address, align=4),
        factor,
        total,
    )


def _add_lanes(builder: Any, vectors: list[Any]) -> Any:
    """Return the sum of the lanes of each of eight vectors, as a vector.

    Pairs of vectors become one, three times.
    """
    step = TOGETHER // 2
    while step:
        # A lane whose number has the bit `step` holds a sum of the second vector, any other one of
        # the first.
        own = [lane + LANES * bool(lane & step) for lane in range(LANES)]
        other = [(lane ^ step) + LANES * bool(lane & step) for lane in range(LANES)]
        pairs = zip(vectors[:step], vectors[step:], strict=True)
        vectors = [
            builder.fadd(shuffle(builder, own, *pair), shuffle(builder, other, *pair))
            for pair in pairs
        ]
        step //= 2
    halves = (
        shuffle(builder, range(first, first + TOGETHER), vectors[0])
        for first in (0, TOGETHER)
    )
    return builder.fadd(*halves)


@intrinsic
def copy(
    _context: Any, source: Any, _row: Any, _ahead: Any, target: Any, _to: Any
) -> Any:
    """Copy a row, and ask the memory for the row `ahead`, which is copied soon."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        (pointer, shape), (_, row, ahead, _, to) = (
            open_arrays(context, builder, signature, values),
            values,
        )
        end, number = shape(0)[1], row.type
        with cgutils.for_range_slice(
            builder, number(0), end, number(LANES), number
        ) as (k, _):
            # To read (0), keep in all caches (3), data (1).
            address = pointer(ir.IntType(8), 0, ahead, k)
            _instruction(
                builder,
                "prefetch.p0",
                ir.VoidType(),
                address,
                WORD(0),
                WORD(3),
                WORD(1),
            )
            builder.store(
                builder.load(pointer(_FLOATS, 0, row, k), align=4),
                pointer(_FLOATS, 3, to, k),
                align=4,
            )
        return context.get_dummy_value()

    return numba.types.void(source, _INDEX, _INDEX, target, _INDEX), generate


@intrinsic
def multiply(
    _context: Any,
    vectors: Any,
    _first: Any,
    direction: Any,
    left: Any,
    right: Any,
    out: Any,
) -> Any:
    """Write right_j + left_j p_j for eight vectors, where p_j = y_j · direction.

    Returns Σ_j left_j p_j².
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        (pointer, shape), first = (
            open_arrays(context, builder, signature, values),
            values[1],
        )
        end, number = shape(2)[0], first.type
        rows = [builder.add(first, number(n)) for n in range(TOGETHER)]
        totals = [cgutils.alloca_once_value(builder, _ZERO) for _ in rows]
        with cgutils.for_range_slice(
            builder, number(0), end, number(LANES), number
        ) as (k, _):
            along = builder.load(pointer(_FLOATS, 2, k), align=4)
            for row, total in zip(rows, totals, strict=True):
                address = pointer(_FLOATS, 0, row, k)
                builder.store(
                    _multiply_add(builder, address, along, builder.load(total)), total
                )
        products = _add_lanes(builder, [builder.load(total) for total in totals])
        of_left, of_right = (
            builder.load(pointer(_EIGHT, argument, first), align=4)
            for argument in (3, 4)
        )
        weighted = builder.fmul(of_left, products)
        builder.store(
            builder.fadd(of_right, weighted), pointer(_EIGHT, 5, first), align=4
        )
        squares = builder.fmul(weighted, products)
        return _instruction(
            builder, f"vector.reduce.fadd.v{TOGETHER}f32", _FLOAT, _FLOAT(0), squares
        )

    return numba.types.float32(vectors, _INDEX, direction, left, right, out), generate


@intrinsic
def add_multiples(
    _context: Any, vectors: Any, _first: Any, weights: Any, out: Any
) -> Any:
    """Add eight vectors to `out`, each times its weight."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        (pointer, shape), first = (
            open_arrays(context, builder, signature, values),
            values[1],
        )
        end, number = shape(3)[0], first.type
        rows = [builder.add(first, number(n)) for n in range(TOGETHER)]
        factors = [
            spread(builder, builder.load(pointer(_FLOAT, 2, row))) for row in rows
        ]
        with cgutils.for_range_slice(
            builder, number(0), end, number(LANES), number
        ) as (k, _):
            # Two sums at a time, and `out` last: a processor waits less for earlier results.
            sums = [_ZERO, _ZERO]
            for n, (row, factor) in enumerate(zip(rows, factors, strict=True)):
                sums[n % 2] = _multiply_add(
                    builder, pointer(_FLOATS, 0, row, k), factor, sums[n % 2]
                )
            address = pointer(_FLOATS, 3, k)
            before = builder.load(address, align=4)
            builder.store(builder.fadd(builder.fadd(*sums), before), address, align=4)
        return context.get_dummy_value()

    return numba.types.void(vectors, _INDEX, weights, out), generate
