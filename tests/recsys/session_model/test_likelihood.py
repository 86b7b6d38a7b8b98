"""The fractional likelihood, against general optimisers and simulated shares."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from looplib.arrays import FloatArray
from recsys.session_model.likelihood import (
    find_decays,
    measure_dispersion,
    working_responses,
)

STEP = 0.01


def beta_shares(mean: FloatArray, dispersion: float, seed: int) -> FloatArray:
    """Shares of the variance dispersion * mean * (1 - mean), logged in steps."""
    concentration = 1 / dispersion - 1
    shares = np.random.default_rng(seed).beta(
        mean * concentration, (1 - mean) * concentration
    )
    return np.round(shares / STEP) * STEP


@pytest.mark.parametrize("dispersion", [0.02, 1.0])
def test_repeated_regressions_end_where_the_likelihood_is_largest(
    dispersion: float,
) -> None:
    rng = np.random.default_rng(1)
    design = rng.normal(size=(400, 3))
    time = np.round(
        expit(design @ [1.0, -0.5, 2.0] - 0.5) * rng.uniform(0.7, 1, 400), 2
    )
    x = np.zeros(3)
    for _ in range(60):
        off, weights = working_responses(design @ x, time, dispersion)
        x = x + np.linalg.solve(
            (design.T * weights) @ design, design.T @ (weights * off)
        )

    def loss(x: FloatArray) -> float:
        return -float(
            np.sum(
                time * np.log(expit(design @ x))
                + (1 - time) * np.log(expit(-design @ x))
            )
        )

    best = minimize(loss, np.zeros(3))
    assert x == pytest.approx(best.x, abs=0.01)


@pytest.mark.parametrize("dispersion", [0.02, 0.3, 0.7])
def test_the_dispersion_of_held_out_shares_is_found_whatever_the_logits_are_off_by(
    dispersion: float,
) -> None:
    rng = np.random.default_rng(2)
    logit = rng.normal(-1, 1, 40_000)
    time = beta_shares(expit(logit), dispersion, seed=3)
    uncertainty = np.full(len(logit), 0.04)
    predicted = logit + rng.normal(0, 0.2, len(logit))
    assert measure_dispersion(logit, time, 0 * uncertainty) == pytest.approx(
        dispersion, rel=0.05, abs=0.001
    )
    assert measure_dispersion(predicted, time, uncertainty) == pytest.approx(
        dispersion, rel=0.05, abs=0.002
    )


def test_without_held_out_shares_the_dispersion_stays_the_first_guess() -> None:
    assert measure_dispersion(np.empty(0), np.empty(0), np.empty(0)) == pytest.approx(
        0.3
    )


def test_decays_beside_an_unknown_level_have_the_largest_poisson_likelihood() -> None:
    rng = np.random.default_rng(7)
    mean = expit(rng.normal(-1, 1, 60_000))
    counts = np.stack([rng.integers(0, 3, 60_000), rng.integers(0, 9, 60_000)], axis=1)
    heard = (
        rng.random(60_000) < mean * 0.8 ** counts[:, 0] * 0.97 ** counts[:, 1]
    ) * 1.0

    def loss(x: FloatArray) -> float:
        log = np.log(0.7 * mean) + x[0] + counts @ x[1:]
        return float(2 * np.sum(np.exp(log) - heard * log))

    best = minimize(loss, np.zeros(3))
    found = find_decays(0.7 * mean, heard, counts)
    assert found == pytest.approx(np.exp(best.x[1:]), abs=1e-3)
    assert found == pytest.approx([0.8, 0.97], abs=0.02)


def test_a_decay_is_neither_growth_nor_all_there_is() -> None:
    rng = np.random.default_rng(6)
    mean, count = expit(rng.normal(-1, 1, 30_000)), rng.integers(0, 4, (30_000, 1))
    heard = (rng.random(30_000) < mean * 1.1 ** count[:, 0]) * 1.0
    assert find_decays(mean, heard, count) == pytest.approx([1])
    heard *= count[:, 0] == 0
    assert find_decays(mean, heard, count) == pytest.approx([0.01])
    assert find_decays(mean[:0], heard[:0], count[:0]) == pytest.approx([1])
