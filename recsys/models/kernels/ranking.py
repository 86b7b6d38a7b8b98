"""Find the largest inner products of factors; importing this takes half a second.

In: factors of listeners and tracks. Out: the best tracks of each listener, exactly. Read
`rank_tracks` first. Products of 32 bits find what may be among a listener's best; products of 64
bits, which do not depend on the rows beside, order those. Tracks with the longest vectors come
first: most listeners need not look at those with the shortest.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.sparse import csr_matrix

from looplib.arrays import Float32Array, FloatArray, Int32Array, IntArray
from recsys.models.kernels.als import BLAS
from recsys.models.kernels.compiled import compiled, compiling

_AT_ONCE = 512  # listeners that are ranked together
_TILE = 512  # tracks whose products with these are in memory at once
_ERROR = np.finfo(np.float32).eps  # of a product, for each factor and unit of length


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
    lengths = np.linalg.norm(items, axis=1)
    columns = np.argsort(-lengths, kind="stable").astype(np.int32)
    lengths = lengths[columns]
    items = items[columns]
    lists = np.full((len(users), k), -1, dtype=np.int32)
    products = np.full(lists.shape, -np.inf)
    if seen is None:
        seen = csr_matrix((len(users), len(items)))
    seen.sort_indices()

    def rank_part(first: int) -> None:
        part = slice(first, first + _AT_ONCE)
        seen_from = seen.indptr[first : part.stop + 1].astype(np.int64)
        seen_columns = seen.indices.astype(np.int32, copy=False)
        listeners = np.ascontiguousarray(users[part])
        best = products[part]
        user_lengths = np.linalg.norm(listeners, axis=1)
        for start in range(0, len(items), _TILE):
            tile = slice(start, start + _TILE)
            largest = user_lengths * lengths[start]
            errors = _ERROR * users.shape[1] * largest
            rows = np.flatnonzero(largest + errors >= best[:, -1])
            rounded = listeners[rows] @ items[tile].T
            least = best[rows, -1:] - errors[rows, np.newaxis]
            keep_best(
                rounded,
                np.flatnonzero(rounded >= least.astype(np.float32)),
                rows,
                errors,
                listeners,
                seen_from,
                seen_columns,
                columns[tile],
                items[tile],
                lists[part],
                best,
            )
            if not len(rows):
                break

    with compiling(keep_best):
        rank_part(len(users))
    parts = range(0, len(users), _AT_ONCE)
    limited = BLAS.limit(limits=1, user_api="blas")
    with limited, ThreadPoolExecutor(threads) as pool:
        list(pool.map(rank_part, parts))
    products[lists < 0] = 0
    return lists, products


@compiled
def _insert(
    columns: Int32Array,
    products: FloatArray,
    column: int,
    product: float,
) -> None:
    """Put a track in its place of a list, best first, if it has one."""
    k = columns.size
    at = k
    while at:
        column_before = columns[at - 1]
        before = products[at - 1]
        if before > product or (before == product and column_before < column):
            break
        if at < k:
            columns[at] = column_before
            products[at] = before
        at -= 1
    if at < k:
        columns[at] = column
        products[at] = product


@compiled
def keep_best(
    rounded: Float32Array,
    candidates: IntArray,
    rows: IntArray,
    errors: FloatArray,
    users: Float32Array,
    seen_from: IntArray,
    seen: Int32Array,
    columns: Int32Array,
    items: Float32Array,
    lists: Int32Array,
    products: FloatArray,
) -> None:
    """Add tracks to lists.

    Args:
        rounded: Products of 32 bits, shape (rows, tracks).
        candidates: Positions among all of these that may be large enough for a list.
        rows: The listeners of these, shape (rows,).
        errors: By how much a product of 32 bits may differ from that of 64, shape (listeners,).
        users: Factors of all listeners, shape (listeners, factors).
        seen_from: Where a listener's columns begin in `seen`, shape (listeners + 1,).
        seen: Columns that may not be in a list, ascending.
        columns: What may be added, shape (tracks,).
        items: Its factors, shape (tracks, factors).
        lists: The best columns so far, shape (listeners, k), -1 where there are none; changed.
        products: Their products of 64 bits, -inf where there are none; changed.
    """
    for candidate in candidates:
        number, track = divmod(candidate, len(columns))
        row = rows[number]
        column = columns[track]
        if rounded[number, track] < products[row, -1] - errors[row]:
            continue
        own_seen = seen[seen_from[row] : seen_from[row + 1]]
        at = np.searchsorted(own_seen, column)
        if at < own_seen.size and own_seen[at] == column:
            continue
        product = 0.0
        for factor in range(items.shape[1]):
            left = np.float64(users[row, factor])
            product += left * np.float64(items[track, factor])
        _insert(lists[row], products[row], column, product)
