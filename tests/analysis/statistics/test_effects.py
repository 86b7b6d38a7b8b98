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


@pytest.mark.parametrize(
    ("control", "arm", "relative"),
    [
        (Estimate(0.0, 0.0, 10), Estimate(2.0, 1.0, 10), [math.nan] * 3),
        (Estimate(1e-9, 1.0, 10), Estimate(2.0, 1.0, 10), [2e9, -1, math.inf]),
        (Estimate(2.0, 1.0, 10), Estimate(0.0, 0.0, 10), [-1, math.nan, math.nan]),
    ],
    ids=["a control of nothing", "of perhaps nothing", "an arm of nothing"],
)
def test_beside_nothing_a_relative_effect_has_no_ends_or_endless_ones(
    control: Estimate, arm: Estimate, relative: list[float]
) -> None:
    found = [*compare(control, arm).relative]
    assert found == pytest.approx(relative, nan_ok=True)


@pytest.mark.parametrize("before", [0.0, 3.0])
def test_cuped_without_a_past_that_varies_changes_nothing(before: float) -> None:
    control, arm = (
        Moments.of({"time": range(count), "before": [before] * count})
        for count in (50, 60)
    )
    time = Quantity("time")
    expected = (estimate(control, time), estimate(arm, time), 1)
    assert adjust(control, arm, time, Quantity("before")) == expected
