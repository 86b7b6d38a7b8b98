"""Weighted ridge regressions of many rows at once, on features that are themselves estimates."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from looplib.arrays import AnyFloatArray, AnyIntArray, Float32Array

_BLOCK = 150_000  # observations whose features are in memory at once, for each thread
_INVERTED = 7  # one row in so many is inverted for the average covariance

Block = tuple[int, int]  # the first and the end


class Grouping:
    """Observations by row: row r has `counts[r]`, which are `order[starts[r]:starts[r + 1]]`."""

    def __init__(self, row: AnyIntArray, rows: int) -> None:
        """Group observations by their rows, shape (observations,)."""
        self.row = row
        self.counts = np.bincount(row, minlength=rows)
        self.order = np.argsort(row, kind="stable").astype(np.int32)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])

    def blocks(self) -> list[Block]:
        """Cut the rows into ranges that hold about `_BLOCK` observations each."""
        targets = np.arange(_BLOCK, self.starts[-1], _BLOCK)
        inner = np.searchsorted(self.starts, targets)
        cuts = np.unique([0, *inner, len(self.counts)]).tolist()
        return list(pairwise(cuts))


@dataclass(frozen=True)
class Observations:
    """Observations y = f . x of the rows' vectors x; arrays of shape (observations,)."""

    by_row: Grouping
    column: AnyIntArray  # whose features are f
    targets: AnyFloatArray  # y
    weights: AnyFloatArray  # inverse variances


@dataclass(frozen=True)
class Vectors:
    """Estimates of the vectors of rows, and how far they are off on average."""

    means: Float32Array  # shape (rows, k)
    covariance: Float32Array  # of an average row's error, shape (k, k)

    @classmethod
    def exact(cls, means: Float32Array) -> "Vectors":
        """Take vectors as if they were known without error."""
        size = means.shape[1]
        return cls(means, np.zeros((size, size), dtype=np.float32))

    def with_constant(self) -> "Vectors":
        """Append the constant 1, which is known."""
        ones = np.ones((len(self.means), 1), dtype=np.float32)
        return Vectors(np.hstack([self.means, ones]), np.pad(self.covariance, (0, 1)))

    def without_constant(self) -> "Vectors":
        """Leave out the last element."""
        means = np.ascontiguousarray(self.means[:, :-1])
        return Vectors(means, self.covariance[:-1, :-1])


def solve_rows(
    observed: Observations,
    features: Vectors,
    prior: Float32Array,
    precision: Float32Array,
    threads: int,
) -> Vectors:
    """Solve the ridge regression of each row.

    The vector x of a row minimises E sum(w (y - f . x)^2) + (x - m)' P (x - m) over its
    observations. The expectation is over the error of the features f, of covariance C: it adds
    sum(w) x' C x, so that features that are little known are trusted little (Lim and Teh,
    "Variational Bayesian approach to movie rating prediction", 3).

    Args:
        observed: The observations.
        features: f of each column.
        prior: m of each row, which is the vector of a row without observations; shape (rows, k).
        precision: P, the inverse covariance of the rows' vectors about m, shape (k, k).
        threads: Threads to use; the result does not depend on it.

    Returns:
        The vectors, and the covariance of their errors.
    """
    by_row = observed.by_row
    solved = np.empty_like(prior)

    def solve_block(block: Block) -> AnyFloatArray:
        first, end = block
        starts = by_row.starts[first : end + 1] - by_row.starts[first]
        chosen = by_row.order[by_row.starts[first] : by_row.starts[end]]
        row = np.repeat(np.arange(end - first), np.diff(starts))
        weights = observed.weights[chosen]
        roots = np.sqrt(weights)
        design = features.means[observed.column[chosen]]
        expected = np.einsum("ij,ij->i", design, prior[first:end][row])
        residuals = (observed.targets[chosen] - expected) * roots
        design *= roots[:, None]
        totals = np.bincount(row, weights, end - first).astype(np.float32)
        gram = precision + totals[:, None, None] * features.covariance
        moment = -totals[:, None] * (prior[first:end] @ features.covariance)
        for number in range(end - first):
            own = slice(starts[number], starts[number + 1])
            gram[number] += design[own].T @ design[own]
            moment[number] += residuals[own] @ design[own]
        moves = np.linalg.solve(gram, moment[:, :, None])[:, :, 0]
        solved[first:end] = prior[first:end] + moves
        inverses: AnyFloatArray = np.linalg.inv(gram[-first % _INVERTED :: _INVERTED])
        return np.asarray(inverses.sum(axis=0))

    sums = _run(solve_block, by_row.blocks(), threads)
    inverted = len(range(0, len(prior), _INVERTED))
    covariance = np.sum(sums, axis=0) / inverted
    return Vectors(solved, covariance.astype(np.float32))


def paired_dots(
    left: Float32Array,
    i: AnyIntArray,
    right: Float32Array,
    j: AnyIntArray,
    threads: int,
) -> Float32Array:
    """Compute left[i] . right[j] for each pair of rows, shape (pairs,)."""
    dots = np.empty(len(i), dtype=np.float32)

    def multiply(block: Block) -> None:
        own = slice(*block)
        np.einsum("ij,ij->i", left[i[own]], right[j[own]], out=dots[own])

    starts = range(0, len(i), _BLOCK)
    _run(multiply, [(start, start + _BLOCK) for start in starts], threads)
    return dots


def variances_along(directions: Float32Array, covariance: Float32Array) -> Float32Array:
    """Compute d' C d for each direction d, shape (directions,)."""
    variances: Float32Array = np.einsum("ij,ij->i", directions @ covariance, directions)
    return variances


def grouped_means(
    group: AnyIntArray, groups: int, values: Float32Array
) -> Float32Array:
    """Average the values of each group, shape (groups, k); 0 for an empty one."""
    counts = np.maximum(np.bincount(group, minlength=groups), 1)
    sums = [np.bincount(group, column, minlength=groups) for column in values.T]
    return (np.stack(sums, axis=1) / counts[:, None]).astype(np.float32)


def estimate_precision(
    deviations: AnyFloatArray, covariance: AnyFloatArray
) -> Float32Array:
    """Invert the covariance of some vectors (n, k); that of few is drawn towards a sphere.

    The vectors are estimates, drawn to 0 as far as they are not known: the covariance of their
    errors is added back. The sphere has their mean variance.
    """
    count, size = deviations.shape
    spread = np.zeros((size, size))
    if count:
        spread = np.atleast_2d(np.cov(deviations.T, bias=True)) + covariance
    sphere = max(float(np.trace(spread)) / size, 1e-4) * np.eye(size)
    shrunk = (count * spread + size * sphere) / (count + size)
    return np.linalg.inv(shrunk).astype(np.float32)


def _run(job: Callable[[Block], Any], blocks: list[Block], threads: int) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(job, blocks))
