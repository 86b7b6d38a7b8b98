"""Find the largest inner products of factors; importing this takes half a second.

In: factors of listeners and tracks. Out: the best tracks of each listener, exactly. Read
`rank_tracks` first. Products of 32 bits find tracks that may be among a listener's best; products
of 64 bits, which do not depend on the rows beside, order them. Tracks with the longest vectors come
first: most listeners need not look at the shortest.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import Float32Array, FloatArray, Int32Array, IntArray
from recsys.models.kernels.compiled import compiled, compiling
from recsys.models.kernels.vectors import (
    LANES,
    TOGETHER,
    aligned,
    multiply_rows,
    reaches,
)

_AT_ONCE = 512  # listeners that are ranked together
_TILE = 1040  # tracks at once: an odd number of cache lines, so that caches hold all factors
_ERROR = np.finfo(
    np.float32
).eps  # error of a product, for each factor and unit of length


class Listeners(NamedTuple):
    """Some listeners, and tracks that may not be in their lists."""

    factors: Float32Array  # shape (listeners, factors)
    # where a listener's columns begin in `seen`, shape (listeners + 1,)
    seen_from: IntArray
    seen: Int32Array  # columns, ascending


class Tracks(NamedTuple):
    """Some tracks."""

    columns: Int32Array  # shape (tracks,)
    factors: Float32Array  # shape (tracks, factors)
    transposed: Float32Array  # the same, shape (factors, tracks and more)


class Best(NamedTuple):
    """The best tracks of some listeners so far, best first; shapes (listeners, k)."""

    columns: Int32Array  # -1 if there is none yet
    products: FloatArray  # -inf if there is none


def rank_tracks(
    users: Float32Array,
    items: Float32Array,
    k: int,
    threads: int,
    seen: csr_matrix | None = None,
    *,
    only_seen: bool = False,
) -> tuple[Int32Array, FloatArray]:
    """Find the k tracks with the largest inner product with each listener's factors.

    Ties go to the smaller column. Tracks with a value in `seen`, shape (listeners, tracks), are
    left out, or only these are ranked. If all products are equal, as for a vector of zeros, each is
    computed exactly: that is slow.

    Returns:
        Columns, best first, -1 where `seen` leaves fewer, and products; both (listeners, k).
    """
    lengths = np.linalg.norm(items, axis=1)
    columns = np.argsort(-lengths, kind="stable").astype(np.int32)
    lengths = lengths[columns]
    by_length = items[columns]
    lists = np.full((len(users), k), -1, dtype=np.int32)
    products = np.full(lists.shape, -np.inf)
    if seen is None:
        seen = csr_matrix((len(users), len(items)))
    seen.sort_indices()

    tiles = []
    for start in range(0, 0 if only_seen else len(items), _TILE):
        factors = by_length[start : start + _TILE]
        transposed = aligned(items.shape[1], _TILE)
        transposed[:, : len(factors)] = factors.T
        tiles.append(Tracks(columns[start : start + _TILE], factors, transposed))

    def rank_part(first: int) -> None:
        part = slice(first, first + _AT_ONCE)
        indptr = seen.indptr[first : part.stop + 1].astype(np.int64)
        seen_columns = seen.indices.astype(np.int32, copy=False)
        listeners = Listeners(np.ascontiguousarray(users[part]), indptr, seen_columns)
        best = Best(lists[part], products[part])
        if only_seen:
            keep_seen(listeners, np.ascontiguousarray(items), best)
        own_lengths = np.linalg.norm(users[part], axis=1)
        for tracks, longest in zip(tiles, lengths[::_TILE], strict=False):
            largest = own_lengths * longest
            errors = _ERROR * users.shape[1] * largest
            rows = np.flatnonzero(largest + errors >= best.products[:, -1])
            keep_best(rows, errors, listeners, tracks, best)
            if not len(rows):
                break

    with compiling(keep_best):
        rank_part(len(users))
    parts = range(0, len(users), _AT_ONCE)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(rank_part, parts))
    products[lists < 0] = 0
    return lists, products


@compiled
def _is_seen(listeners: Listeners, row: int, column: np.int32) -> bool:
    first = listeners.seen_from[row]
    last = listeners.seen_from[row + 1]
    if first == last:
        return False
    seen = listeners.seen[first:last]
    at = np.searchsorted(seen, column)
    return bool(at < seen.size and seen[at] == column)


@compiled
def _insert(
    best: Best,
    row: int,
    column: int,
    product: float,
) -> None:
    """Put a track in its place of a list, if it is good enough."""
    k = best.columns.shape[1]
    at = k
    while at:
        column_before = best.columns[row, at - 1]
        before = best.products[row, at - 1]
        if before > product or (before == product and column_before < column):
            break
        if at < k:
            best.columns[row, at] = column_before
            best.products[row, at] = before
        at -= 1
    if at < k:
        best.columns[row, at] = column
        best.products[row, at] = product


@compiled
def _multiply_exactly(left: Float32Array, right: Float32Array) -> float:
    product = 0.0
    for factor in range(left.size):
        product += np.float64(left[factor]) * np.float64(right[factor])
    return product


@compiled
def keep_seen(listeners: Listeners, items: Float32Array, best: Best) -> None:
    """Add the tracks that listeners have seen to lists; `items` has the factors of all tracks."""
    for row in range(len(listeners.factors)):
        factors = listeners.factors[row]
        for at in range(listeners.seen_from[row], listeners.seen_from[row + 1]):
            column = listeners.seen[at]
            _insert(best, row, column, _multiply_exactly(factors, items[column]))


@compiled
def keep_best(
    rows: IntArray,
    errors: FloatArray,
    listeners: Listeners,
    tracks: Tracks,
    best: Best,
) -> None:
    """Add tracks to lists.

    Args:
        rows: The listeners whose lists they may enter.
        errors: Largest difference of products of 32 and 64 bits, shape (listeners,).
        listeners: All listeners.
        tracks: Tracks that may be added.
        best: The lists, which are changed.
    """
    width = tracks.transposed.shape[1]
    factors = aligned(TOGETHER, listeners.factors.shape[1])
    products = aligned(TOGETHER, width)
    for first in range(0, len(rows), TOGETHER):
        block = rows[first : first + TOGETHER]
        for n, row in enumerate(block):
            factors[n] = listeners.factors[row]
        for column in range(0, width, LANES):
            multiply_rows(factors, tracks.transposed, column, products)
        for n, row in enumerate(block):
            _keep_best_of(products[n], row, errors[row], listeners, tracks, best)


@compiled
def _keep_best_of(
    rounded: Float32Array,
    row: int,
    error: float,
    listeners: Listeners,
    tracks: Tracks,
    best: Best,
) -> None:
    least = np.float32(best.products[row, -1] - error)
    count = len(tracks.columns)
    for first in range(0, count, LANES):
        if not reaches(rounded, first, least):  # nearly always
            continue
        for track in range(first, min(first + LANES, count)):
            column = tracks.columns[track]
            if rounded[track] < least or _is_seen(listeners, row, column):
                continue
            factors = listeners.factors[row]
            product = _multiply_exactly(factors, tracks.factors[track])
            _insert(best, row, column, product)
            least = np.float32(best.products[row, -1] - error)
