"""Multiply vectors of factors with a processor's vector instructions, written in LLVM's words.

In: arrays whose rows are padded to a multiple of `LANES`. Out: what the compiled loops call. Numba
has no words for these instructions. In a loop of numba's, each inner product ends with a sum over
lanes, which takes longer than a short product: here eight such sums are one.
"""

from contextlib import contextmanager

import numba
import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba.core import cgutils
from numba.extending import intrinsic

from looplib.arrays import Float32Array
from recsys.models.kernels.compiled import compiled

LANES = 16  # numbers that are multiplied at once
TOGETHER = 8  # vectors that are multiplied at once: as many sums as a processor has registers for
_HAS_512_BITS = get_host_cpu_features().get("avx512f")
_SUMS = TOGETHER if _HAS_512_BITS else TOGETHER // 2  # of rows of a product at once
_INDEX = numba.types.intp
_BYTE = ir.IntType(8)
_WORD = ir.IntType(32)
_LONG = ir.IntType(64)
_FLOAT = ir.FloatType()
_FLOATS = ir.VectorType(_FLOAT, LANES)
_EIGHT = ir.VectorType(_FLOAT, TOGETHER)
_ZERO = ir.Constant(_FLOATS, [0.0] * LANES)


@compiled
def aligned(rows: int, columns: int) -> Float32Array:
    """Return zeros that begin at a cache line.

    `columns` is a multiple of `LANES`, or only the first row does.
    """
    numbers = np.zeros(rows * columns + LANES, np.float32)
    start = -(numbers.ctypes.data // 4) % LANES
    return numbers[start : start + rows * columns].reshape(rows, columns)


def _open_arrays(
    context,
    builder,
    signature,
    values,
):
    """Return two functions that take the number of an array among an intrinsic's arguments.

    The first returns the address of an element, as the address of a kind of value, and the second
    the array's shape.
    """

    def array(number):
        make = context.make_array(signature.args[number])
        return make(context, builder, values[number])

    def pointer(kind, number, *at):
        kind_of_array = signature.args[number]
        address = cgutils.get_item_pointer(
            context, builder, kind_of_array, array(number), at
        )
        return builder.bitcast(address, kind.as_pointer())

    return pointer, lambda number: cgutils.unpack_tuple(builder, array(number).shape)


def _shuffle(
    builder,
    positions,
    first,
    second=None,
):
    """Return the numbers at these positions of a vector, or of two, the second behind the first."""
    words = [_WORD(position) for position in positions]
    mask = ir.Constant(ir.VectorType(_WORD, len(words)), words)
    return builder.shuffle_vector(first, second or first, mask)


def _spread(builder, value):
    """Return a vector that holds a value in every lane."""
    empty = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    first = builder.insert_element(empty, value, _WORD(0))
    return _shuffle(builder, [0] * LANES, first)


def _instruction(
    builder,
    name,
    returned,
    *values,
):
    signature = ir.FunctionType(returned, [value.type for value in values])
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}")
    return builder.call(function, values)


def _multiply_add(
    builder,
    address,
    factor,
    total,
):
    # Sums written as such LLVM would put in an order that takes longer.
    vector = builder.load(address, align=4)
    name = f"fmuladd.v{LANES}f32"
    return _instruction(builder, name, _FLOATS, vector, factor, total)


@contextmanager
def _steps(builder, end, step=LANES):
    """Loop over the positions from 0 to `end`, `step` at a time."""
    number = end.type
    with cgutils.for_range_slice(builder, number(0), end, number(step), number) as loop:
        yield loop[0]


def _add_lanes(builder, vectors):
    """Return the sum of the lanes of each of eight vectors, as a vector.

    Pairs of vectors become one, three times.
    """
    step = TOGETHER // 2
    while step:
        # A lane whose number has the bit `step` holds a sum of the second vector, any other one of
        # the first.
        first = [lane + LANES * bool(lane & step) for lane in range(LANES)]
        other = [(lane ^ step) + LANES * bool(lane & step) for lane in range(LANES)]
        sums = []
        for pair in zip(vectors[:step], vectors[step:], strict=True):
            summand = _shuffle(builder, first, *pair)
            added = _shuffle(builder, other, *pair)
            sums.append(builder.fadd(summand, added))
        vectors = sums
        step //= 2
    low = _shuffle(builder, range(TOGETHER), vectors[0])
    high = _shuffle(builder, range(TOGETHER, LANES), vectors[0])
    return builder.fadd(low, high)


@intrinsic
def prefetch(_context, vectors, _row):
    """Ask the memory for a row that is multiplied soon."""

    def generate(
        context,
        builder,
        signature,
        values,
    ):
        pointer, shape = _open_arrays(context, builder, signature, values)
        # To read (0), keep in all caches (3), data (1).
        how = (_WORD(0), _WORD(3), _WORD(1))
        with _steps(builder, shape(0)[1]) as k:
            address = pointer(_BYTE, 0, values[1], k)
            _instruction(builder, "prefetch.p0", ir.VoidType(), address, *how)
        return context.get_dummy_value()

    return numba.types.void(vectors, _INDEX), generate


