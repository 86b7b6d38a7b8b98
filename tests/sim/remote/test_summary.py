"""Means of sessions that come in clusters of listeners, against NumPy and against simulation."""

import math

import numpy as np
import pytest

from looplib.randomness import make_generator
from sim.remote.summary import ratio_mean


def test_clusters_of_one_have_the_standard_error_of_a_plain_mean() -> None:
    values = make_generator(1, "test").normal(3, 2, size=500)
    found = ratio_mean(values, np.ones(500, dtype=np.int64))
    assert found.mean == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(values.std(ddof=1) / math.sqrt(500))


def test_the_standard_error_is_the_spread_of_the_mean_over_many_draws_of_listeners() -> (
    None
):
    """Listeners differ: taking their sessions as independent would give about half."""
    rng, means, errors = make_generator(2, "test"), [], []
    for _ in range(400):
        counts = rng.integers(1, 12, size=300)
        sums = rng.normal(2, 1, size=300) * counts + rng.normal(
            0, 1, size=300
        ) * np.sqrt(counts)
        found = ratio_mean(sums, counts)
        means.append(found.mean)
        errors.append(found.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=5 / math.sqrt(2 * 400))


def test_without_sessions_there_is_no_mean_and_with_one_listener_no_error() -> None:
    assert all(
        math.isnan(value)
        for value in vars(ratio_mean(np.zeros(3), np.zeros(3, dtype=np.int64))).values()
    )
    one = ratio_mean(np.array([6.0]), np.array([3]))
    assert one.mean == 2.0
    assert math.isnan(one.standard_error)
