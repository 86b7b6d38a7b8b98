"""Always-valid intervals: looking every day costs no more false positives than were asked for."""

import math

import numpy as np
import pytest

from analysis.statistics.effects import Estimate, compare
from analysis.statistics.sequential import at_any_time, widening
from looplib.arrays import FloatArray
from looplib.randomness import make_generator

EXPERIMENTS, DAYS = 1_000, 30


def count_ever_significant(
    sums: FloatArray, squares: FloatArray, counts: FloatArray, margins: FloatArray
) -> int:
    """Experiments with an effect beyond its margin on any day, where no arm has one.

    Args:
        sums: Of the listeners' values up to each day, shape (experiments, arms, days).
        squares: Of their squares.
        counts: Listeners of one arm up to each day, shape (days,).
        margins: In standard errors, shape (days,).
    """
    means = sums / counts
    errors = np.sqrt(((squares / counts - means**2) / (counts - 1)).sum(axis=1))
    return int((np.abs(means[:, 1] - means[:, 0]) > margins * errors).any(axis=1).sum())


def margins_of(counts: FloatArray) -> FloatArray:
    return np.array(
        [widening(2 * count, planned=2 * float(counts[-1])) for count in counts]
    )


def test_daily_looks_at_new_listeners_find_what_is_not_there_in_one_of_twenty_at_most() -> (
    None
):
    daily = 100
    values = make_generator(21, "test sequential").gamma(
        0.7, size=(EXPERIMENTS, 2, DAYS, daily)
    )
    sums, squares = (
        np.cumsum(part.sum(axis=3), axis=2) for part in (values, values**2)
    )
    counts = daily * np.arange(1.0, DAYS + 1)
    assert (
        count_ever_significant(sums, squares, counts, margins_of(counts))
        <= 0.05 * EXPERIMENTS
    )
    # What the sequence is for: an interval meant for one look fails several times as often.
    assert (
        count_ever_significant(sums, squares, counts, np.full(DAYS, 1.96))
        > 0.15 * EXPERIMENTS
    )


def test_daily_looks_at_the_same_listeners_are_allowed_too() -> None:
    """Listeners who come every day: their totals grow, their number does not."""
    listeners = 100
    generator = make_generator(22, "test sequential")
    taste = generator.gamma(1.0, size=(EXPERIMENTS, 2, 1, listeners))
    totals = np.cumsum(
        generator.gamma(0.5 + taste, size=(EXPERIMENTS, 2, DAYS, listeners)), axis=2
    )
    counts = np.full(DAYS, float(listeners))
    found = count_ever_significant(
        totals.sum(axis=3), (totals**2).sum(axis=3), counts, margins_of(counts)
    )
    assert found <= 0.05 * EXPERIMENTS


def test_the_interval_is_narrowest_at_the_planned_number_and_covers_more_than_one_look() -> (
    None
):
    at = {
        listeners: widening(listeners, planned=10_000)
        for listeners in (100, 9_000, 10_000, 11_000, 10**6)
    }
    assert min(at, key=lambda listeners: at[listeners]) == 10_000
    assert at[10_000] == pytest.approx(3.035, abs=0.001)
    assert widening(0, planned=10_000) == math.inf


def test_the_interval_is_the_effect_and_a_widened_error() -> None:
    effect = compare(Estimate(4.0, 1.0, 400), Estimate(5.0, 3.0, 600))
    interval = at_any_time(effect, planned=1_000).absolute
    margin = math.sqrt(1 / 400 + 3 / 600) * widening(1_000, planned=1_000)
    assert (interval.lower, interval.upper) == pytest.approx((1 - margin, 1 + margin))


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_p_value_is_the_level_at_which_the_interval_touches_zero(
    confidence: float,
) -> None:
    margin = math.sqrt(2 / 500) * widening(1_000, 1_000, confidence)
    effect = compare(
        Estimate(4.0, 1.0, 500), Estimate(4 + margin, 1.0, 500), confidence
    )
    assert at_any_time(effect, 1_000, confidence).p_value == pytest.approx(
        1 - confidence
    )


def test_without_an_error_there_is_no_sequence() -> None:
    none, sure = (
        compare(Estimate(1.0, 0.0, 10), Estimate(2.0, 0.0, count)) for count in (1, 10)
    )
    assert math.isnan(at_any_time(none, 10).absolute.lower)
    assert math.isnan(at_any_time(none, 10).p_value)
    assert at_any_time(sure, 10).p_value == 0
    assert (
        at_any_time(compare(Estimate(1.0, 1.0, 10), Estimate(1.0, 1.0, 10)), 20).p_value
        == 1
    )
