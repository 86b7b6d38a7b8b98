"""Adjust p-values for many comparisons: each is then compared with the level meant for all.

A p-value that is None or NaN (nothing could be tested) becomes NaN and does not count as a
comparison.
"""

from collections.abc import Callable, Sequence

import numpy as np

from looplib.arrays import FloatArray


def holm(p_values: Sequence[float | None]) -> list[float]:
    """Adjust for the family-wise error rate, the chance of any false positive, however the tests depend.

    Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    return _adjust(
        p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1))
    )


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float]:
    """Adjust for the false discovery rate, the share of false positives, of tests that do not depend negatively.

    Benjamini & Hochberg, Controlling the False Discovery Rate, 1995.
    """
    return _adjust(
        p_values,
        lambda p: np.minimum.accumulate(
            (p * (len(p) / np.arange(1, len(p) + 1)))[::-1]
        )[::-1],
    )


def _adjust(
    p_values: Sequence[float | None], ascending: Callable[[FloatArray], FloatArray]
) -> list[float]:
    """Adjust in ascending order what is a number, leaving every value at its position."""
    values = np.array(p_values, np.float64)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    values[order] = np.minimum(ascending(values[order]), 1.0)
    return [float(value) for value in values]
