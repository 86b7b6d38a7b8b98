"""The bootstrap and the rank test agree with what they check, and with plain counting."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.statistics.bootstrap import Ratios, bootstrap_effects
from analysis.statistics.effects import Interval, compare_moments, compare_ranks
from analysis.statistics.moments import Moments, Quantity
from looplib.arrays import FloatArray
from tests.analysis.statistics.arms import SESSIONS, TIME, Columns, draw_arms

VALUES = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=40)


def as_ratios(columns: Columns) -> Ratios:
    """Mean time, and time a session."""
    times, ones = columns[TIME], np.ones_like(columns[TIME])
    return Ratios(np.stack([times, times], axis=1), np.stack([ones, columns[SESSIONS]], axis=1))


def assert_close(resampled: Interval, exact: Interval) -> None:
    error = (exact.upper - exact.lower) / 3.92
    assert resampled.value == pytest.approx(exact.value)
    assert resampled.lower == pytest.approx(exact.lower, abs=0.25 * error)
    assert resampled.upper == pytest.approx(exact.upper, abs=0.25 * error)


def test_resampled_intervals_agree_with_welchs_on_many_listeners() -> None:
    control, arm = draw_arms(41, 2_000, 2_000, 1.1)
    found = bootstrap_effects(as_ratios(control), as_ratios(arm), resamples=2_000, seed=1)
    for effect, quantity in zip(found, (Quantity(TIME), Quantity(TIME, SESSIONS)), strict=True):
        assert_close(effect, compare_moments(Moments.of(control), Moments.of(arm), quantity).relative)


def test_arms_of_equal_size_are_resampled_independently() -> None:
    columns = draw_arms(42, 200, 0)[0]
    same = bootstrap_effects(as_ratios(columns), as_ratios(columns), resamples=200, seed=1)
    assert same[0].lower < 0 < same[0].upper


def test_a_control_of_nothing_has_no_relative_interval() -> None:
    nothing, some = (Ratios(np.full((9, 1), value), np.ones((9, 1))) for value in (0.0, 1.0))
    assert all(map(math.isnan, bootstrap_effects(nothing, some, resamples=10, seed=1)[0]))


def reference(control: FloatArray, arm: FloatArray) -> float:
    """Counted pair by pair; normal approximation with ties and continuity corrected for."""
    pairs, total = len(control) * len(arm), len(control) + len(arm)
    wins = sum((a > c) + (a == c) / 2 for a in arm for c in control)
    _, ties = np.unique(np.concatenate([control, arm]), return_counts=True)
    variance = pairs / 12 * (total + 1 - float((ties**3.0 - ties).sum()) / (total * (total - 1)))
    distance = abs(wins - pairs / 2) - 0.5
    return min(1.0, 2 * NormalDist().cdf(-distance / math.sqrt(variance))) if variance else 1.0


@given(control=VALUES, arm=VALUES)
@settings(deadline=None)
def test_ranks_are_compared_as_pairs_are_counted(control: list[float], arm: list[float]) -> None:
    expected = reference(np.array(control), np.array(arm))
    assert compare_ranks(np.array(control), np.array(arm)) == pytest.approx(expected, abs=1e-9)


def test_an_arm_without_listeners_has_no_ranks() -> None:
    assert math.isnan(compare_ranks(np.array([]), np.array([1.0])))
