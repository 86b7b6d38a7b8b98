"""Bootstrap intervals over listeners, from the same resamples for everything that is compared.

A resample draws as many units (listeners) as there are, with replacement (Efron & Tibshirani, An
Introduction to the Bootstrap, 1993, ch. 6 and 13). It holds how often each unit was drawn, so that
the estimates of all metrics in all resamples are one matrix product.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from analysis.statistics.effects import CONFIDENCE, Interval
from looplib.arrays import ByteArray, FloatArray, IntArray, WordArray
from looplib.randomness import make_generator

_BLOCK = 64  # resamples in a block: one bit each of a 64-bit word
_KEPT_BYTES = (
    128 * 2**20
)  # above this the blocks are drawn anew each time they are needed
_PRODUCT_VALUES = 2**22  # draws turned into floats at a time, 32 MB


class Block(NamedTuple):
    """Up to 64 resamples."""

    draws: ByteArray  # how often each unit was drawn, shape (resamples, units)
    # shape (units,); a bit for each resample that says whether the unit was drawn at all
    members: WordArray


@dataclass(frozen=True)
class Resamples:
    """Resamples with replacement of `units` units; equal arguments give equal resamples."""

    units: int  # units in the sample, and in each resample
    count: int  # resamples
    seed: int  # seed of the run

    def blocks(self) -> Iterator[Block]:
        """Return all resamples, a block at a time; they are kept for the next call while they are small."""
        return (
            iter(_keep(self)) if self.units * self.count <= _KEPT_BYTES else self.draw()
        )

    def draw(self) -> Iterator[Block]:
        """Draw the resamples, a block at a time."""
        for start in range(0, self.count, _BLOCK):
            numbers = range(start, min(start + _BLOCK, self.count))
            draws = np.stack(
                [draw(self.units, self.seed, number) for number in numbers]
            )
            yield Block(draws, _pack(draws))


@lru_cache(maxsize=2)  # equal resamples serve all that is compared in a process
def _keep(resamples: Resamples) -> tuple[Block, ...]:
    return tuple(resamples.draw())


def draw(units: int, seed: int, number: int) -> ByteArray:
    """Draw a resample: how often each unit is in it, shape (units,)."""
    drawn = make_generator(seed, "bootstrap", number).integers(0, units, size=units)
    # Fits a byte: up to 255 units cannot be drawn more often than that, and of more units none ever
    # is (p < 1e-500).
    return np.bincount(drawn, minlength=units).astype(np.uint8)


def ratio(numerators: FloatArray, denominators: FloatArray) -> FloatArray:
    """Divide numerators by denominators; 0 where there is nothing to divide by."""
    return np.divide(
        numerators, denominators, out=np.zeros_like(numerators), where=denominators > 0
    )


@dataclass(frozen=True)
class Ratios:
    """Σ numerator / Σ denominator over the units: ratios, and means where the denominators are 1 or 0."""

    numerators: FloatArray  # shape (units, metrics)
    denominators: FloatArray  # shape (units, metrics)

    @property
    def whole(self) -> FloatArray:
        """The ratios of the whole sample, shape (metrics,)."""
        return ratio(self.numerators.sum(axis=0), self.denominators.sum(axis=0))

    def of(self, block: Block) -> FloatArray:
        """Divide the sums in every resample, shape (resamples, metrics)."""
        rows = max(1, _PRODUCT_VALUES // len(self._both))
        sums = [
            block.draws[start : start + rows].astype(np.float64) @ self._both
            for start in range(0, len(block.draws), rows)
        ]
        return ratio(*np.hsplit(np.vstack(sums), 2))

    @cached_property
    def _both(self) -> FloatArray:
        return np.hstack([self.numerators, self.denominators])


@dataclass(frozen=True)
class Distinct:
    """The number of distinct items of the units."""

    units: IntArray  # the unit of each pair, shape (pairs,)
    items: IntArray  # the item of each pair, shape (pairs,), in ascending order

    def of(self, block: Block) -> FloatArray:
        """Count the items in every resample, shape (resamples,)."""
        members = np.bitwise_or.reduceat(block.members[self.units], self._starts)
        bits = np.unpackbits(members.view(np.uint8)).reshape(-1, _BLOCK)
        return np.asarray(
            bits.sum(axis=0, dtype=np.uint32)[: len(block.draws)], np.float64
        )

    @cached_property
    def _starts(self) -> IntArray:
        """Return where each item begins; shape (items,)."""
        return np.flatnonzero(np.diff(self.items, prepend=self.items[:1] - 1))


def estimate(
    resamples: Resamples, *statistics: Ratios | Distinct
) -> tuple[FloatArray, ...]:
    """Estimate each statistic in all resamples, shape (resamples, …), in one pass over them."""
    of_blocks = [
        [statistic.of(block) for statistic in statistics]
        for block in resamples.blocks()
    ]
    return tuple(
        np.concatenate(estimates) for estimates in zip(*of_blocks, strict=True)
    )


def ratio_intervals(
    resamples: Resamples,
    numerators: FloatArray,
    denominators: FloatArray,
) -> list[Interval]:
    """Return ratios of sums over the units, both of shape (units, ratios), with percentile intervals."""
    ratios = Ratios(numerators, denominators)
    (resampled,) = estimate(resamples, ratios)
    return intervals(ratios.whole, resampled)


def percentile_interval(estimates: FloatArray) -> FloatArray:
    """Return the outer percentiles of estimates of shape (resamples, metrics), shape (2, metrics) (ch. 13.3 there)."""
    tail = (1 - CONFIDENCE) / 2
    return np.asarray(np.quantile(estimates, [tail, 1 - tail], axis=0))


def intervals(values: FloatArray, estimates: FloatArray) -> list[Interval]:
    """Return values of shape (metrics,) with the percentile intervals of their resampled estimates."""
    return [
        Interval(*row)
        for row in np.vstack([values, percentile_interval(estimates)]).T.tolist()
    ]


def normal_interval(value: float, estimates: FloatArray) -> tuple[float, float]:
    """Return the value ± 1.96 bootstrap standard errors (ch. 13.2 there).

    For statistics that a resample misses by construction, such as a number of distinct things: it
    lacks the things of the third of the units that were not drawn, so the percentiles lie to one
    side of the value.
    """
    margin = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * float(
        np.std(estimates, ddof=1)
    )
    return value - margin, value + margin


def _pack(draws: ByteArray) -> WordArray:
    bits = np.zeros((_BLOCK, draws.shape[1]), np.bool_)
    bits[: len(draws)] = draws > 0
    return np.ascontiguousarray(np.packbits(bits, axis=0).T).view(np.uint64).ravel()
