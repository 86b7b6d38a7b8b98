"""Quantiles of measured values, and intervals that know that the values of a listener are alike."""

import math

import numpy as np
import pytest

from analysis.statistics.quantiles import STEP, Histogram, compare_quantiles
from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator


def latencies(values_ms: FloatArray, listeners: IntArray) -> Histogram:
    """Requests of listeners, who are put into groups by their number."""
    steps = np.floor(np.log(np.maximum(values_ms * 1e6, 1)) / STEP).astype(np.int64)
    ones = np.ones_like(steps)
    return Histogram.of(steps, listeners % 100, ones, len(listeners))


def drawn(generator: np.random.Generator, factor: float = 1.0) -> Histogram:
    """Twenty requests of each of 400 listeners, who has a pace of their own."""
    pace = generator.normal(0, 0.5, 400)
    values = factor * np.exp(np.repeat(pace, 20) + generator.normal(0, 0.3, 8000))
    return latencies(values, np.repeat(np.arange(400), 20))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
def test_a_quantile_is_that_of_the_values_to_a_thousandth(share: float) -> None:
    values = make_generator(1, "latency").lognormal(0, 1, 5000)
    found = latencies(values, np.arange(5000)).quantile(share)
    assert found == pytest.approx(np.quantile(values, share), rel=5e-3)


def test_twice_the_latency_is_an_effect_of_a_hundred_percent() -> None:
    control, arm = (drawn(make_generator(1, "latency"), factor) for factor in (1, 2))
    effect = compare_quantiles(control, arm, 0.5, 0.95)
    assert effect.relative.value == pytest.approx(1, rel=2e-3)
    assert effect.absolute.value == pytest.approx(effect.control.value, rel=2e-3)
    assert effect.relative.lower > 0.5
    assert effect.p_value < 1e-6


def test_the_interval_covers_no_effect_as_often_as_it_says() -> None:
    covered = 0
    for run in range(200):
        generator = make_generator(run, "coverage")
        effect = compare_quantiles(drawn(generator), drawn(generator), 0.5, 0.95)
        covered += effect.absolute.lower <= 0 <= effect.absolute.upper
    assert 0.92 <= covered / 200 <= 0.98


def test_equal_latencies_have_no_effect() -> None:
    one = latencies(np.full(200, 3.0), np.arange(200))
    effect = compare_quantiles(one, one, 0.99, 0.95)
    assert ([*effect.absolute], effect.p_value) == ([0, 0, 0], 1)


def test_one_group_of_listeners_gives_a_value_without_an_interval() -> None:
    one = latencies(np.array([1.0, 2.0]), np.array([0, 0]))
    effect = compare_quantiles(one, one, 0.5, 0.95)
    assert effect.absolute.value == 0
    assert math.isnan(effect.absolute.lower)
    assert math.isnan(effect.p_value)
