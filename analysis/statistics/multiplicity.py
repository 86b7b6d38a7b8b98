"""p-values of many comparisons, adjusted so that each is still compared with the level meant for all.

A p-value that is NaN (nothing could be tested) stays NaN and does not count as a comparison.
"""

from collections.abc import Callable, Sequence

import numpy as np

from looplib.arrays import FloatArray


def holm(p_values: Sequence[float]) -> list[float]:
    """Family-wise error rate, however the tests depend: the chance of any false positive.

    Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    return _adjust(p_values, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """False discovery rate of tests that do not depend negatively: false positives among the positives.

    Benjamini & Hochberg, Controlling the False Discovery Rate, 1995.
    """
    return _adjust(p_values, lambda p: np.minimum.accumulate((p * (len(p) / np.arange(1, len(p) + 1)))[::-1])[::-1])


def _adjust(p_values: Sequence[float], ascending: Callable[[FloatArray], FloatArray]) -> list[float]:
    """Adjusts in ascending order what is a number, and puts it back in its place."""
    values = np.array(p_values, np.float64)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    values[order] = np.minimum(ascending(values[order]), 1.0)
    return [float(value) for value in values]
