"""Regress shares heard on vectors: many rows at once, by features that are themselves estimates.

A share r, 0..1, has the mean m = expit(logit) and the variance

    V = dispersion m (1 - m) + ROUNDING,

whatever its distribution: only these two count (Papke and Wooldridge, "Econometric methods for
fractional response variables", 1996).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from looplib.arrays import AnyFloatArray, AnyIntArray, Float32Array
from looplib.session_model import FARTHEST_LOGIT, LEAST_SLOPE, ROUNDING

_BLOCK = 100_000  # observations whose features are in memory at once, for each thread
_INVERTED = 7  # one row in so many is inverted for the average covariance
FIRST_DISPERSION = 0.3  # where nothing is known yet
_LEAST_DISPERSION = 1e-4

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
        cuts = np.unique([0, *inner, len(self.counts)])
        return list(pairwise(cuts.tolist()))


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
        """Append the constant 1, which has no error."""
        ones = np.ones((len(self.means), 1), dtype=np.float32)
        means = np.hstack([self.means, ones])
        covariance = np.pad(self.covariance, (0, 1))
        return Vectors(means, covariance)

    def without_constant(self) -> "Vectors":
        """Leave out the last element."""
        means = np.ascontiguousarray(self.means[:, :-1])
        return Vectors(means, self.covariance[:-1, :-1])


@dataclass(frozen=True)
class Shares:
    """Shares heard, in any order; arrays of shape (observations,)."""

    time: Float32Array
    offset: Float32Array  # what is known of the logit
    dispersion: float


def regress(
    shares: Shares,
    by_row: Grouping,
    column: AnyIntArray,
    start: Vectors,
    features: Vectors,
    expected: Float32Array,
    threads: int,
) -> Vectors:
    """Move the vectors of rows by one step of iteratively reweighted least squares.

    The logit of a share is its offset + x . f, x the vector of its row and f the features of its
    column. With the working responses y and their weights w (McCullagh and Nelder, "Generalized
    Linear Models", 2.5), the vector of a row minimises E sum(w (y - f . x)^2) + (x - m)' P (x - m).
    The expectation is over the error of the features, of covariance C: it adds sum(w) x' C x, so
    that uncertain features count less (Lim and Teh, "Variational Bayesian approach to movie rating
    prediction", 3). P is the inverse of the spread of the vectors about those expected, m.

    Args:
        shares: The shares heard.
        by_row: Their rows.
        column: Their columns, shape (observations,).
        start: The vectors so far, of rows without shares too; shape (rows, k).
        features: f of each column.
        expected: m of each row, shape (rows, k).
        threads: Threads to use; the result does not depend on it.

    Returns:
        The vectors, and the covariance of their errors.
    """
    precision = estimate_precision(start.means - expected, start.covariance)
    solved = np.empty_like(start.means)

    def solve(block: Block) -> AnyFloatArray:
        first, end = block
        starts = by_row.starts[first : end + 1]
        chosen = by_row.order[starts[0] : starts[-1]]
        row = np.repeat(np.arange(end - first), np.diff(starts))
        means = start.means[first:end]
        design = features.means[column[chosen]]
        logit = shares.offset[chosen] + np.einsum("ij,ij->i", design, means[row])
        off, weights = working_responses(logit, shares.time[chosen], shares.dispersion)
        roots = np.sqrt(weights)
        design *= roots[:, None]
        off *= roots
        totals = np.bincount(row, weights, end - first).astype(np.float32)[:, None]
        gram = precision + totals[:, :, None] * features.covariance
        moment = (expected[first:end] - means) @ precision
        moment -= totals * (means @ features.covariance)
        for number, (begin, last) in enumerate(pairwise(starts - starts[0])):
            own = design[begin:last]
            gram[number] += own.T @ own
            moment[number] += off[begin:last] @ own
        steps = np.linalg.solve(gram, moment[:, :, None])
        solved[first:end] = means + steps[:, :, 0]
        some = gram[-first % _INVERTED :: _INVERTED]
        inverses: AnyFloatArray = np.linalg.inv(some)
        return np.asarray(inverses.sum(axis=0))

    covariances = _run(solve, by_row.blocks(), threads)
    inverted = len(range(0, len(solved), _INVERTED))
    covariance = np.sum(covariances, axis=0) / inverted
    return Vectors(solved, covariance.astype(np.float32))


def mean_and_slope(logit: AnyFloatArray) -> tuple[AnyFloatArray, AnyFloatArray]:
    """Return the mean share of each logit, and its slope."""
    near = np.clip(logit, -FARTHEST_LOGIT, FARTHEST_LOGIT)
    mean: AnyFloatArray = 1 / (1 + np.exp(-near))
    return mean, mean * (1 - mean)


def working_responses(
    logit: AnyFloatArray, time: AnyFloatArray, dispersion: float
) -> tuple[AnyFloatArray, AnyFloatArray]:
    """Return how far each logit is off by the share heard, and its weight; steps are damped."""
    mean, slope = mean_and_slope(logit)
    least = LEAST_SLOPE * min(1.0, 10 * dispersion)
    damped = np.maximum(slope, np.float32(least))
    variance = np.float32(dispersion) * slope + np.float32(ROUNDING)
    return (time - mean) / damped, slope * damped / variance


def measure_dispersion(
    logit: AnyFloatArray, time: AnyFloatArray, uncertainty: AnyFloatArray
) -> float:
    """Measure the dispersion by shares that were not learned from.

    Squared errors that come from the `uncertainty` of the logits, their variance, do not count.
    """
    mean, slope = mean_and_slope(logit)
    known = ROUNDING + slope**2 * uncertainty
    excess = float(np.sum((time - mean) ** 2 - known))
    total = float(slope.sum())
    found = (FIRST_DISPERSION + excess) / (1 + total)
    return max(_LEAST_DISPERSION, found)


def find_decay(mean: AnyFloatArray, time: AnyFloatArray, count: AnyIntArray) -> float:
    """Find the factor g, 0..1, with which the mean shares c m g ** n are likeliest.

    The level c corrects means that are all too high or too low. The likelihood is Poisson's, so
    only totals matter; its maximum is found by Newton's method, drawn to g = 1 as by one response.

    Args:
        mean: m of each response.
        time: Share heard.
        count: n of each.

    Returns:
        The factor.
    """
    design = np.column_stack([np.ones(len(mean)), count])
    logs = np.zeros(2)
    for _ in range(20):
        predicted = mean * np.exp(design @ logs)
        information = (design.T * predicted) @ design
        information += np.eye(2)
        gradient = design.T @ (time - predicted) - logs
        logs += np.linalg.solve(information, gradient)
        logs[1] = np.clip(logs[1], np.log(0.01), 0)
    return float(np.exp(logs[1]))


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
        one, other = left[i[own]], right[j[own]]
        np.einsum("ij,ij->i", one, other, out=dots[own])

    starts = range(0, len(i), _BLOCK)
    blocks = [(start, start + _BLOCK) for start in starts]
    _run(multiply, blocks, threads)
    return dots


def variances_along(directions: Float32Array, covariance: Float32Array) -> Float32Array:
    """Compute d' C d for each direction d, shape (directions,)."""
    turned = directions @ covariance
    variances: Float32Array = np.einsum("ij,ij->i", turned, directions)
    return variances


def grouped_means(
    group: AnyIntArray, groups: int, values: Float32Array
) -> Float32Array:
    """Average the values of each group, shape (groups, k); 0 for an empty one."""
    counts = np.bincount(group, minlength=groups)
    sums = [np.bincount(group, column, minlength=groups) for column in values.T]
    means = np.stack(sums, axis=1) / np.maximum(counts, 1)[:, None]
    return means.astype(np.float32)


def predict(
    features: AnyFloatArray, vectors: Float32Array, weights: AnyFloatArray
) -> Float32Array:
    """Regress vectors on features, with the square roots of weights; return the predictions."""
    weighted, wanted = features * weights, vectors * weights
    found = np.linalg.lstsq(weighted, wanted, rcond=None)[0]
    predicted: Float32Array = (features @ found).astype(np.float32)
    return predicted


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
