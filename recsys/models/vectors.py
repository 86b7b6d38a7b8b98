"""Multiply vectors of factors with a processor's vector instructions, written in LLVM's words: numba has none for them.

In: arrays whose rows are padded to a multiple of `LANES`. Out: what the compiled loops call. In a loop of numba's, each
inner product ends with a sum over lanes, which takes longer than a short product; here eight such sums are one.
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
    """Return zeros that begin at a cache line; `columns` is a multiple of `LANES`, or only the first row does."""
    numbers = np.zeros(rows * columns + LANES, np.float32)
    start = -(numbers.ctypes.data // 4) % LANES
    return numbers[start : start + rows * columns].reshape(rows, columns)


class Arguments:
    """The arguments of an intrinsic function, by number, and what arrays among them hold."""

    def __init__(self, context: Any, builder: Any, signature: Any, values: Any) -> None:
        """Take what numba passes to a function that generates code."""
        self._context, self._builder, self._types, self._values = context, builder, signature.args, values

    def _array(self, number: int) -> Any:
        return self._context.make_array(self._types[number])(self._context, self._builder, self._values[number])

    def length(self, number: int, axis: int) -> Any:
        """Return the length of an array along an axis."""
        return cgutils.unpack_tuple(self._builder, self._array(number).shape)[axis]

    def pointer(self, kind: Any, number: int, *at: Any) -> Any:
        """Return the address of an array's element, as the address of a kind of value."""
        array, of_type = self._array(number), self._types[number]
        address = cgutils.get_item_pointer(self._context, self._builder, of_type, array, at)
        return self._builder.bitcast(address, kind.as_pointer())

    def load(self, kind: Any, number: int, *at: Any) -> Any:
        """Read a value, as a vector, that begins at an array's element."""
        return self._builder.load(self.pointer(kind, number, *at), align=2)

    def store(self, value: Any, number: int, *at: Any) -> None:
        """Write a value, as a vector, that begins at an array's element."""
        self._builder.store(value, self.pointer(value.type, number, *at), align=2)


def shuffle(builder: Any, positions: Iterable[int], first: Any, second: Any = None) -> Any:
    """Return the numbers at these positions of a vector, or of two, the second behind the first."""
    chosen = [WORD(position) for position in positions]
    return builder.shuffle_vector(first, second or first, ir.Constant(ir.VectorType(WORD, len(chosen)), chosen))


def spread(builder: Any, value: Any) -> Any:
    """Return a vector that holds a value in every lane."""
    empty = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    return shuffle(builder, [0] * LANES, builder.insert_element(empty, value, WORD(0)))


def _multiply_add(builder: Any, left: Any, right: Any, total: Any) -> Any:
    # Sums written as such LLVM would put in an order that takes longer.
    of_type = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    instruction = cgutils.get_or_insert_function(builder.module, of_type, f"llvm.fmuladd.v{LANES}f32")
    return builder.call(instruction, [left, right, total])


def _add_lanes(builder: Any, vectors: list[Any]) -> Any:
    """Return the sum of the lanes of each of eight vectors, as a vector: pairs of vectors become one, three times."""
    step = TOGETHER // 2
    while step:
        # A lane whose number has the bit `step` holds a sum of the second vector, any other one of the first.
        own = [lane + LANES * bool(lane & step) for lane in range(LANES)]
        other = [(lane ^ step) + LANES * bool(lane & step) for lane in range(LANES)]
        pairs = zip(vectors[:step], vectors[step:], strict=True)
        vectors = [builder.fadd(shuffle(builder, own, *pair), shuffle(builder, other, *pair)) for pair in pairs]
        step //= 2
    halves = (shuffle(builder, range(first, first + TOGETHER), vectors[0]) for first in (0, TOGETHER))
    return builder.fadd(*halves)


@intrinsic
def copy(_context: Any, source: Any, _row: Any, _ahead: Any, target: Any, _to: Any) -> Any:
    """Copy a row, and ask the memory for the row `ahead`, which is copied soon."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arguments, (_, row, ahead, _, to) = Arguments(context, builder, signature, values), values
        byte = ir.IntType(8)
        of_type = ir.FunctionType(ir.VoidType(), [byte.as_pointer(), WORD, WORD, WORD])
        prefetch = cgutils.get_or_insert_function(builder.module, of_type, "llvm.prefetch.p0")
        end = arguments.length(0, 1)
        with cgutils.for_range_slice(builder, row.type(0), end, row.type(LANES), row.type) as (k, _):
            # To read (0), keep in all caches (3), data (1).
            builder.call(prefetch, [arguments.pointer(byte, 0, ahead, k), WORD(0), WORD(3), WORD(1)])
            arguments.store(arguments.load(_FLOATS, 0, row, k), 3, to, k)
        return context.get_dummy_value()

    return numba.types.void(source, _INDEX, _INDEX, target, _INDEX), generate


@intrinsic
def multiply(_context: Any, vectors: Any, _first: Any, direction: Any, left: Any, right: Any, out: Any) -> Any:
    """Write right_j + left_j p_j for eight vectors, where p_j = y_j · direction; returns Σ_j left_j p_j²."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arguments, first = Arguments(context, builder, signature, values), values[1]
        rows = [builder.add(first, first.type(number)) for number in range(TOGETHER)]
        totals = [cgutils.alloca_once_value(builder, _ZERO) for _ in rows]
        end = arguments.length(2, 0)
        with cgutils.for_range_slice(builder, first.type(0), end, first.type(LANES), first.type) as (k, _):
            along = arguments.load(_FLOATS, 2, k)
            for row, total in zip(rows, totals, strict=True):
                added = _multiply_add(builder, arguments.load(_FLOATS, 0, row, k), along, builder.load(total))
                builder.store(added, total)
        products = _add_lanes(builder, [builder.load(total) for total in totals])
        weighted = builder.fmul(arguments.load(_EIGHT, 3, first), products)
        arguments.store(builder.fadd(arguments.load(_EIGHT, 4, first), weighted), 5, first)
        of_type = ir.FunctionType(_FLOAT, [_FLOAT, _EIGHT])
        add_up = cgutils.get_or_insert_function(builder.module, of_type, f"llvm.vector.reduce.fadd.v{TOGETHER}f32")
        return builder.call(add_up, [_FLOAT(0), builder.fmul(weighted, products)])

    return numba.types.float32(vectors, _INDEX, direction, left, right, out), generate


@intrinsic
def add_multiples(_context: Any, vectors: Any, _first: Any, weights: Any, out: Any) -> Any:
    """Add eight vectors to `out`, each times its weight."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        arguments, first = Arguments(context, builder, signature, values), values[1]
        rows = [builder.add(first, first.type(number)) for number in range(TOGETHER)]
        spread_weights = [spread(builder, arguments.load(_FLOAT, 2, row)) for row in rows]
        end = arguments.length(3, 0)
        with cgutils.for_range_slice(builder, first.type(0), end, first.type(LANES), first.type) as (k, _):
            # Two sums at a time, and `out` last: a processor waits less for earlier results.
            sums = [_ZERO, _ZERO]
            for number, (row, weight) in enumerate(zip(rows, spread_weights, strict=True)):
                vector = arguments.load(_FLOATS, 0, row, k)
                sums[number % 2] = _multiply_add(builder, vector, weight, sums[number % 2])
            arguments.store(builder.fadd(builder.fadd(*sums), arguments.load(_FLOATS, 3, k)), 3, k)
        return context.get_dummy_value()

    return numba.types.void(vectors, _INDEX, weights, out), generate
