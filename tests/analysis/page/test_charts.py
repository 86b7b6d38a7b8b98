"""Places in a chart: in % of it, from values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.page.figures import Dot, Plane, arm_style, spread_evenly
from analysis.page.scales import Scale, covering

VALUES = st.floats(-1e9, 1e9, allow_nan=False)


def test_a_scale_goes_from_0_to_100_percent() -> None:
    scale = Scale(-10, 30)
    assert [scale.at(value) for value in (-10, 0, 30)] == [0, 25, 100]
    assert scale.contains(30)
    assert not scale.contains(31)


def test_places_outside_stay_within_what_an_svg_can_draw() -> None:
    assert Scale(0, 1).at(1e300) == 1e4
    assert Scale(0, 1).at(-math.inf) == -1e4


@given(low=VALUES, width=st.floats(1e-3, 1e9), count=st.integers(2, 10))
def test_ticks_are_round_values_inside_and_about_as_many_as_asked_for(low: float, width: float, count: int) -> None:
    scale = Scale(low, low + width)
    ticks = scale.ticks(count)
    assert count / 2 - 1 <= len(ticks) <= 2 * count + 1
    assert all(-0.1 <= scale.at(tick) <= 100.1 for tick in ticks)
    if len(ticks) > 1:
        step = (ticks[-1] - ticks[0]) / (len(ticks) - 1)
        assert min(abs(math.log10(step / factor) % 1.0 - offset) for factor in (1, 2, 5) for offset in (0, 1)) < 1e-3


@given(values=st.lists(st.none() | st.floats(allow_nan=True), max_size=6))
def test_a_scale_covers_whatever_is_a_number_and_what_must_be_seen(values: list[float | None]) -> None:
    small = [value if value is None or not abs(value) < math.inf else value % 1e6 for value in values]
    scale = covering(small, include=0.0)
    assert scale.high > scale.low
    assert all(scale.contains(value) for value in small if value is not None and math.isfinite(value))
    assert scale.contains(0.0)


def test_without_values_there_is_a_scale_all_the_same() -> None:
    assert covering([]).contains(0.5)


def test_shapes_are_drawn_from_the_top() -> None:
    plane = Plane(Scale(0, 10), Scale(0, 2))
    assert plane.line([(0, 0), (5, 2)], "arm-1").points == "0,100 50,0"
    assert plane.band([(0, 0, 1), (10, 1, 2)], "arm-1").points == "0,50 100,0 100,50 0,100"
    assert plane.dot(5, 1, (0, 2), "arm-1") == Dot(50, 50, 100, 0, "arm-1")
    assert plane.dot(5, 1, None, "arm-1").low is None


def test_no_effect_has_a_line_only_where_the_chart_has_it() -> None:
    assert Plane(Scale(0, 1), Scale(-1, 3)).zero == 75
    assert Plane(Scale(0, 1), Scale(1, 3)).zero is None


@pytest.mark.parametrize(
    ("count", "places"), [(0, []), (1, [0]), (5, [0, 1, 2, 3, 4]), (6, [0, 2, 4]), (11, [0, 3, 6, 9])]
)
def test_names_are_spread_evenly_where_there_is_room_for_few(count: int, places: list[int]) -> None:
    assert list(spread_evenly(count, 5)) == places


def test_six_arms_beside_the_control_differ_in_colour() -> None:
    assert arm_style(0) == "arm-0"
    assert len({arm_style(place) for place in range(7)}) == 7
    assert arm_style(7) == arm_style(1)
