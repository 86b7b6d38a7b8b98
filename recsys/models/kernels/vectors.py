"""Multiply vectors of factors with a processor's vector instructions, written in LLVM's words.

In: arrays whose rows are padded to a multiple of `LANES`. Out: functions for the compiled loops.
Numba has no words for these instructions. In a loop of numba's, each inner product ends with a sum
over lanes, which takes longer than a short product: here eight such sums are computed together.
"""

from contextlib import contextmanager
from functools import partial, wraps
from types import SimpleNamespace

import numba
import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name
from numba.core import cgutils
from numba.extending import intrinsic

from looplib.arrays import Float32Array
from recsys.models.kernels.compiled import compiled

LANES = 16  # numbers that are multiplied at once
TOGETHER = 8  # vectors that are multiplied at once: as many sums as a processor has registers for
PROCESSOR = numba.config.CPU_NAME or get_host_cpu_name()
# `NUMBA_CPU_NAME` and `NUMBA_CPU_FEATURES` compile for another processor.
_FEATURES = numba.config.CPU_FEATURES
if _FEATURES is None:  # empty for the processor `generic`
    _FEATURES = get_host_cpu_features().flatten()
HAS_512_BITS = "+avx512f" in _FEATURES.split(",")
_SUMS = TOGETHER if HAS_512_BITS else TOGETHER // 2  # rows of a product at once
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


def _instructions(build, returned=numba.types.void):
    """Make a function for compiled code from a builder of its instructions.

    `build` takes LLVM's builder and the arguments: whole numbers as indices, of an array its
    `shape` and a function `at` for the address of an element, as that of a kind of value.
    """

    @wraps(build)  # Numba reads the names of the arguments
    def define(_context, *types):
        def generate(
            context,
            builder,
            signature,
            values,
        ):
            def opened(kind, value):
                if not isinstance(kind, numba.types.Array):
                    return value
                array = context.make_array(kind)(context, builder, value)

                def at(element, *position):
                    address = cgutils.get_item_pointer(
                        context, builder, kind, array, position
                    )
                    return builder.bitcast(address, element.as_pointer())

                shape = cgutils.unpack_tuple(builder, array.shape)
                return SimpleNamespace(at=at, shape=shape)

            result = build(builder, *map(opened, signature.args, values))
            return context.get_dummy_value() if result is None else result

        arguments = [
            _INDEX if isinstance(kind, numba.types.Integer) else kind for kind in types
        ]
        return returned(*arguments), generate

    return intrinsic(define)


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


def _eight(builder, first):
    """Return eight positions from the first."""
    return [builder.add(first, first.type(n)) for n in range(TOGETHER)]


def _add_lanes(builder, vectors):
    """Return the sum of the lanes of each of eight vectors, as a vector.

    Pairs of vectors become a vector, three times.
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


@_instructions
def prefetch(builder, vectors, row):
    """Ask the memory for a row that is multiplied soon."""
    # Flags: read (0), keep in all caches (3), data (1).
    how = (_WORD(0), _WORD(3), _WORD(1))
    with _steps(builder, vectors.shape[1]) as k:
        address = vectors.at(_BYTE, row, k)
        _instruction(builder, "prefetch.p0", ir.VoidType(), address, *how)


@partial(_instructions, returned=numba.types.float32)
def multiply(
    builder,
    vectors,
    places,
    first,
    direction,
    left,
    right,
    out,
):
    """Write right_j + left_j p_j for eight vectors, where p_j = y_j · direction.

    Returns Σ_j left_j p_j².
    """
    rows = [builder.load(places.at(_LONG, n)) for n in _eight(builder, first)]
    totals = [cgutils.alloca_once_value(builder, _ZERO) for _ in rows]
    with _steps(builder, direction.shape[0]) as k:
        along = builder.load(direction.at(_FLOATS, k), align=4)
        for row, total in zip(rows, totals, strict=True):
            before = builder.load(total)
            after = _multiply_add(builder, vectors.at(_FLOATS, row, k), along, before)
            builder.store(after, total)
    products = _add_lanes(builder, [builder.load(total) for total in totals])
    weighted = builder.fmul(builder.load(left.at(_EIGHT, first), align=4), products)
    sums = builder.fadd(builder.load(right.at(_EIGHT, first), align=4), weighted)
    builder.store(sums, out.at(_EIGHT, first), align=4)
    squares = builder.fmul(weighted, products)
    name = f"vector.reduce.fadd.v{TOGETHER}f32"
    return _instruction(builder, name, _FLOAT, _FLOAT(0), squares)


@_instructions
def add_multiples(
    builder,
    vectors,
    places,
    first,
    weights,
    out,
):
    """Add eight vectors to `out`, each times its weight."""
    eight = _eight(builder, first)
    rows = [builder.load(places.at(_LONG, n)) for n in eight]
    factors = [_spread(builder, builder.load(weights.at(_FLOAT, n))) for n in eight]
    with _steps(builder, out.shape[0]) as k:
        # Two sums at a time, and `out` last: a processor waits less for earlier results.
        sums = [_ZERO, _ZERO]
        for n, (row, factor) in enumerate(zip(rows, factors, strict=True)):
            address = vectors.at(_FLOATS, row, k)
            sums[n % 2] = _multiply_add(builder, address, factor, sums[n % 2])
        before = builder.load(out.at(_FLOATS, k), align=4)
        after = builder.fadd(builder.fadd(*sums), before)
        builder.store(after, out.at(_FLOATS, k), align=4)


@_instructions
def multiply_rows(
    builder,
    rows,
    matrix,
    column,
    out,
):
    """Write columns of the product of eight rows with a matrix: `LANES` from the one given."""
    # Sums that find no register would be written to memory.
    for start in range(0, TOGETHER, _SUMS):
        numbers = [column.type(n) for n in range(start, start + _SUMS)]
        totals = [cgutils.alloca_once_value(builder, _ZERO) for _ in numbers]
        with _steps(builder, matrix.shape[0], 1) as k:
            address = matrix.at(_FLOATS, k, column)
            for row, total in zip(numbers, totals, strict=True):
                factor = _spread(builder, builder.load(rows.at(_FLOAT, row, k)))
                before = builder.load(total)
                after = _multiply_add(builder, address, factor, before)
                builder.store(after, total)
        for row, total in zip(numbers, totals, strict=True):
            builder.store(builder.load(total), out.at(_FLOATS, row, column), align=4)


@partial(_instructions, returned=numba.types.boolean)
def reaches(builder, numbers, first, least):
    """Check whether any of `LANES` numbers is at least `least`."""
    vector = builder.load(numbers.at(_FLOATS, first), align=4)
    flags = builder.fcmp_ordered(">=", vector, _spread(builder, least))
    bits = builder.bitcast(flags, ir.IntType(LANES))
    return builder.icmp_unsigned("!=", bits, bits.type(0))
