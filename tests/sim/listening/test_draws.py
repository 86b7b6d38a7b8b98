"""Numbers drawn from hashes have the distributions that they should, and no state."""

import math

import numpy as np
from scipy import stats

from sim.listening.draws import scale_below, session_draws


def test_draws_are_uniform_and_independent_from_index_to_index() -> None:
    sessions = np.arange(50_000)
    columns = np.stack([session_draws(3, sessions, index) for index in range(5)])
    assert min(stats.kstest(column, "uniform").pvalue for column in columns) > 1e-4
    assert np.abs(np.corrcoef(columns) - np.eye(5)).max() < 5 / math.sqrt(50_000)


def test_draws_become_whole_numbers_below_a_limit() -> None:
    uniform = np.array([0.999, 0.0, 1 / 3, np.nextafter(1, 0)])
    assert scale_below(np.array([1, 3, 3, 10]), uniform).tolist() == [0, 0, 1, 9]
