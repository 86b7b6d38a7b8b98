"""Numbers as people read them."""

import math
from collections.abc import Callable

import pytest

from analysis.page import numbers

MINUS, SPACE, NOTHING = "\N{MINUS SIGN}", "\N{NARROW NO-BREAK SPACE}", "\N{EN DASH}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.000"),
        (0.01234, "0.0123"),
        (4.5678, "4.568"),
        (45.678, "45.68"),
        (456.78, "456.8"),
        (45678.9, "45,679"),
    ],
)
def test_measured_values_have_about_four_digits(value: float, text: str) -> None:
    assert numbers.number(value) == text
    assert numbers.number(-value) == (f"{MINUS}{text}" if value else text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.234, "+1.23"),
        (-1.236, f"{MINUS}1.24"),
        (1234.5, "+1,234.50"),
        (0.0, "0.00"),
        (-0.001, "0.00"),
    ],
)
def test_changes_have_a_sign_unless_they_are_shown_as_nothing(
    value: float, text: str
) -> None:
    assert numbers.change(value) == f"{text}{SPACE}%"


def test_shares_that_are_too_small_to_show_are_not_shown_as_nothing() -> None:
    assert numbers.percent(12.3) == f"12.30{SPACE}%"
    assert numbers.percent(0.0) == f"0.00{SPACE}%"
    assert numbers.percent(0.001) == f"< 0.01{SPACE}%"
    assert numbers.percent(0.2, 0) == f"< 1{SPACE}%"


def test_an_interval_names_its_unit_once() -> None:
    assert numbers.interval(-1.0, 2.5) == f"{MINUS}1.00 … +2.50{SPACE}%"
    assert numbers.limits(-0.01234, 1234.5) == f"{MINUS}0.0123 … 1,234"
    assert numbers.interval(None, 2.5) == numbers.limits(1.0, math.nan) == NOTHING


def test_p_values_below_the_last_decimal_say_so() -> None:
    assert [numbers.p_is(value) for value in (0.04567, 0.0001, 0.00004, 0.0)] == [
        "p = 0.0457",
        "p = 0.0001",
        "p < 0.0001",
        "p < 0.0001",
    ]


@pytest.mark.parametrize(
    "show",
    [numbers.count, numbers.number, numbers.percent, numbers.change, numbers.p_value],
    ids=lambda f: f.__name__,
)
def test_what_does_not_exist_is_a_dash(show: Callable[[float | None], str]) -> None:
    assert show(None) == show(math.nan) == show(math.inf) == NOTHING
