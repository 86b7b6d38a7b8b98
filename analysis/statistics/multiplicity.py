"""Adjust p-values for multiple comparisons; compare an adjusted p-value with the overall level.

A p-value of NaN (nothing could be tested) stays NaN and does not count as a comparison.
"""

from collections.abc import Sequence

import numpy as np


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values to control the false discovery rate.

    The procedure is valid for tests without negative dependence: Benjamini & Hochberg, Controlling
    the False Discovery Rate, 1995.

    >>> [round(p_value, 3) for p_value in benjamini_hochberg([0.01, 0.04, 0.02])]
    [0.03, 0.04, 0.03]
    """
    values = np.array(p_values, np.float64)
    order = np.argsort(-values, kind="stable")  # NaN is last
    order = order[: np.count_nonzero(~np.isnan(values))]
    hypotheses = len(order)
    ratios = hypotheses / np.arange(
        hypotheses, 0, -1
    )  # m / k, the largest p-value first
    adjusted = np.minimum.accumulate(values[order] * ratios)
    values[order] = np.minimum(adjusted, 1.0)
    return [float(value) for value in values]