@intrinsic
def multiply(
    _context,
    vectors,
    places,
    _first,
    direction,
    left,
    right,
    out,
):
    """Write right_j + left_j p_j for eight vectors, where p_j = y_j · direction.

    Returns Σ_j left_j p_j².
    """

    def generate(
        context,
        builder,
        signature,
        values,
    ):
        pointer, shape = _open_arrays(context, builder, signature, values)
        first = values[2]
        positions = [builder.add(first, first.type(n)) for n in range(TOGETHER)]
        rows = [builder.load(pointer(_LONG, 1, position)) for position in positions]
        totals = [cgutils.alloca_once_value(builder, _ZERO) for _ in rows]
        with _steps(builder, shape(3)[0]) as k:
            along = builder.load(pointer(_FLOATS, 3, k), align=4)
            for row, total in zip(rows, totals, strict=True):
                address = pointer(_FLOATS, 0, row, k)
                before = builder.load(total)
                after = _multiply_add(builder, address, along, before)
                builder.store(after, total)
        products = _add_lanes(builder, [builder.load(total) for total in totals])
        left_weights = builder.load(pointer(_EIGHT, 4, first), align=4)
        right_weights = builder.load(pointer(_EIGHT, 5, first), align=4)
        weighted = builder.fmul(left_weights, products)
        sums = builder.fadd(right_weights, weighted)
        builder.store(sums, pointer(_EIGHT, 6, first), align=4)
        squares = builder.fmul(weighted, products)
        name = f"vector.reduce.fadd.v{TOGETHER}f32"
        return _instruction(builder, name, _FLOAT, _FLOAT(0), squares)

    return numba.types.float32(
        vectors, places, _INDEX, direction, left, right, out
    ), generate


@intrinsic
def add_multiples(
    _context,
    vectors,
    places,
    _first,
    weights,
    out,
):
    """Add eight vectors to `out`, each times its weight."""

    def generate(
        context,
        builder,
        signature,
        values,
    ):
        pointer, shape = _open_arrays(context, builder, signature, values)
        first = values[2]
        positions = [builder.add(first, first.type(n)) for n in range(TOGETHER)]
        rows = [builder.load(pointer(_LONG, 1, position)) for position in positions]
        weights = [builder.load(pointer(_FLOAT, 3, n)) for n in positions]
        factors = [_spread(builder, weight) for weight in weights]
        with _steps(builder, shape(4)[0]) as k:
            # Two sums at a time, and `out` last: a processor waits less for earlier results.
            sums = [_ZERO, _ZERO]
            for n, (row, factor) in enumerate(zip(rows, factors, strict=True)):
                address = pointer(_FLOATS, 0, row, k)
                sums[n % 2] = _multiply_add(builder, address, factor, sums[n % 2])
            address = pointer(_FLOATS, 4, k)
            before = builder.load(address, align=4)
            after = builder.fadd(builder.fadd(*sums), before)
            builder.store(after, address, align=4)
        return context.get_dummy_value()

    return numba.types.void(vectors, places, _INDEX, weights, out), generate


@intrinsic
def multiply_rows(
    _context,
    rows,
    matrix,
    _column,
    out,
):
    """Write columns of the product of eight rows with a matrix: `LANES` from the one given."""

    def generate(
        context,
        builder,
        signature,
        values,
    ):
        pointer, shape = _open_arrays(context, builder, signature, values)
        column = values[2]
        # Sums that find no register would be written to memory.
        for start in range(0, TOGETHER, _SUMS):
            rows = [column.type(n) for n in range(start, start + _SUMS)]
            totals = [cgutils.alloca_once_value(builder, _ZERO) for _ in rows]
            with _steps(builder, shape(1)[0], 1) as k:
                address = pointer(_FLOATS, 1, k, column)
                for row, total in zip(rows, totals, strict=True):
                    factor = builder.load(pointer(_FLOAT, 0, row, k))
                    before = builder.load(total)
                    spread = _spread(builder, factor)
                    after = _multiply_add(builder, address, spread, before)
                    builder.store(after, total)
            for row, total in zip(rows, totals, strict=True):
                address = pointer(_FLOATS, 3, row, column)
                builder.store(builder.load(total), address, align=4)
        return context.get_dummy_value()

    return numba.types.void(rows, matrix, _INDEX, out), generate


@intrinsic
def reaches(
    _context,
    numbers,
    _first,
    least,
):
    """Check whether one of `LANES` numbers is at least so large."""

    def generate(
        context,
        builder,
        signature,
        values,
    ):
        pointer, _ = _open_arrays(context, builder, signature, values)
        _, first, least = values
        vector = builder.load(pointer(_FLOATS, 0, first), align=4)
        flags = builder.fcmp_ordered(">=", vector, _spread(builder, least))
        bits = builder.bitcast(flags, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, bits.type(0))

    return numba.types.boolean(numbers, _INDEX, least), generate
