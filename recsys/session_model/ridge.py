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


class Grouping:
    """Observations by row: those of row r, `counts[r]` in all, are `order[starts[r]:starts[r + 1]]`."""

    def __init__(self, row: AnyIntArray, rows: int) -> None:
        """Group observations by their rows, shape (observations,)."""
        self.row = row
        self.counts = np.bincount(row, minlength=rows)
        self.order = np.argsort(row, kind="stable").astype(np.int32)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])

    def blocks(self) -> list[tuple[int, int]]:
        """Cut the rows into ranges that hold about `_BLOCK` observations each."""
        cuts = np.searchsorted(self.starts, np.arange(_BLOCK, self.starts[-1], _BLOCK))
        return list(
            pairwise(
                np.unique(np.concatenate([[0], cuts, [len(self.counts)]])).tolist()
            )
        )


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
        return cls(means, np.zeros((means.shape[1], means.shape[1]), dtype=np.float32))

    def with_constant(self) -> "Vectors":
        """Append the constant 1, which is known."""
        ones = np.ones((len(self.means), 1), dtype=np.float32)
        return Vectors(np.hstack([self.means, ones]), np.pad(self.covariance, (0, 1)))

    def without_constant(self) -> "Vectors":
        """Leave out the last element."""
        return Vectors(
            np.ascontiguousarray(self.means[:, :-1]), self.covariance[:-1, :-1]
        )


def solve_rows(
    observed: Observations,
    features: Vectors,
    prior: Float32Array,
    precision: Float32Array,
    threads: int,
) -> Vectors:
    """Find the vector x of each row that minimises E sum(w (y - f . x)^2) + (x - m)' P (x - m) over its observations.

    The expectation is over the error of the features f, of covariance C: it adds sum(w) x' C x, so
    that features that are little known are trusted little (Lim and Teh, "Variational Bayesian
    approach to movie rating prediction", 3).

    Args:
        observed: The observations.
        features: f of each column.
        prior: m of each row, which is the vector of a row without observations; shape (rows, k).
        precision: P, the inverse covariance of the rows' vectors about m, shape (k, k).
        threads: Threads to use; the result does not depend on it.
    """
    by_row = observed.by_row
    solved = np.empty_like(prior)

    def solve_block(block: tuple[int, int]) -> AnyFloatArray:
        first, last = block
        starts = by_row.starts[first : last + 1] - by_row.starts[first]
        these = by_row.order[by_row.starts[first] : by_row.starts[last]]
        owner = np.repeat(np.arange(last - first), np.diff(starts))
        design, weights = (
            features.means[observed.column[these]],
            observed.weights[these],
        )
        roots = np.sqrt(weights)
        residuals = (
            observed.targets[these]
            - np.einsum("ij,ij->i", design, prior[first:last][owner])
        ) * roots
        design *= roots[:, None]
        totals = np.bincount(owner, weights, last - first).astype(np.float32)
        gram = precision + totals[:, None, None] * features.covariance
        moment = -totals[:, None] * (prior[first:last] @ features.covariance)
        for row in range(last - first):
            own = slice(starts[row], starts[row + 1])
            gram[row] += design[own].T @ design[own]
            moment[row] += residuals[own] @ design[own]
        solved[first:last] = (
            prior[first:last] + np.linalg.solve(gram, moment[:, :, None])[:, :, 0]
        )
        some: AnyFloatArray = np.linalg.inv(gram[-first % _INVERTED :: _INVERTED])
        return np.asarray(some.sum(axis=0))

    sums = _run(solve_block, by_row.blocks(), threads)
    inverted = len(range(0, len(prior), _INVERTED))
    return Vectors(solved, (np.sum(sums, axis=0) / inverted).astype(np.float32))


def paired_dots(
    left: Float32Array,
    i: AnyIntArray,
    right: Float32Array,
    j: AnyIntArray,
    threads: int,
) -> Float32Array:
    """Compute left[i] . right[j] for each pair of rows, shape (pairs,)."""
    dots = np.empty(len(i), dtype=np.float32)

    def multiply(block: tuple[int, int]) -> None:
        own = slice(*block)
        np.einsum("ij,ij->i", left[i[own]], right[j[own]], out=dots[own])

    _run(
        multiply,
        [(start, start + _BLOCK) for start in range(0, len(i), _BLOCK)],
        threads,
    )
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


def precision_of(deviations: Float32Array, covariance: Float32Array) -> Float32Array:
    """Invert the covariance of some vectors (n, k), drawn towards a sphere of their mean variance when n is small.

    The vectors are estimates, drawn to 0 as far as they are not known: the covariance of their
    errors is added back.
    """
    count, size = deviations.shape
    spread = (
        np.atleast_2d(np.cov(deviations.T, bias=True)) + covariance
        if count
        else np.zeros((size, size))
    )
    sphere = max(float(np.trace(spread)) / size, 1e-4) * np.eye(size)
    return np.linalg.inv((count * spread + size * sphere) / (count + size)).astype(
        np.float32
    )


def _run(
    job: Callable[[tuple[int, int]], Any], blocks: list[tuple[int, int]], threads: int
) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(job, blocks))
