"""The logits behind logged shares, and weighted ridge regressions of many rows at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from looplib.arrays import AnyIntArray, Float32Array

_BLOCK = 150_000  # observations whose features are in memory at once, for each thread
_LEAST_VARIANCE = 0.01


class Grouping:
    """Observations by row: those of row r, `counts[r]` in all, are `order[starts[r]:starts[r + 1]]`."""

    def __init__(self, row: AnyIntArray, rows: int) -> None:
        """Group observations, whose rows are given, shape (observations,)."""
        self.counts = np.bincount(row, minlength=rows)
        self.order = np.argsort(row, kind="stable").astype(np.int32)
        self.starts = np.concatenate([[0], np.cumsum(self.counts)])

    def blocks(self) -> list[tuple[int, int]]:
        """Cut the rows into ranges that hold about `_BLOCK` observations each."""
        cuts = np.searchsorted(self.starts, np.arange(_BLOCK, self.starts[-1], _BLOCK))
        return list(pairwise(np.unique(np.concatenate([[0], cuts, [len(self.counts)]])).tolist()))


@dataclass(frozen=True)
class Observations:
    """Observations y = f . x of the rows' vectors x; arrays of shape (observations,)."""

    by_row: Grouping
    column: AnyIntArray  # whose features are f
    targets: Float32Array  # y
    weights: Float32Array  # inverse variances


def solve_rows(
    observed: Observations,
    features: Float32Array,
    precision: Float32Array,
    threads: int,
    prior: Float32Array | None = None,
) -> Float32Array:
    """Find the vector x of each row that minimises sum(w (y - f . x)^2) + (x - m)' P (x - m) over its observations.

    Args:
        observed: The observations.
        features: f of each column, shape (columns, k).
        precision: P, the inverse covariance of the rows' vectors about m, shape (k, k).
        threads: Threads to use; the result does not depend on it.
        prior: m of each row, shape (rows, k); None for zeros.

    Returns:
        The vectors, shape (rows, k); a row without observations has its m.
    """
    by_row = observed.by_row
    means = np.zeros((len(by_row.counts), len(precision)), dtype=np.float32) if prior is None else prior
    solved = np.empty_like(means)

    def solve_block(block: tuple[int, int]) -> None:
        first, last = block
        starts = by_row.starts[first : last + 1] - by_row.starts[first]
        these = by_row.order[by_row.starts[first] : by_row.starts[last]]
        design = features[observed.column[these]]
        owners = np.repeat(means[first:last], np.diff(starts), axis=0)
        roots = np.sqrt(observed.weights[these])
        residuals = (observed.targets[these] - np.einsum("ij,ij->i", design, owners)) * roots
        design *= roots[:, None]
        gram = np.empty((last - first, *precision.shape), dtype=np.float32)
        moment = np.empty((last - first, len(precision), 1), dtype=np.float32)
        for row in range(last - first):
            own = slice(starts[row], starts[row + 1])
            np.matmul(design[own].T, design[own], out=gram[row])
            np.matmul(residuals[own], design[own], out=moment[row, :, 0])
        gram += precision
        solved[first:last] = means[first:last] + np.linalg.solve(gram, moment)[:, :, 0]

    _run(solve_block, by_row.blocks(), threads)
    return solved


def paired_dots(left: Float32Array, i: AnyIntArray, right: Float32Array, j: AnyIntArray, threads: int) -> Float32Array:
    """Compute left[i] . right[j] for each pair of rows, shape (pairs,)."""
    dots = np.empty(len(i), dtype=np.float32)

    def multiply(block: tuple[int, int]) -> None:
        own = slice(*block)
        np.einsum("ij,ij->i", left[i[own]], right[j[own]], out=dots[own])

    _run(multiply, [(start, start + _BLOCK) for start in range(0, len(i), _BLOCK)], threads)
    return dots


def grouped_means(group: AnyIntArray, groups: int, values: Float32Array) -> Float32Array:
    """Average the values of each group, shape (groups, k); 0 for an empty one."""
    counts = np.maximum(np.bincount(group, minlength=groups), 1)
    sums = [np.bincount(group, column, minlength=groups) for column in values.T]
    return (np.stack(sums, axis=1) / counts[:, None]).astype(np.float32)


def precision_of(deviations: Float32Array) -> Float32Array:
    """Invert the covariance of some vectors (n, k), drawn towards a sphere of their mean variance when n is small."""
    count, size = deviations.shape
    covariance = np.atleast_2d(np.cov(deviations.T, bias=True)) if count else np.zeros((size, size))
    spread = max(float(np.trace(covariance)) / size, 1e-3)
    blended = (count * covariance + size * spread * np.eye(size)) / (count + size)
    return np.linalg.inv(blended).astype(np.float32)


def logit_and_variance(time: Float32Array, resolution: float) -> tuple[Float32Array, Float32Array]:
    """Return the logit of shares logged in steps of `resolution`, and the variance that the rounding adds to it.

    A uniform error of one step has the variance step ** 2 / 12, and d logit / d share is 1 / (share (1 - share)).
    """
    inside = np.clip(time, resolution / 4, 1 - resolution / 4).astype(np.float32)
    variance = resolution**2 / 12 / (inside * (1 - inside)) ** 2
    return np.log(inside / (1 - inside)), variance.astype(np.float32)


def listener_scales(
    logit: Float32Array, who: AnyIntArray, listeners: int, prior: float
) -> tuple[Float32Array, Float32Array]:
    """Return each listener's mean logit and the variance about it; everybody's count as `prior` more responses."""
    count = np.bincount(who, minlength=listeners) + prior
    mean = ((np.bincount(who, logit, listeners) + prior * float(logit.mean())) / count).astype(np.float32)
    squared = (logit - mean[who]) ** 2
    usual = max(float(squared.mean()), _LEAST_VARIANCE)
    return mean, ((np.bincount(who, squared, listeners) + prior * usual) / count).astype(np.float32)


def average_information(features: Float32Array, column: AnyIntArray, weights: Float32Array) -> Float32Array:
    """Average w f f' over observations, each with the features of its column, shape (k, k)."""
    of_column = np.bincount(column, weights, len(features))
    total = (features * of_column[:, None]).T @ features
    mean: Float32Array = (total / len(weights)).astype(np.float32)
    return mean


def find_fatigue(logit: Float32Array, time: Float32Array, earlier: npt.NDArray[np.int16]) -> float:
    """Find the factor g, 0..1, with which expit(logit) g ** earlier is closest to the times heard, by squared error.

    The logits are of tracks whose artist is new to the session; each had `earlier` >= 1 tracks of its artist before it.
    Without any track the factor is 1.
    """
    if not len(logit):
        return 1.0
    fresh = 1 / (1 + np.exp(-logit.astype(np.float64)))
    found = minimize_scalar(
        lambda factor: float(np.sum((fresh * factor**earlier - time) ** 2)), bounds=(0.0, 1.0), method="bounded"
    )
    return float(found.x)


def _run(job: Callable[[tuple[int, int]], None], blocks: list[tuple[int, int]], threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(job, blocks))
