"""Numbers drawn from hashes have the distributions that they should, and no state."""

import math

import numpy as np
import pytest
from scipy import stats

from sim.listening.draws import normals, scale_below, session_draws


def test_draws_are_uniform_and_independent_from_index_to_index() -> None:
    sessions = np.arange(50_000)
    columns = np.stack([session_draws(3, sessions, index) for index in range(5)])
    assert min(stats.kstest(column, "uniform").pvalue for column in columns) > 1e-4
    assert np.abs(np.corrcoef(columns) - np.eye(5)).max() < 5 / math.sqrt(50_000)


def test_idiosyncrasy_is_normal_and_belongs_to_the_pair() -> None:
    listeners, tracks = np.arange(300)[:, None], np.arange(100)
    table = normals(3, listeners, tracks)
    assert stats.kstest(table.ravel(), "norm").pvalue > 1e-4
    assert table[7, 31] == normals(3, np.array([7]), np.array([31]))[0]
    for axis in (0, 1):  # no listener and no track is shifted as a whole
        spread = table.mean(axis=axis).std() * math.sqrt(table.shape[axis])
        assert spread == pytest.approx(1, rel=0.25)
    assert not np.array_equal(table, normals(4, listeners, tracks))


def test_draws_become_whole_numbers_below_a_limit() -> None:
    uniform = np.array([0.999, 0.0, 1 / 3, np.nextafter(1, 0)])
    assert scale_below(np.array([1, 3, 3, 10]), uniform).tolist() == [0, 0, 1, 9]
