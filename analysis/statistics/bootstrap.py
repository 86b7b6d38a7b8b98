"""Bootstrap intervals over listeners; all compared values share the same resamples.

A resample draws as many units (listeners) as the sample has, with replacement (Efron & Tibshirani,
An Introduction to the Bootstrap, 1993, ch. 6 and 13). A resample is stored as the number of times
that each unit was drawn, so a single matrix product estimates all metrics in all resamples.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from analysis.statistics.effects import CONFIDENCE, Interval
from looplib.arrays import ByteArray, FloatArray
from looplib.randomness import make_generator

_BLOCK = 64  # resamples in a block at most
_ROUNDING = 1e-12  # times the largest estimate
# above this the blocks are drawn anew each time they are needed
_KEPT_BYTES = 32 * 2**20
_PRODUCT_VALUES = 2**22  # draws turned into floats at a time, 32 MB


@dataclass(frozen=True)
class Resamples:
    """Bootstrap resamples of `units` units; equal arguments give equal resamples."""

    units: int  # units in the sample, and in each resample
    count: int  # resamples
    seed: int  # seed of the run

    def blocks(self) -> Iterator[ByteArray]:
        """Yield the resamples in blocks: how often each unit was drawn, shape (resamples, units).

        Small sets of resamples are cached for the next call.
        """
        if self.units * self.count <= _KEPT_BYTES:
            return iter(_keep(self))
        return self.draw()

    def draw(self) -> Iterator[ByteArray]:
        """Draw the resamples, one block at a time."""
        rows = max(1, min(_BLOCK, _PRODUCT_VALUES // self.units))
        for start in range(0, self.count, rows):
            numbers = range(start, min(start + rows, self.count))
            counts = []
            for number in numbers:
                generator = make_generator(self.seed, "bootstrap", number)
                drawn = generator.integers(0, self.units, size=self.units)
                counts.append(np.bincount(drawn, minlength=self.units))
            # They fit a byte: up to 255 units cannot be drawn more often than that, and of more
            # units none ever is (p < 1e-500).
            yield np.array(counts, np.uint8)


# a search resamples the listeners of its choice, of each pool of tracks and of the test part
@lru_cache(maxsize=8)
def _keep(resamples: Resamples) -> tuple[ByteArray, ...]:
    return tuple(resamples.draw())


def estimate(
    resamples: Resamples, numerators: FloatArray, denominators: FloatArray
) -> FloatArray:
    """Estimate ratios of sums over units in every resample, shape (resamples, metrics).

    >>> resamples = Resamples(units=2, count=4, seed=1)
    >>> estimate(resamples, np.array([[1.0], [3.0]]), np.ones((2, 1))).shape
    (4, 1)

    Args:
        resamples: Resamples of the units.
        numerators: Numerators of each unit, shape (units, metrics).
        denominators: Denominators, of the same shape; 1 or 0 for a mean.
    """
    both = np.hstack([numerators, denominators])
    sums = [draws.astype(np.float64) @ both for draws in resamples.blocks()]
    return divide(*np.hsplit(np.vstack(sums), 2))


def ratio_intervals(
    resamples: Resamples, numerators: FloatArray, denominators: FloatArray
) -> list[Interval]:
    """Estimate ratios of sums over units, with percentile intervals.

    The arguments are those of `estimate`.

    >>> resamples = Resamples(units=100, count=200, seed=1)
    >>> values = np.arange(100.0)[:, np.newaxis]
    >>> (interval,) = ratio_intervals(resamples, values, np.ones((100, 1)))
    >>> interval.value, 40 < interval.lower < 49.5 < interval.upper < 60
    (49.5, True)
    """
    drawn = estimate(resamples, numerators, denominators)
    whole = divide(numerators.sum(axis=0), denominators.sum(axis=0))
    return percentile_intervals(np.vstack([whole, drawn]))


def percentile_intervals(estimates: FloatArray) -> list[Interval]:
    """Compute percentile intervals (Efron & Tibshirani, 1993, ch. 13.3).

    Args:
        estimates: The estimates of the whole sample, then of each resample; shape
            (1 + resamples, metrics).
    """
    tail = (1 - CONFIDENCE) / 2
    ends = np.quantile(estimates[1:], [tail, 1 - tail], axis=0)
    return list(map(Interval, *np.vstack([estimates[:1], ends]).tolist()))


def simultaneous_intervals(estimates: FloatArray) -> list[Interval]:
    """Compute intervals that all hold at once with the confidence of a single interval.

    All intervals have the same half-width in standard errors: a quantile of the largest deviation
    in a resample (max-T; Romano & Wolf, Exact and Approximate Stepdown Methods for Multiple
    Hypothesis Testing, 2005).

    >>> draws = np.random.default_rng(1).normal(size=(4000, 10))
    >>> interval, *_ = simultaneous_intervals(np.vstack([np.zeros(10), draws]))
    >>> round(interval.upper, 1)  # Bonferroni's is 2.8
    2.8

    Args:
        estimates: The estimates of the whole sample, then of each resample; shape
            (1 + resamples, metrics).
    """
    values, drawn = estimates[0], estimates[1:]
    errors = drawn.std(axis=0, ddof=1)
    deviations = np.abs(drawn - values)
    is_noise = errors > _ROUNDING * np.abs(estimates).max()
    largest = (deviations[:, is_noise] / errors[is_noise]).max(axis=1, initial=0)
    margins = np.quantile(largest, CONFIDENCE) * errors
    ends = np.array([values, values - margins, values + margins])
    return list(map(Interval, *ends.tolist()))


def divide(numerators: FloatArray, denominators: FloatArray) -> FloatArray:
    """Divide elementwise; the quotient is 0 if the divisor is 0.

    >>> divide(np.array([1.0, 2.0]), np.array([2.0, 0.0])).tolist()
    [0.5, 0.0]
    """
    quotients = np.zeros_like(numerators)
    return np.divide(numerators, denominators, out=quotients, where=denominators > 0)
