"""Find the largest inner products of factors in compiled loops; importing this takes half a second.

In: factors of listeners and tracks. Out: the best tracks of each listener, exactly. Read
`rank_tracks` first. Factors are rounded to 16 bits, at which a processor multiplies several times
as many numbers at once. A listener keeps the tracks whose rounded product is so near the k-th
largest that rounding may have put it below; exact products order those. Tracks with the longest
vectors come first: most listeners need not look at those with the shortest.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from looplib.arrays import Float32Array, FloatArray, Int32Array, IntArray
from recsys.models.kernels.compiled import compiled
from recsys.models.kernels.vectors import LANES, TOGETHER, multiply_rounded

_AT_ONCE = 256  # listeners that are ranked together
_TILE = 128  # blocks of `LANES` tracks that stay in a fast cache meanwhile
_ROOM = 96  # tracks kept for a listener, beyond k, before the best k of them are chosen
# of the longest rounded vector: the products of two such fit into 32 bits
_LENGTH = 32_000
_LEAST = np.int32(np.iinfo(np.int32).min)
_MOST = np.int32(np.iinfo(np.int32).max)


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
    users: Float32Array,
    items: Float32Array,
    k: int,
    threads: int,
    seen: csr_matrix | None = None,
) -> tuple[Int32Array, FloatArray]:
    """Find the k tracks with the largest inner product with each listener's factors.

    Of equal products the smaller column is better. Of `seen`, shape (listeners, tracks), what a
    listener has a value for is left out. Where all products are equal, as of a vector of zeros,
    each is computed exactly: that is slow.

    Returns:
        Columns, best first, -1 where `seen` leaves fewer, and products; both (listeners, k).
    """
    tracks = _pack_tracks(items)
    lists = np.full((len(users), k), -1, dtype=np.int32)
    products = np.zeros(lists.shape)
    if seen is not None and not seen.has_sorted_indices:
        seen = seen.sorted_indices()

    def rank_part(first: int) -> None:
        part = slice(first, first + _AT_ONCE)
        own = Seen(np.empty(0, np.int64), np.empty(0, np.int32))
        if seen is not None:
            indptr = seen.indptr[first : part.stop + 1].astype(np.int64)
            own = Seen(indptr, seen.indices.astype(np.int32, copy=False))
        factors = np.ascontiguousarray(users[part])
        found = lists[part], products[part]
        rank_some(_round_listeners(factors), factors, tracks, own, *found)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(rank_part, range(0, len(users), _AT_ONCE)))
    return lists, products


def _pack_tracks(factors: Float32Array) -> Tracks:
    count, rank = factors.shape
    lengths = np.linalg.norm(factors, axis=1)
    columns = np.argsort(-lengths, kind="stable").astype(np.int32)
    pairs = -(-rank // 2)
    blocks = -(-count // LANES)
    rounded = np.zeros((blocks * LANES, 2 * pairs), dtype=np.int16)
    longest = lengths[columns[0]] or 1.0
    rounded[:count, :rank] = np.rint(factors[columns] * (_LENGTH / longest))
    by_pair = rounded.reshape(blocks, LANES, pairs, 2).transpose(0, 2, 1, 3)
    packed = by_pair.reshape(blocks, pairs, 2 * LANES)
    # Each of the two vectors misses by at most half in every factor, and a product by that times
    # the other's sum.
    error = 0.51 * rank**0.5 * (2 * _LENGTH + rank**0.5)
    largest = lengths[columns[:: _TILE * LANES]] / longest
    bounds = np.ceil(largest * _LENGTH**2 + error).astype(np.int32)
    slack = np.int32(2 * error)
    return Tracks(np.ascontiguousarray(packed), bounds, columns, factors, slack)


def _round_listeners(factors: Float32Array) -> Int32Array:
    """Round vectors, each to the same length.

    Shape (listeners, padded to a full step; pairs of factors).
    """
    count, rank = factors.shape
    lengths = np.linalg.norm(factors, axis=1, keepdims=True)
    size = -(-count // TOGETHER) * TOGETHER
    rounded = np.zeros((size, -(-rank // 2) * 2), dtype=np.int16)
    scale = _LENGTH / np.where(lengths > 0, lengths, 1)
    rounded[:count, :rank] = np.rint(factors * scale)
    return rounded.view(np.int32)


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
            kept.positions[row, left] = kept.positions[row, j]
            kept.products[row, left] = kept.products[row, j]
            left += 1
    kept.counts[row] = left


@compiled
def _choose(
    kept: Kept, row: int, tracks: Tracks, factors: Float32Array, best: FloatArray
) -> None:
    """Put the best k of a listener's tracks first, by exact products, and forget the others.

    The products are written to `best`, shape (k,).
    """
    k = len(best)
    positions = kept.positions[row]
    chosen = 0
    for j in range(kept.counts[row]):
        if kept.products[row, j] < kept.least[row]:
            continue
        position = positions[j]
        product = 0.0
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
            best[later] = best[later - 1]
            positions[later] = positions[later - 1]
        best[at] = product
        positions[at] = position
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
    # A name for a part of an array costs two atomic operations, which take longer than the rest.
    k = kept.largest.shape[1]
    for slot in range(LANES):
        product = products[number, slot]
        position = block * LANES + slot
        if product < kept.least[row] or position >= tracks.columns.size:
            continue
        if _is_seen(seen, row, tracks.columns[position]):
            continue
        count = kept.counts[row]
        kept.positions[row, count] = position
        kept.products[row, count] = product
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
    best: FloatArray,
) -> None:
    """Keep of a tile's tracks what may be among the best of the listeners from row `first` on."""
    products = np.zeros((TOGETHER, LANES), np.int32)
    packed = tracks.packed
    end = min((tile + 1) * _TILE, len(packed))
    for block in range(tile * _TILE, end):
        bits = multiply_rounded(rounded, first, packed, block, kept.least, products)
        for number in range(TOGETHER if bits else 0):
            row = first + number
            if not bits >> number & 1:
                continue
            _keep(products, number, block, row, kept, tracks, seen)
            if kept.counts[row] + LANES > kept.positions.shape[1]:
                _forget(kept, row)
            if kept.counts[row] + LANES > kept.positions.shape[1]:
                _choose(kept, row, tracks, factors[row], best[row])


@compiled
def rank_some(
    rounded: Int32Array,
    factors: Float32Array,
    tracks: Tracks,
    seen: Seen,
    lists: Int32Array,
    best: FloatArray,
) -> None:
    """Write the best tracks of some listeners and their products, both (listeners, k)."""
    size = len(rounded)
    k = lists.shape[1]
    room = k + _ROOM + LANES
    kept = Kept(
        np.full(size, _LEAST),
        np.full((size, k), _LEAST),
        np.zeros((size, room), np.int32),
        np.zeros((size, room), np.int32),
        np.zeros(size, np.int64),
    )
    kept.least[len(factors) :] = _MOST  # of the rows that fill the last step
    for tile in range(len(tracks.bounds)):
        for first in range(0, size, TOGETHER):
            if tracks.bounds[tile] < np.min(kept.least[first : first + TOGETHER]):
                continue
            _rank_tile(rounded, first, tile, kept, tracks, seen, factors, best)
    for row in range(len(factors)):
        _choose(kept, row, tracks, factors[row], best[row])
        for at in range(kept.counts[row]):
            lists[row, at] = tracks.columns[kept.positions[row, at]]
