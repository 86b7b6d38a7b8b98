"""Find the largest inner products of factors in compiled loops; importing this takes half a second.

In: factors of listeners and tracks. Out: the best tracks of each listener, exactly. Read
`rank_tracks` first. Factors are rounded to 16 bits, at which a processor multiplies several times
as many numbers at once. A listener keeps the tracks whose rounded product is so near the k-th
largest that rounding may have put it below; exact products order those. Tracks with the longest
vectors come first: most listeners need not look at those with the shortest.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from scipy.sparse import csr_matrix

from looplib.arrays import Float32Array, Int32Array, IntArray
from recsys.models.compiled import compiled
from recsys.models.vectors import LANES, WORD, open_arrays, shuffle, spread

_LISTENERS, _TRACKS = (
    8,
    LANES,
)  # multiplied at once: as many sums as a processor keeps in registers
_TOGETHER = 256  # listeners that are ranked together
_TILE = 128  # blocks of `_TRACKS` that stay in a fast cache meanwhile
_ROOM = 96  # tracks kept for a listener, beyond k, before the best k of them are chosen
# of the longest rounded vector: the products of two such fit into 32 bits
_LENGTH = 32_000
_HALVES = ir.VectorType(ir.IntType(16), 2 * _TRACKS)  # pairs of factors
_PRODUCTS, _SUMS = ir.VectorType(WORD, 2 * _TRACKS), ir.VectorType(WORD, _TRACKS)
_LEAST, _MOST = np.int32(np.iinfo(np.int32).min), np.int32(np.iinfo(np.int32).max)


class Tracks(NamedTuple):
    """Tracks, the longest vector first."""

    # rounded, shape (blocks, pairs of factors, 2 x tracks of a block)
    packed: npt.NDArray[np.int16]
    bounds: Int32Array  # no rounded product in a tile is larger, shape (tiles,)
    columns: Int32Array  # of the tracks in `factors`, shape (tracks,)
    factors: Float32Array  # shape (tracks, factors)
    slack: np.int32  # by how much rounding may change the difference of two products


class Seen(NamedTuple):
    """Columns that a listener's list leaves out, ascending, as in a CSR matrix.

    Its `indptr` is empty without any.
    """

    indptr: IntArray
    columns: Int32Array


class Kept(NamedTuple):
    """What may be among the best of some listeners."""

    least: Int32Array  # a rounded product below it is not, shape (listeners,)
    # the largest rounded products, best first, shape (listeners, k)
    largest: Int32Array
    positions: Int32Array  # of the tracks kept, shape (listeners, k + room)
    products: Int32Array  # their rounded products, or more for what was chosen by its exact one
    counts: IntArray  # how many those are, shape (listeners,)


def rank_tracks(
    user_factors: Float32Array,
    item_factors: Float32Array,
    k: int,
    threads: int,
    seen: csr_matrix | None = None,
) -> Int32Array:
    """Find the k tracks with the largest inner product with each listener's factors.

    Of equal products the smaller column is better. Of `seen`, shape (listeners, tracks), what a
    listener has a value for is left out. Where all products are equal, as of a vector of zeros,
    each is computed exactly: that is slow.

    Returns:
        Columns, best first, shape (listeners, k); -1 where `seen` leaves fewer.
    """
    tracks = _pack_tracks(item_factors)
    lists = np.full((len(user_factors), k), -1, dtype=np.int32)
    if seen is not None and not seen.has_sorted_indices:
        seen = seen.sorted_indices()

    def rank_some(first: int) -> None:
        part = slice(first, first + _TOGETHER)
        own = Seen(np.empty(0, np.int64), np.empty(0, np.int32))
        if seen is not None:
            own = Seen(
                seen.indptr[first : part.stop + 1].astype(np.int64), seen.indices
            )
        factors = user_factors[part]
        _rank(
            _round_listeners(factors),
            np.ascontiguousarray(factors),
            tracks,
            own,
            lists[part],
        )

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(rank_some, range(0, len(user_factors), _TOGETHER)))
    return lists


def _pack_tracks(factors: Float32Array) -> Tracks:
    count, rank = factors.shape
    lengths = np.linalg.norm(factors, axis=1)
    columns = np.argsort(-lengths, kind="stable").astype(np.int32)
    pairs, blocks = -(-rank // 2), -(-count // _TRACKS)
    rounded = np.zeros((blocks * _TRACKS, 2 * pairs), dtype=np.int16)
    longest = lengths[columns[0]] or 1.0
    rounded[:count, :rank] = np.rint(factors[columns] * (_LENGTH / longest))
    packed = (
        rounded.reshape(blocks, _TRACKS, pairs, 2)
        .transpose(0, 2, 1, 3)
        .reshape(blocks, pairs, 2 * _TRACKS)
    )
    # Each of the two vectors misses by at most half in every factor, and a product by that times
    # the other's sum.
    error = 0.51 * rank**0.5 * (2 * _LENGTH + rank**0.5)
    bounds = lengths[columns[:: _TILE * _TRACKS]] / longest * _LENGTH**2 + error
    slack = np.int32(2 * error)
    return Tracks(
        np.ascontiguousarray(packed),
        np.ceil(bounds).astype(np.int32),
        columns,
        factors,
        slack,
    )


def _round_listeners(factors: Float32Array) -> Int32Array:
    """Round vectors, each to the same length.

    Shape (listeners, padded to a full step; pairs of factors).
    """
    count, rank = factors.shape
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    rounded = np.zeros(
        (-(-count // _LISTENERS) * _LISTENERS, -(-rank // 2) * 2), dtype=np.int16
    )
    rounded[:count, :rank] = np.rint(
        factors * (_LENGTH / np.where(lengths > 0, lengths, 1))
    )
    return rounded.view(np.int32)


def _pair_products(builder: Any, of_tracks: Any, pair: Any) -> Any:
    """Multiply two factors of a listener with those of every track.

    Processors have an instruction for all of it.
    """
    of_listener = builder.sext(
        builder.bitcast(spread(builder, pair), _HALVES), _PRODUCTS
    )
    products = builder.mul(of_tracks, of_listener)
    even, odd = (
        shuffle(builder, range(side, 2 * _TRACKS, 2), products) for side in (0, 1)
    )
    return builder.add(even, odd)


@intrinsic
def _multiply(
    _context: Any,
    rounded: Any,
    _row: Any,
    packed: Any,
    _block: Any,
    least: Any,
    products: Any,
) -> Any:
    """Multiply some listeners, from a row on, with a block of tracks.

    Returns a bit for each who has one to keep.

    Written in LLVM's words, as numba's own products of 16 bits have 64.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        (pointer, shape), (_, row, _, block, _, _) = (
            open_arrays(context, builder, signature, values),
            values,
        )
        numbers = [row.type(number) for number in range(_LISTENERS)]
        totals = [
            cgutils.alloca_once_value(builder, ir.Constant(_SUMS, [0] * _TRACKS))
            for _ in numbers
        ]
        with cgutils.for_range(builder, shape(2)[1]) as loop:
            address = pointer(_HALVES, 2, block, loop.index, numbers[0])
            of_tracks = builder.sext(builder.load(address, align=2), _PRODUCTS)
            for number, total in zip(numbers, totals, strict=True):
                pair = builder.load(
                    pointer(WORD, 0, builder.add(row, number), loop.index)
                )
                builder.store(
                    builder.add(
                        builder.load(total), _pair_products(builder, of_tracks, pair)
                    ),
                    total,
                )
        bits = numbers[0]
        for number, total in zip(numbers, totals, strict=True):
            found = builder.load(total)
            builder.store(found, pointer(_SUMS, 5, number, numbers[0]), align=4)
            needed = spread(
                builder, builder.load(pointer(WORD, 4, builder.add(row, number)))
            )
            reached = builder.bitcast(
                builder.icmp_signed(">=", found, needed), ir.IntType(_TRACKS)
            )
            bit = builder.zext(
                builder.icmp_unsigned("!=", reached, ir.IntType(_TRACKS)(0)), bits.type
            )
            bits = builder.or_(bits, builder.shl(bit, number))
        return bits

    index = numba.types.intp
    return index(rounded, index, packed, index, least, products), generate


