"""Find nearest tracks by the distance of embeddings, or by their inner product."""

import numpy as np

from looplib.arrays import Float32Array, IntArray

_CHUNK_ROWS = 256  # tracks whose distances to the whole catalogue are in memory at once


def nearest_tracks(
    embeddings: Float32Array,
    points: IntArray,
    count: int,
    *,
    by_inner_product: bool = False,
) -> IntArray:
    """Find the tracks nearest to each of some tracks, nearest first.

    They are the track itself, then others by growing Euclidean distance; or any by falling inner
    product.

    Args:
        embeddings: (tracks, dimensions).
        points: The tracks to look around (points,).
        count: How many to find, no more than there are.
        by_inner_product: Whether the largest inner products are nearest.

    Returns:
        Track ids (points, count).
    """
    distinct, inverse = np.unique(points, return_inverse=True)
    half_squares = 0.5 * np.einsum("ij,ij->i", embeddings, embeddings)
    nearest = np.empty((len(distinct), count), dtype=np.int64)
    for start in range(0, len(distinct), _CHUNK_ROWS):
        chunk = distinct[start : start + _CHUNK_ROWS]
        closeness = embeddings[chunk] @ embeddings.T
        if not by_inner_product:
            # dot - |track|^2 / 2 orders tracks as the distances do
            closeness -= half_squares
            closeness[np.arange(len(chunk)), chunk] = np.inf
        largest = np.argpartition(closeness, -count, axis=1)[:, -count:]
        values = np.take_along_axis(closeness, largest, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        rows = slice(start, start + len(chunk))
        nearest[rows] = np.take_along_axis(largest, order, axis=1)
    return nearest[inverse]
