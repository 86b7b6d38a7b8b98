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
        order = np.argsort(row, kind="stable")
        self.order = order.astype(np.int32)
        ends = np.cumsum(self.counts)
        self.starts = np.concatenate([[0], ends])

    def blocks(self) -> list[Block]:
        """Cut the rows into ranges that hold about `_BLOCK` observations each."""
        targets = np.arange(_BLOCK, self.starts[-1], _BLOCK)
        inner = np.searchsorted(self.starts, targets)
        cuts = np.unique([0, *inner, len(self.counts)])
        return list(pairwise(cuts.tolist()))


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
        nothing = np.zeros((size, size), dtype=np.float32)
        return cls(means, nothing)

    def with_constant(self) -> "Vectors":
        """Append the constant 1, which has no error."""
        ones = np.ones((len(self.means), 1), dtype=np.float32)
        means = np.hstack([self.means, ones])
        return Vectors(means, np.pad(self.covariance, (0, 1)))

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
    sum(w) x' C x, so that uncertain features count less (Lim and Teh, "Variational Bayesian
    approach to movie rating prediction", 3).

    Args:
        observed: The observations.
        features: f of each column.
        prior: m of each row, which is the vector of a row without observations; shape (rows, k).
        precision: P, the inverse covariance of the rows' vectors about m, shape (k, k).
        threads: Threads to use; the result does not depend on it.

    Returns:
        The vectors, and the covariance of their errors.
    """
    solved = np.empty_like(prior)

    def solve_block(block: Block) -> AnyFloatArray:
        first, end = block
        gram, moment = _normal_equations(observed, features, prior, precision, block)
        moves = np.linalg.solve(gram, moment[:, :, None])
        solved[first:end] = prior[first:end] + moves[:, :, 0]
        chosen = gram[-first % _INVERTED :: _INVERTED]
        inverses: AnyFloatArray = np.linalg.inv(chosen)
        return np.asarray(inverses.sum(axis=0))

    sums = _run(solve_block, observed.by_row.blocks(), threads)
    inverted = len(range(0, len(prior), _INVERTED))
    covariance = np.sum(sums, axis=0) / inverted
    return Vectors(solved, covariance.astype(np.float32))


def _normal_equations(
    observed: Observations,
    features: Vectors,
    prior: Float32Array,
    precision: Float32Array,
    block: Block,
) -> tuple[AnyFloatArray, AnyFloatArray]:
    """Return the matrix and the right side by which each row of a block moves from its prior."""
    first, end = block
    size = end - first
    means = prior[first:end]
    starts = observed.by_row.starts[first : end + 1]
    chosen = observed.by_row.order[starts[0] : starts[-1]]
    row = np.repeat(np.arange(size), np.diff(starts))
    weights = observed.weights[chosen]
    roots = np.sqrt(weights)
    design = features.means[observed.column[chosen]]
    expected = np.einsum("ij,ij->i", design, means[row])
    residuals = (observed.targets[chosen] - expected) * roots
    design *= roots[:, None]
    sums = np.bincount(row, weights, size)
    totals = sums.astype(np.float32)
    gram = precision + totals[:, None, None] * features.covariance
    moment = -totals[:, None] * (means @ features.covariance)
    for number, (start, last) in enumerate(pairwise(starts - starts[0])):
        own = design[start:last]
        gram[number] += own.T @ own
        moment[number] += residuals[start:last] @ own
    return gram, moment


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
    blocks = [(start, start + _BLOCK) for start in starts]
    _run(multiply, blocks, threads)
    return dots


def variances_along(directions: Float32Array, covariance: Float32Array) -> Float32Array:
    """Compute d' C d for each direction d, shape (directions,)."""
    variances: Float32Array = np.einsum("ij,ij->i", directions @ covariance, directions)
    return variances


def grouped_means(
    group: AnyIntArray, groups: int, values: Float32Array
) -> Float32Array:
    """Average the values of each group, shape (groups, k); 0 for an empty one."""
    counts = np.bincount(group, minlength=groups)
    sums = [np.bincount(group, column, minlength=groups) for column in values.T]
    divisors = np.maximum(counts, 1)[:, None]
    means = np.stack(sums, axis=1) / divisors
    return means.astype(np.float32)


def estimate_precision(
    deviations: AnyFloatArray, covariance: AnyFloatArray
) -> Float32Array:
    """Invert the covariance of some vectors (n, k); that of few is drawn towards a sphere.

    The vectors are estimates, drawn to 0 as far as they are uncertain: the covariance of their
    errors is added back. The sphere has their mean variance.
    """
    count, size = deviations.shape
    spread = np.zeros((size, size))
    if count:
        found = np.cov(deviations.T, bias=True)
        spread = np.atleast_2d(found) + covariance
    variance = max(float(np.trace(spread)) / size, 1e-4)
    sphere = variance * np.eye(size)
    shrunk = (count * spread + size * sphere) / (count + size)
    return np.linalg.inv(shrunk).astype(np.float32)


def _run(job: Callable[[Block], Any], blocks: list[Block], threads: int) -> list[Any]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(job, blocks))
