"""Checks that assume no normal distribution: the bootstrap over listeners and the Mann-Whitney test."""

import math

import numpy as np
from scipy import stats

from analysis.statistics import bootstrap
from analysis.statistics.bootstrap import Ratios, Resamples
from analysis.statistics.effects import Interval
from looplib.arrays import FloatArray


def bootstrap_effects(control: Ratios, arm: Ratios, resamples: int, seed: int) -> list[Interval]:
    """Bootstrap the relative effects on several metrics, each arm's listeners resampled on their own.

    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, sections 8.3 and 13.3.

    Returns:
        Arm / control - 1 with its percentile interval, for each metric.
    """
    # Arms of equal size would otherwise draw the same listeners, and their errors would not be independent.
    before, after = (_estimates(ratios, resamples, 2 * seed + side) for side, ratios in enumerate((control, arm)))
    relative = np.divide(after, before, out=np.full_like(after, np.nan), where=before != 0) - 1
    return bootstrap.intervals(relative[0], relative[1:])


def _estimates(ratios: Ratios, resamples: int, seed: int) -> FloatArray:
    """Return the metrics of the whole sample and of every resample, shape (1 + resamples, metrics)."""
    (resampled,) = bootstrap.estimate(Resamples(len(ratios.numerators), resamples, seed), ratios)
    return np.vstack([ratios.whole, resampled])


def compare_ranks(control: FloatArray, arm: FloatArray) -> float:
    """Test whether listeners of one arm tend to have larger values than those of the other.

    The Mann-Whitney test with midranks for ties, by the normal approximation corrected for them. Mann & Whitney, On a
    Test of Whether one of Two Random Variables is Stochastically Larger than the Other, 1947.

    Returns:
        The two-sided p-value of equal distributions; NaN if an arm has no listeners.
    """
    if not (len(control) and len(arm)):
        return math.nan
    if min(control.min(), arm.min()) == max(control.max(), arm.max()):
        return 1.0  # no two ranks differ, so that the test's variance is 0
    return float(stats.mannwhitneyu(arm, control, method="asymptotic").pvalue)