@compiled
def _is_seen(seen: Seen, row: int, column: np.int32) -> bool:
    if not seen.indptr.size:
        return False
    own = seen.columns[seen.indptr[row] : seen.indptr[row + 1]]
    at = np.searchsorted(own, column)
    return bool(at < own.size and own[at] == column)


@compiled
def _forget(kept: Kept, row: int) -> None:
    """Forget the tracks of a listener whose rounded products have become too small."""
    left = 0
    for j in range(kept.counts[row]):
        if kept.products[row, j] >= kept.least[row]:
            kept.positions[row, left], kept.products[row, left] = (
                kept.positions[row, j],
                kept.products[row, j],
            )
            left += 1
    kept.counts[row] = left


@compiled
def _choose(kept: Kept, row: int, tracks: Tracks, factors: Float32Array) -> None:
    """Put the best k of a listener's tracks first, by exact products, and forget the others."""
    k, chosen = kept.largest.shape[1], 0
    best, positions = np.empty(k), kept.positions[row]
    for j in range(kept.counts[row]):
        if kept.products[row, j] < kept.least[row]:
            continue
        position, product = positions[j], 0.0
        column = tracks.columns[position]
        for f in range(factors.size):
            product += np.float64(factors[f]) * np.float64(tracks.factors[column, f])
        at = chosen
        while at and (
            best[at - 1] < product
            or (best[at - 1] == product and tracks.columns[positions[at - 1]] > column)
        ):
            at -= 1
        if at == k:
            continue
        chosen = min(chosen + 1, k)
        for later in range(chosen - 1, at, -1):
            best[later], positions[later] = best[later - 1], positions[later - 1]
        best[at], positions[at] = product, position
    kept.products[row, :chosen] = _MOST
    kept.counts[row] = chosen


