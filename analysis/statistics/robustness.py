"""Checks that lean on no normal distribution: the bootstrap over listeners and the Mann-Whitney test."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from analysis.statistics import bootstrap
from analysis.statistics.bootstrap import Ratios, Resamples
from analysis.statistics.effects import Interval
from looplib.arrays import FloatArray


@dataclass(frozen=True)
class Bootstrapped:
    """The effect of an arm on one metric, with percentile intervals.

    Attributes:
        absolute: Arm - control.
        relative: Arm / control - 1.
    """

    absolute: Interval
    relative: Interval


@dataclass(frozen=True)
class RankTest:
    """Whether listeners of one arm tend to have larger values than those of the other.

    Attributes:
        superiority: Chance that a listener of the arm has a larger value than one of the control, ties counting half.
        p_value: Two-sided, of equal distributions.
    """

    superiority: float
    p_value: float


def bootstrap_effects(control: Ratios, arm: Ratios, resamples: int, seed: int) -> list[Bootstrapped]:
    """Effects on metrics that are ratios of sums over listeners, each arm's listeners resampled on their own.

    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, sections 8.3 and 13.3.

    Args:
        control: One row a listener, one column a metric.
        arm: The same of the arm.
        resamples: Number of resamples.
        seed: Seed of the run.

    Raises:
        AnalysisError: An arm has no listener, or there are fewer than two resamples.
    """
    # Arms of equal size would otherwise draw the same listeners, and their errors would not be independent.
    controls, arms = (_resample(ratios, resamples, 2 * seed + side) for side, ratios in enumerate((control, arm)))
    of_control, of_arm = (_whole(ratios) for ratios in (control, arm))
    absolute = _intervals(of_arm - of_control, arms - controls)
    relative = _intervals(_relative(of_control, of_arm), _relative(controls, arms))
    return [Bootstrapped(*both) for both in zip(absolute, relative, strict=True)]


def compare_ranks(control: FloatArray, arm: FloatArray) -> RankTest:
    """The Mann-Whitney test with midranks for ties, by the normal approximation corrected for them.

    Mann & Whitney, On a Test of Whether one of Two Random Variables is Stochastically Larger than the Other, 1947.

    Args:
        control: One value a listener, shape (listeners,).
        arm: The same of the arm.
    """
    if not (len(control) and len(arm)):
        return RankTest(math.nan, math.nan)
    if min(control.min(), arm.min()) == max(control.max(), arm.max()):
        return RankTest(0.5, 1.0)  # no two ranks differ, so that the test's variance is 0
    statistic, p_value = stats.mannwhitneyu(arm, control, method="asymptotic")
    return RankTest(float(statistic) / (len(control) * len(arm)), float(p_value))


def _resample(ratios: Ratios, resamples: int, seed: int) -> FloatArray:
    """The metrics in every resample, shape (resamples, metrics)."""
    return bootstrap.estimate(Resamples(len(ratios.numerators), resamples, seed), ratios)[0]


def _whole(ratios: Ratios) -> FloatArray:
    return bootstrap.ratio(ratios.numerators.sum(axis=0), ratios.denominators.sum(axis=0))


def _relative(control: FloatArray, arm: FloatArray) -> FloatArray:
    return np.divide(arm, control, out=np.full_like(arm, np.nan), where=control != 0) - 1


def _intervals(values: FloatArray, resampled: FloatArray) -> list[Interval]:
    lower, upper = bootstrap.percentile_interval(resampled)
    return [Interval(*map(float, row)) for row in zip(values, lower, upper, strict=True)]
