"""Bootstrap intervals over listeners: the same resamples for everything that is to be compared.

A resample draws as many units (listeners) as there are, with replacement (Efron & Tibshirani, An Introduction to the
Bootstrap, 1993, ch. 6 and 13). It is kept as how often each unit was drawn, so that the estimates of all metrics in
all resamples are one matrix product.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from analysis.errors import AnalysisError
from common.randomness import make_generator

CONFIDENCE = 0.95
_BLOCK = 64  # resamples in a block: one bit each of a 64-bit word
_KEPT_BYTES = 64 * 2**20  # above this the blocks are drawn anew each time they are needed
_PRODUCT_VALUES = 2**20  # draws turned into floats at a time, 8 MB

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Up to 64 resamples.

    Attributes:
        draws: How often each unit was drawn, shape (resamples, units).
        members: Shape (units,); a bit for each resample that says whether the unit was drawn at all.
    """

    draws: npt.NDArray[np.uint8]
    members: npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Resamples:
    """Resamples with replacement of `units` units; equal arguments give equal resamples.

    Attributes:
        units: Units in the sample, and in each resample.
        count: Resamples.
        seed: Seed of the run.
    """

    units: int
    count: int
    seed: int

    def __post_init__(self) -> None:
        """Refuses what cannot be drawn.

        Raises:
            AnalysisError: There is no unit, fewer than two resamples, or the seed is negative.
        """
        for name, value, least in (("units", self.units, 1), ("resamples", self.count, 2), ("seed", self.seed, 0)):
            if value < least:
                raise AnalysisError(f"bootstrap: {name} must be at least {least}, found {value}")

    def blocks(self) -> Iterator[Block]:
        """All resamples, a block at a time; kept for the next call while they are small."""
        return iter(self._all) if self.units * self.count <= _KEPT_BYTES else self._draw()

    @cached_property
    def _all(self) -> tuple[Block, ...]:
        return tuple(self._draw())

    def _draw(self) -> Iterator[Block]:
        for start in range(0, self.count, _BLOCK):
            numbers = range(start, min(start + _BLOCK, self.count))
            draws = np.stack([draw(self.units, self.seed, number) for number in numbers])
            yield Block(draws, _pack(draws))


def draw(units: int, seed: int, number: int) -> npt.NDArray[np.uint8]:
    """How often each unit is drawn in one resample, shape (units,)."""
    drawn = make_generator(seed, "bootstrap", number).integers(0, units, size=units)
    # Fits a byte: up to 255 units cannot be drawn more often than that, and of more units none ever is (p < 1e-500).
    return np.bincount(drawn, minlength=units).astype(np.uint8)


def ratio(numerators: Floats, denominators: Floats) -> Floats:
    """Numerators over denominators, 0 where there is nothing to divide by."""
    return np.divide(numerators, denominators, out=np.zeros_like(numerators), where=denominators > 0)


def resampled_ratios(resamples: Resamples, numerators: Floats, denominators: Floats) -> Floats:
    """Σ numerator / Σ denominator in every resample: the bootstrap of means (denominators 1 or 0) and of ratios.

    Args:
        resamples: Of the units.
        numerators: Shape (units, metrics).
        denominators: Shape (units, metrics).

    Returns:
        Shape (resamples, metrics).
    """
    both = np.hstack([numerators, denominators])
    rows = max(1, _PRODUCT_VALUES // resamples.units)
    sums = np.vstack(
        [
            block.draws[start : start + rows].astype(np.float64) @ both
            for block in resamples.blocks()
            for start in range(0, len(block.draws), rows)
        ]
    )
    return ratio(*np.hsplit(sums, 2))


def resampled_distinct(resamples: Resamples, units: Integers, items: Integers) -> Integers:
    """How many distinct items the units of every resample have.

    Args:
        resamples: Of the units.
        units: The unit of each pair, shape (pairs,).
        items: The item of each pair, shape (pairs,), in ascending order.

    Returns:
        Shape (resamples,).
    """
    if not len(items):
        return np.zeros(resamples.count, np.int64)
    starts = np.flatnonzero(np.diff(items, prepend=items[0] - 1))
    counts = [
        _count_bits(np.bitwise_or.reduceat(block.members[units], starts))[: len(block.draws)]
        for block in resamples.blocks()
    ]
    return np.concatenate(counts)


def percentile_interval(estimates: Floats) -> Floats:
    """The interval between the outer percentiles of the resampled estimates (Efron & Tibshirani, ch. 13.3).

    Args:
        estimates: Shape (resamples, metrics).

    Returns:
        Lower and upper ends, shape (2, metrics).
    """
    tail = (1 - CONFIDENCE) / 2
    return np.asarray(np.quantile(estimates, [tail, 1 - tail], axis=0))


def normal_interval(value: float, estimates: npt.NDArray[np.number]) -> tuple[float, float]:
    """The value ± 1.96 bootstrap standard errors (Efron & Tibshirani, ch. 13.2).

    For statistics that a resample misses by construction, such as a number of distinct things: it lacks the things
    of the third of the units that were not drawn, so the percentiles lie to one side of the value.
    """
    margin = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * float(np.std(estimates, ddof=1))
    return value - margin, value + margin


def _pack(draws: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    bits = np.zeros((_BLOCK, draws.shape[1]), np.bool_)
    bits[: len(draws)] = draws > 0
    return np.ascontiguousarray(np.packbits(bits, axis=0).T).view(np.uint64).ravel()


def _count_bits(words: npt.NDArray[np.uint64]) -> Integers:
    """How many words have each of the 64 bits, in the order of the resamples."""
    bits = np.unpackbits(words.view(np.uint8).reshape(-1, _BLOCK // 8), axis=1)
    return np.asarray(bits.sum(axis=0, dtype=np.int64))
