"""Nearest tracks by the distance of embeddings, or by their inner product."""

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

    Returns:
        Track ids (points, count); the embeddings are (tracks, dimensions), and `count` is no more
            than there are.
    """
    distinct, inverse = np.unique(points, return_inverse=True)
    half_squares = 0.5 * np.einsum("ij,ij->i", embeddings, embeddings)
    found = np.empty((len(distinct), count), dtype=np.int64)
    for start in range(0, len(distinct), _CHUNK_ROWS):
        chunk = distinct[start : start + _CHUNK_ROWS]
        # of equal order as the distances: dot - |track|^2 / 2
        closeness = embeddings[chunk] @ embeddings.T
        if not by_inner_product:
            closeness -= half_squares
            closeness[np.arange(len(chunk)), chunk] = np.inf
        found[start : start + len(chunk)] = _largest(closeness, count)
    return found[inverse]


def _largest(values: Float32Array, count: int) -> IntArray:
    """Return columns of the `count` largest values of each row, largest first."""
    chosen = np.argpartition(values, -count, axis=1)[:, -count:]
    order = np.argsort(
        -np.take_along_axis(values, chosen, axis=1), axis=1, kind="stable"
    )
    return np.take_along_axis(chosen, order, axis=1)
