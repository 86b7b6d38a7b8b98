"""Multiply sparse matrices row by row in compiled loops; `recsys.models.sparse` calls them.

`sums` has a number for each column, all 0 between two rows; `touched` has the columns that are not.
A sum whose values cancel is `_CANCELLED`, so that no column is touched twice.
"""

from typing import NamedTuple

import numpy as np

from looplib.arrays import (
    AnyIntArray,
    BoolArray,
    Float32Array,
    FloatArray,
    Int32Array,
    IntArray,
)
from recsys.models.kernels.compiled import compiled

_CANCELLED = -np.finfo(np.float32).tiny


class Csr(NamedTuple):
    """The arrays of a CSR matrix, as compiled code takes them."""

    indptr: IntArray
    indices: Int32Array
    data: Float32Array
    columns: int


@compiled
def _add(
    sums: Float32Array,
    touched: Int32Array,
    count: int,
    column: int,
    value: float,
) -> int:
    """Add a value to a column, and return how many columns were touched."""
    if sums[column] == 0:
        touched[count] = column
        count += 1
    sums[column] += value
    if sums[column] == 0:
        sums[column] = _CANCELLED
    return count


@compiled
def _multiply_row(
    left: Csr,
    right: Csr,
    row: int,
    sums: Float32Array,
    touched: Int32Array,
) -> int:
    """Add a row of the product to `sums`; return how many columns were touched."""
    count = 0
    for at in range(left.indptr[row], left.indptr[row + 1]):
        inner = left.indices[at]
        factor = left.data[at]
        for other in range(right.indptr[inner], right.indptr[inner + 1]):
            product = factor * right.data[other]
            if product != 0:
                count = _add(sums, touched, count, right.indices[other], product)
    return count


@compiled
def _keep_best(
    sums: Float32Array,
    touched: Int32Array,
    best: Int32Array,
    values: Float32Array,
) -> None:
    """Keep the largest sums of the touched columns, and set all of them to 0."""
    added = sums[touched]
    k = len(best)
    least = np.float32(0)
    if len(added) > k:
        least = np.partition(added, len(added) - k)[len(added) - k]
    best_columns = np.sort(touched[added >= least])
    order = np.argsort(-sums[best_columns], kind="mergesort")
    rank = 0
    for position in order:
        column = best_columns[position]
        if rank < k and sums[column] > 0:
            best[rank] = column
            values[rank] = sums[column]
            rank += 1
    for column in touched:
        sums[column] = 0


@compiled
def top_rows(
    first: int,
    last: int,
    left: Csr,
    right: Csr,
    left_out: Csr,
    best: Int32Array,
    values: Float32Array,
) -> None:
    """Find the largest products of some rows."""
    sums = np.zeros(right.columns, np.float32)
    touched = np.empty(right.columns, np.int32)
    for row in range(first, last):
        count = _multiply_row(left, right, row, sums, touched)
        for at in range(left_out.indptr[row], left_out.indptr[row + 1]):
            sums[left_out.indices[at]] = 0
        _keep_best(sums, touched[:count], best[row], values[row])


@compiled
def rows_at(
    first: int,
    last: int,
    left: Csr,
    right: Csr,
    places: Csr,
    products: Float32Array,
) -> None:
    """Find the products of some rows at some places."""
    sums = np.zeros(right.columns, np.float32)
    touched = np.empty(right.columns, np.int32)
    for row in range(first, last):
        count = _multiply_row(left, right, row, sums, touched)
        for at in range(places.indptr[row], places.indptr[row + 1]):
            products[at] = sums[places.indices[at]]
        for column in touched[:count]:
            sums[column] = 0


@compiled
def group_plays(plays: Int32Array, starts: IntArray, by_track: AnyIntArray) -> None:
    """Write the positions of plays into `by_track`, track by track; `starts` moves along."""
    for position, track in enumerate(plays):
        by_track[starts[track]] = position
        starts[track] += 1


@compiled
def near_rows(
    first: int,
    last: int,
    plays: Int32Array,
    by_track: Int32Array,
    starts: IntArray,
    is_first: BoolArray,
    window: int,
    backward: float,
    weight: FloatArray,
    best: Int32Array,
    values: Float32Array,
) -> None:
    """Find the nearest tracks of some tracks.

    Args:
        first: The first track.
        last: The track after the last.
        plays: Tracks, one listener's plays after the other's, shape (plays,).
        by_track: Positions of these plays, track by track.
        starts: Where the plays of a track begin in `by_track`, shape (tracks + 1,).
        is_first: Whether a listener's plays begin, or all end; shape (plays + 1,).
        window: Largest distance of two plays.
        backward: Weight of a play before the track's, against a play after it.
        weight: Weight of each track, shape (tracks,).
        best: Columns, best first, which are written.
        values: Their closeness, which is written.
    """
    sums = np.zeros(len(weight), np.float32)
    touched = np.empty(len(weight), np.int32)
    for track in range(first, last):
        count = 0
        for play in by_track[starts[track] : starts[track + 1]]:
            begin, end = play, play + 1
            while not is_first[begin] and begin > play - window:
                begin -= 1
            while not is_first[end] and end <= play + window:
                end += 1
            for other in range(begin, end):
                column = plays[other]
                if column == track:
                    continue
                near = 1 / (other - play) if other > play else backward / (play - other)
                value = weight[track] * weight[column] * near
                count = _add(sums, touched, count, column, value)
        _keep_best(sums, touched[:count], best[track], values[track])
