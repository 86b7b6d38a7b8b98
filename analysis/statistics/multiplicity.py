"""Adjust p-values for many comparisons: each is then compared with the level meant for all.

A p-value that is None or NaN (nothing could be tested) becomes NaN and does not count as a
comparison.
"""

from collections.abc import Sequence

import numpy as np

from looplib.arrays import FloatArray, IntArray


def holm(p_values: Sequence[float | None]) -> list[float]:
    """Adjust for the family-wise error rate, the chance of any false positive.

    It holds however the tests depend: Holm, A Simple Sequentially Rejective Multiple Test
    Procedure, 1979. Of m ordered p-values, the k-th becomes max over j ≤ k of (m - j + 1) p_j.
    """
    ordered, order = _sort(p_values)
    hypotheses_left = np.arange(len(ordered), 0, -1)  # m - k + 1
    adjusted = np.maximum.accumulate(ordered * hypotheses_left)
    return _restore(adjusted, order, len(p_values))


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float]:
    """Adjust for the false discovery rate, the share of false positives among discoveries.

    It holds for tests that do not depend negatively: Benjamini & Hochberg, Controlling the False
    Discovery Rate, 1995. Of m ordered p-values, the k-th becomes min over j ≥ k of m p_j / j.
    """
    ordered, order = _sort(p_values)
    count = len(ordered)
    ranks = np.arange(1, count + 1)
    scaled = ordered * (count / ranks)
    from_the_largest = np.minimum.accumulate(scaled[::-1])
    return _restore(from_the_largest[::-1], order, len(p_values))


def _sort(p_values: Sequence[float | None]) -> tuple[FloatArray, IntArray]:
    """Return the p-values that are numbers, ascending, and their positions."""
    values = np.array(p_values, np.float64)
    order = np.argsort(values, kind="stable")  # NaN is last
    order = order[: np.count_nonzero(~np.isnan(values))]
    return values[order], order


def _restore(adjusted: FloatArray, order: IntArray, count: int) -> list[float]:
    """Put adjusted p-values, at most 1, back at their positions; NaN elsewhere."""
    values = np.full(count, np.nan)
    values[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in values]
