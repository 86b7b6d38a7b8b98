"""Bounds on the way to a horizon: published ones, and scipy's distribution of all looks at once."""

import math

import numpy as np
import pytest
from scipy import stats

from analysis.ab.config import AbConfig, FixedHorizon
from analysis.ab.interim import InterimAnalysis
from analysis.statistics.effects import Estimate, compare
from analysis.statistics.fixed_horizon import bound, bounds, p_value_at


@pytest.mark.parametrize(
    ("looks", "published"),
    [  # two-sided 5 %, O'Brien and Fleming's shape by Lan and DeMets: gsDesign's sfLDOF
        (2, [2.9626, 1.9686]),
        (3, [3.7103, 2.5114, 1.9930]),
        (5, [4.8769, 3.3569, 2.6803, 2.2898, 2.0310]),
    ],
)
def test_bounds_are_the_published_ones(looks: int, published: list[float]) -> None:
    found = [bound(look / looks, looks, 0.05) for look in range(1, looks + 1)]
    assert found == pytest.approx(published, abs=2e-4)


@pytest.mark.parametrize("level", [0.2, 0.01])
def test_any_look_errs_as_often_as_the_level_says(level: float) -> None:
    ends, times = np.array(bounds(4, level)), np.arange(1, 5) / 4
    covariance = np.sqrt(
        np.minimum.outer(times, times) / np.maximum.outer(times, times)
    )
    random = np.random.default_rng(1)
    inside = stats.multivariate_normal.cdf(
        ends, cov=covariance, abseps=2e-6, releps=1e-5, lower_limit=-ends, rng=random
    )
    assert 1 - inside == pytest.approx(level, rel=1e-3)


def test_the_p_value_is_the_level_whose_bound_is_just_reached() -> None:
    look = (0.8, 32)
    assert p_value_at(bound(*look, 0.03), *look) == pytest.approx(0.03, rel=1e-3)
    assert p_value_at(bound(*look, 0.9), *look) == pytest.approx(0.9, rel=1e-3)
    assert p_value_at(0.0, *look) == pytest.approx(1.0)
    assert p_value_at(50.0, *look) == pytest.approx(1e-6)


def test_a_single_look_is_welch_s_test_and_before_the_first_nothing_is_known() -> None:
    effect = compare(Estimate(4.0, 9.0, 60), Estimate(5.5, 20.0, 40))
    config = AbConfig(fixed_horizon=FixedHorizon(listeners=100, interim_analyses=1))
    alone = InterimAnalysis(config, 1.2).widen(effect)
    assert [*alone.absolute] == pytest.approx([*effect.absolute])
    assert [*alone.relative] == pytest.approx([*effect.relative])
    assert alone.p_value == pytest.approx(effect.p_value, rel=1e-3)
    early = InterimAnalysis(config, 0.9).widen(effect)
    assert [*early.absolute][1:] == [-math.inf, math.inf]
    assert early.p_value == 1


def test_a_look_between_two_that_are_due_counts_as_the_one_before() -> None:
    assert bound(0.55, 5, 0.05) == bound(0.4, 5, 0.05) > bound(0.6, 5, 0.05)
