"""Weighted ridge regressions of many rows at once: what an ALS sweep over a sparse matrix is made of."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from looplib.arrays import AnyIntArray, Float32Array

_BLOCK = 150_000  # observations whose features are in memory at once, for each thread


class Grouping:
    """Observations by row: those of row r are `order[starts[r]:starts[r + 1]]`, in their own order.

    Attributes:
        rows: How many rows there are.
        counts: Observations of each row, shape (rows,).
    """

    def __init__(self, row: AnyIntArray, rows: int) -> None:
        """Groups observations, whose rows are given, shape (observations,)."""
        self.rows = rows
        self.counts = np.bincount(row, minlength=rows)
        self.order = np.argsort(row, kind="stable").astype(np.int32)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])

    def blocks(self) -> list[tuple[int, int]]:
        """Ranges of rows that hold about `_BLOCK` observations each."""
        cuts = np.searchsorted(self.starts, np.arange(_BLOCK, self.starts[-1], _BLOCK))
        ends = np.unique(np.concatenate([[0], cuts, [self.rows]])).tolist()
        return list(pairwise(ends))


def solve_rows(
    by_row: Grouping,
    features: Float32Array,
    column: AnyIntArray,
    targets: Float32Array,
    weights: Float32Array,
    precision: Float32Array,
    prior: Float32Array,
    threads: int,
) -> Float32Array:
    """The vector x of each row that minimises sum(w (y - f . x)^2) + (x - m)' P (x - m) over the row's observations.

    Args:
        by_row: The observations of each row.
        features: f of each column, shape (columns, k).
        column: The column of each observation, shape (observations,).
        targets: y, likewise.
        weights: w, likewise.
        precision: P, the inverse covariance of the rows' vectors about m, shape (k, k).
        prior: m of each row, shape (rows, k).
        threads: Threads to use; the result does not depend on it.

    Returns:
        The vectors, shape (rows, k); a row without observations has its m.
    """
    solved = np.empty_like(prior)

    def solve_block(block: tuple[int, int]) -> None:
        first, last = block
        starts = by_row.starts[first : last + 1] - by_row.starts[first]
        these = by_row.order[by_row.starts[first] : by_row.starts[last]]
        design = features[column[these]]
        owners = np.repeat(prior[first:last], np.diff(starts), axis=0)
        roots = np.sqrt(weights[these])
        residuals = (targets[these] - np.einsum("ij,ij->i", design, owners)) * roots
        design *= roots[:, None]
        gram = np.empty((last - first, *precision.shape), dtype=np.float32)
        moment = np.empty((last - first, len(precision), 1), dtype=np.float32)
        for row in range(last - first):
            own = slice(starts[row], starts[row + 1])
            np.matmul(design[own].T, design[own], out=gram[row])
            np.matmul(residuals[own], design[own], out=moment[row, :, 0])
        gram += precision
        solved[first:last] = prior[first:last] + np.linalg.solve(gram, moment)[:, :, 0]

    _run(solve_block, by_row.blocks(), threads)
    return solved


def paired_dots(left: Float32Array, i: AnyIntArray, right: Float32Array, j: AnyIntArray, threads: int) -> Float32Array:
    """left[i] . right[j] for each pair of rows, shape (pairs,)."""
    dots = np.empty(len(i), dtype=np.float32)

    def multiply(block: tuple[int, int]) -> None:
        own = slice(*block)
        np.einsum("ij,ij->i", left[i[own]], right[j[own]], out=dots[own])

    _run(multiply, [(start, start + _BLOCK) for start in range(0, len(i), _BLOCK)], threads)
    return dots


def grouped_means(group: AnyIntArray, groups: int, values: Float32Array) -> Float32Array:
    """The mean of the values of each group, shape (groups, k); 0 for an empty one."""
    counts = np.maximum(np.bincount(group, minlength=groups), 1)
    sums = [np.bincount(group, column, minlength=groups) for column in values.T]
    return (np.stack(sums, axis=1) / counts[:, None]).astype(np.float32)


def precision_of(deviations: Float32Array) -> Float32Array:
    """The inverse covariance of some vectors (n, k), drawn towards a sphere of their mean variance when n is small."""
    count, size = deviations.shape
    covariance = np.atleast_2d(np.cov(deviations.T, bias=True)) if count else np.zeros((size, size))
    spread = max(float(np.trace(covariance)) / size, 1e-3)
    blended = (count * covariance + size * spread * np.eye(size)) / (count + size)
    return np.linalg.inv(blended).astype(np.float32)


def _run(job: Callable[[tuple[int, int]], None], blocks: list[tuple[int, int]], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(job, blocks))
