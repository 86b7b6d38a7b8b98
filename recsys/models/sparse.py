"""Multiply sparse matrices row by row, and keep the largest of each row.

In: CSR matrices. Out: the best columns of each row of a product, or the product at some places. A
row of the product is summed in a dense array, so the memory is a row for each thread, however
many values the product has.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags

from looplib.arrays import (
    NO_TRACK,
    AnyArray,
    AnyIntArray,
    Float32Array,
    Int32Array,
    IntArray,
    offsets,
)
from looplib.next_play import Lists

_ROWS = 256  # rows that a thread takes at once


def top_products(
    left: csr_matrix,
    right: csr_matrix,
    k: int,
    threads: int,
    left_out: csr_matrix | None = None,
) -> tuple[Int32Array, Float32Array]:
    """Find the k largest positive values in each row of a product of two sparse matrices.

    Ties go to the smaller column.

    Args:
        left: Shape (rows, inner).
        right: Shape (inner, columns).
        k: Number of values of a row that are kept.
        threads: Number of rows computed at once, which changes no result.
        left_out: Places with a value are not kept; shape (rows, columns).

    Returns:
        Columns, `NO_TRACK` where fewer are positive, and their values; both (rows, k).
    """
    rows = left.shape[0]
    best = np.full((rows, k), NO_TRACK, np.int32)
    values = np.zeros((rows, k), np.float32)
    if left_out is None:
        left_out = csr_matrix((rows, right.shape[1]))

    from recsys.models.kernels import products as kernels

    arrays = map(_arrays, (left, right, left_out))
    _share_out(kernels.top_rows, rows, threads, *arrays, best, values)
    return best, values


def products_at(
    left: csr_matrix,
    right: csr_matrix,
    places: csr_matrix,
    threads: int,
) -> Float32Array:
    """Compute a product of two sparse matrices where a third has values, in the order of these.

    Args:
        left: Shape (rows, inner).
        right: Shape (inner, columns).
        places: Shape (rows, columns); its values do not count.
        threads: How many rows are computed at once.

    Returns:
        Values, shape (values of `places`,).
    """
    products = np.zeros(places.nnz, np.float32)

    from recsys.models.kernels import products as kernels

    arrays = map(_arrays, (left, right, places))
    _share_out(kernels.rows_at, places.shape[0], threads, *arrays, products)
    return products


def top_neighbours(
    indptr: IntArray,
    tracks: Int32Array,
    columns: int,
    window: int,
    power: float,
    k: int,
    threads: int,
    *,
    backward: float = 1.0,
) -> csr_matrix:
    """Find the tracks that are played most often near each track.

    Two plays of a listener or session at a distance of d plays, at most `window`, add 1 / d to both
    tracks' closeness, which is divided by (plays of the first x plays of the second) to a power:
    at 1/2 it is a cosine.

    Args:
        indptr: Where the plays of each listener or session begin and end, shape (n + 1,).
        tracks: The plays, in order, shape (plays,).
        columns: Number of tracks.
        window: Largest distance of two plays.
        power: Power of the normalisation.
        k: Neighbours of a track that are kept.
        threads: Number of tracks computed at once.
        backward: Weight of a play before the row's track, against a play after it.

    Returns:
        Closeness, shape (tracks, tracks), at most k values a row.
    """
    plays = np.bincount(tracks, minlength=columns)
    weight = np.maximum(plays, 1).astype(np.float64) ** -power
    starts = offsets(plays)
    is_first = np.zeros(len(tracks) + 1, np.bool_)
    is_first[indptr] = True
    is_short = len(tracks) < np.iinfo(np.int32).max
    by_track: AnyIntArray = np.empty(len(tracks), np.int32 if is_short else np.int64)
    best = np.full((columns, k), NO_TRACK, np.int32)
    values = np.zeros((columns, k), np.float32)

    from recsys.models.kernels import products as kernels
    from recsys.models.kernels.compiled import compiling

    with compiling(kernels.group_plays):
        kernels.group_plays(tracks, starts.copy(), by_track)
    plays_by_track = (tracks, by_track, starts, is_first)
    closeness = (window, backward, weight, best, values)
    _share_out(kernels.near_rows, columns, threads, *plays_by_track, *closeness)
    return _to_matrix(best, values, columns)


def nearest(
    left: csr_matrix,
    right: csr_matrix,
    k: int,
    threads: int,
    left_out: csr_matrix | None = None,
) -> csr_matrix:
    """Keep the k largest values in each row of a product as a matrix; see `top_products`."""
    best, values = top_products(left, right, k, threads, left_out)
    return _to_matrix(best, values, right.shape[1])


def rank_rows(scores: csr_matrix, k: int) -> Int32Array:
    """Rank the columns of each row by its values; of equals the smaller column comes first.

    Shape (rows, k), `NO_TRACK` where a row has fewer.
    """
    best = np.full((scores.shape[0], k), NO_TRACK, np.int32)
    # a single row is in the caches: eight times as fast as all at once
    for row, (start, end) in enumerate(pairwise(scores.indptr)):
        columns = scores.indices[start:end]
        order = np.lexsort((columns, -scores.data[start:end]))[:k]
        best[row, : len(order)] = columns[order]
    return best


def divide_rows(matrix: csr_matrix, sizes: AnyArray) -> csr_matrix:
    """Divide each row by its size, shape (rows,); an empty row stays."""
    return csr_matrix(diags(1 / np.where(sizes > 0, sizes, 1)) @ matrix)


def to_lists(matrix: csr_matrix) -> Lists:
    """Make lists of the values of each row."""
    indptr = matrix.indptr.astype(np.int64)
    tracks = matrix.indices.astype(np.int32, copy=False)
    values = matrix.data.astype(np.float32, copy=False)
    return Lists(indptr[:-1], indptr[1:], tracks, values)


def _to_matrix(best: Int32Array, values: Float32Array, columns: int) -> csr_matrix:
    is_kept = best != NO_TRACK
    indptr = offsets(is_kept.sum(axis=1))
    arrays = (values[is_kept], best[is_kept], indptr)
    matrix = csr_matrix(arrays, shape=(len(best), columns))
    matrix.sort_indices()
    return matrix


def _arrays(matrix: csr_matrix) -> Any:  # noqa: ANN401  compiled code's tuple of arrays
    from recsys.models.kernels.products import Csr

    return Csr(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32, copy=False),
        matrix.data.astype(np.float32, copy=False),
        matrix.shape[1],
    )


def _share_out(
    function: Callable[..., None],
    rows: int,
    threads: int,
    *arguments: Any,  # noqa: ANN401  of any kind
) -> None:
    """Call a compiled function for all rows, some at a time: the first, the last, the arguments."""
    from recsys.models.kernels.compiled import compiling

    with compiling(function):
        function(0, 0, *arguments)

    def run(first: int) -> None:
        function(first, min(first + _ROWS, rows), *arguments)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, range(0, rows, _ROWS)))
