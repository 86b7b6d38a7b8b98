"""Effects: no number where there is none."""

import math

import numpy as np
import pytest

from analysis.statistics.effects import Estimate, Interval, adjust, compare, estimate
from analysis.statistics.moments import Moments, Quantity


def test_significance_is_an_interval_on_one_side_of_zero() -> None:
    assert Interval(1, 0.5, 2).excludes_zero
    assert Interval(-1, -2, -0.5).excludes_zero
    assert not Interval(1, 0, 2).excludes_zero
    assert not Interval(1, math.nan, math.nan).excludes_zero


@pytest.mark.parametrize("counts", [(0, 10), (1, 10), (10, 1), (1, 1), (10, 10)])
def test_fewer_than_two_listeners_or_a_ratio_over_nothing_have_no_interval(
    counts: tuple[int, int],
) -> None:
    value = math.nan if min(counts) > 1 else 2.0
    effect = compare(Estimate(1.0, 0.0, counts[0]), Estimate(value, value, counts[1]))
    assert effect.absolute.value == pytest.approx(value - 1, nan_ok=True)
    ends = [*effect.absolute][1:] + [*effect.relative][1:]
    assert np.isnan([*ends, effect.p_value]).all()


@pytest.mark.parametrize("more", [0, 1])
def test_values_that_do_not_vary_differ_for_sure_or_not_at_all(more: int) -> None:
    effect = compare(Estimate(1.0, 0.0, 10), Estimate(1.0 + more, 0.0, 10))
    assert effect.absolute == effect.relative == Interval(more, more, more)
    assert effect.p_value == 1 - more


def test_a_control_of_nothing_has_no_relative_effect() -> None:
    effect = compare(Estimate(0.0, 0.0, 10), Estimate(2.0, 1.0, 10))
    assert effect.absolute.excludes_zero
    assert math.isnan(effect.relative.value)


def test_a_control_that_may_as_well_be_nothing_has_an_endless_relative_interval() -> (
    None
):
    relative = compare(Estimate(1e-9, 1.0, 10), Estimate(2.0, 1.0, 10)).relative
    assert (relative.lower, relative.upper) == (-1, math.inf)


def test_an_arm_of_nothing_has_a_relative_effect_without_interval() -> None:
    relative = compare(Estimate(2.0, 1.0, 10), Estimate(0.0, 0.0, 10)).relative
    assert relative.value == -1
    assert math.isnan(relative.lower)


@pytest.mark.parametrize("before", [0.0, 3.0])
def test_cuped_without_a_past_that_varies_changes_nothing(before: float) -> None:
    arms = [
        Moments.of({"time": range(count), "before": [before] * count})
        for count in (50, 60)
    ]
    expected = [estimate(moments, Quantity("time")) for moments in arms]
    assert adjust(*arms, Quantity("time"), Quantity("before")) == (*expected, 1)
