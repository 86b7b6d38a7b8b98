"""Levels by arm and day: how often a shift is found without one, and when with one."""

import numpy as np
import pytest

from analysis.statistics.level_shifts import cluster_factor, find_shift
from looplib.arrays import FloatArray

DAYS = 12


def sums(parts: FloatArray, wholes: FloatArray) -> FloatArray:
    """Sum up listeners by day, from shape (days, listeners)."""
    columns = (
        np.ones_like(parts),
        parts,
        wholes,
        parts**2,
        parts * wholes,
        wholes**2,
    )
    return np.stack([column.sum(axis=-1) for column in columns], axis=-1)


def draw(generator: np.random.Generator, shares: FloatArray) -> FloatArray:
    """Draw 300 listeners a day, whose events are hits with a share that differs by listener."""
    events = 1 + generator.poisson(8, (len(shares), 300))
    odds = generator.gamma(2, shares[:, np.newaxis] / 2, events.shape).clip(0, 1)
    return sums(generator.binomial(events, odds).astype(float), events.astype(float))


@pytest.mark.parametrize("in_logarithms", [False, True])
def test_without_a_shift_none_is_found_at_any_analysis(in_logarithms: bool) -> None:
    generator = np.random.default_rng(1)
    smallest = []
    for _ in range(100):
        is_weekend = np.arange(DAYS) % 7 > 4
        shares = np.where(is_weekend, 0.25, 0.2)
        arm, rest = draw(generator, shares), draw(generator, 1.2 * shares)
        found = [
            find_shift(arm[:day], rest[:day], in_logarithms=in_logarithms)
            for day in range(2, DAYS + 1)
        ]
        smallest.append(min(shift.p_value for shift in found if shift))
    assert min(smallest) > 0.001


def test_a_shift_is_found_on_its_second_day_by_its_first() -> None:
    generator = np.random.default_rng(2)
    shares = np.where(np.arange(DAYS) < 5, 0.01, 0.2)
    arm, rest = draw(generator, shares), draw(generator, np.full(DAYS, 0.01))
    first, second = (find_shift(arm[:day], rest[:day]) for day in (6, 7))
    assert first
    assert first.p_value == 1
    assert second
    assert second.p_value < 1e-9
    assert (second.day, second.last) == (5, 6)
    assert second.level == pytest.approx(0.2, abs=0.03)
    assert second.rest_change == pytest.approx(0, abs=0.01)


def test_a_day_or_two_are_no_shift() -> None:
    generator = np.random.default_rng(3)
    shares = np.full(DAYS, 0.2)
    arm, rest = draw(generator, shares), draw(generator, shares)
    arm[6, 1] *= 3
    shift = find_shift(arm, rest, in_logarithms=True)
    assert shift
    assert shift.p_value > 0.001
    arm[7, 1] /= 3
    shift = find_shift(arm, rest, in_logarithms=True, wrong_days=2)
    assert shift
    assert shift.p_value > 0.001


def test_listeners_who_come_every_day_widen_the_error_by_their_days() -> None:
    generator = np.random.default_rng(4)
    parts = np.tile(generator.random(400), (DAYS, 1))
    days = sums(parts, np.ones_like(parts))
    total = sums(parts.sum(axis=0), np.full(400, float(DAYS)))
    assert cluster_factor(total, days) == pytest.approx(DAYS)
