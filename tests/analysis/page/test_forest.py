"""Forest plots: where marks and ticks are, and what has none."""

import math

import pytest

from analysis.page.forest import Forest, IntervalRow

KNOWN = IntervalRow("T1", "+5 %", 5.0, -3.0, 7.0, "blue")
UNKNOWN = IntervalRow("T2", "0 → 1", math.nan, None, math.inf, "blue")


def test_values_are_placed_between_the_ends_of_the_axis_which_hold_zero() -> None:
    rows = [IntervalRow("T1", "", 30.0, 20.0, 40.0, "blue")]
    forest = Forest("", "", "x", {"": rows}, from_zero=True)
    places = [forest.place(value) for value in (0.0, 20.0, 40.0)]
    assert places == pytest.approx([100 * part / 1.04 for part in (0.02, 0.52, 1.02)])
    assert [text for _, text in forest.ticks] == ["0", "20", "40"]


def test_ticks_have_the_decimals_that_distinguish_them() -> None:
    rows = [IntervalRow("a", "", 0.101, 0.1, 0.102, "blue")]
    texts = [text for _, text in Forest("", "", "x", {"": rows}).ticks]
    assert texts == ["0.100", "0.101", "0.102"]


def test_what_is_not_known_has_no_place_and_nothing_known_has_an_axis() -> None:
    forest = Forest("", "", "x", {"A": [], "B": [KNOWN, UNKNOWN]})
    assert (
        forest.place(math.nan) is forest.place(None) is forest.place(math.inf) is None
    )
    assert forest.ends == pytest.approx((-3.2, 7.2))
    assert Forest("", "", "x", {"": [UNKNOWN]}).ends == (-1.0, 1.0)