@compiled
def _keep(
    products: Int32Array,
    number: int,
    block: int,
    row: int,
    kept: Kept,
    tracks: Tracks,
    seen: Seen,
) -> None:
    """Keep those of a block's tracks that may be among a listener's best."""
    # To name a part of an array costs two atomic operations, which would take longer than the rest.
    k = kept.largest.shape[1]
    for slot in range(_TRACKS):
        product, position = products[number, slot], block * _TRACKS + slot
        if product < kept.least[row] or position >= tracks.columns.size:
            continue
        if _is_seen(seen, row, tracks.columns[position]):
            continue
        count = kept.counts[row]
        kept.positions[row, count], kept.products[row, count] = position, product
        kept.counts[row] = count + 1
        at = k
        while at and kept.largest[row, at - 1] < product:
            at -= 1
        if at == k:
            continue
        for later in range(k - 1, at, -1):
            kept.largest[row, later] = kept.largest[row, later - 1]
        kept.largest[row, at] = product
        if kept.largest[row, k - 1] != _LEAST:
            kept.least[row] = kept.largest[row, k - 1] - tracks.slack


@compiled
def _rank_tile(
    rounded: Int32Array,
    first: int,
    tile: int,
    kept: Kept,
    tracks: Tracks,
    seen: Seen,
    factors: Float32Array,
) -> None:
    """Keep of a tile's tracks what may be among the best of the listeners from row `first` on."""
    products = np.zeros((_LISTENERS, _TRACKS), np.int32)
    packed, least = tracks.packed, kept.least
    for block in range(tile * _TILE, min((tile + 1) * _TILE, len(packed))):
        bits = _multiply(rounded, first, packed, block, least, products)
        for number in range(_LISTENERS if bits else 0):
            row = first + number
            if not bits >> number & 1:
                continue
            _keep(products, number, block, row, kept, tracks, seen)
            if kept.counts[row] + _TRACKS > kept.positions.shape[1]:
                _forget(kept, row)
            if kept.counts[row] + _TRACKS > kept.positions.shape[1]:
                _choose(kept, row, tracks, factors[row])


@compiled
def _rank(
    rounded: Int32Array,
    factors: Float32Array,
    tracks: Tracks,
    seen: Seen,
    lists: Int32Array,
) -> None:
    """Write the best tracks of some listeners, shape (listeners, k)."""
    size, k = len(rounded), lists.shape[1]
    room = k + _ROOM + _TRACKS
    kept = Kept(
        np.full(size, _LEAST),
        np.full((size, k), _LEAST),
        np.zeros((size, room), np.int32),
        np.zeros((size, room), np.int32),
        np.zeros(size, np.int64),
    )
    kept.least[len(factors) :] = _MOST  # of the rows that fill the last step
    for tile in range(len(tracks.bounds)):
        for first in range(0, size, _LISTENERS):
            if tracks.bounds[tile] < np.min(kept.least[first : first + _LISTENERS]):
                continue
            _rank_tile(rounded, first, tile, kept, tracks, seen, factors)
    for row in range(len(factors)):
        _choose(kept, row, tracks, factors[row])
        for at in range(kept.counts[row]):
            lists[row, at] = tracks.columns[kept.positions[row, at]]
