"""The fractional likelihood, against general optimisers and simulated shares."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from looplib.arrays import FloatArray
from recsys.session_model.likelihood import (
    calibrate,
    find_decay,
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
        off, weights = working_responses(design @ x, time, dispersion, step=0)
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
    assert x == pytest.approx(best.x, abs=1e-3)


@pytest.mark.parametrize("dispersion", [0.02, 0.3, 0.7])
def test_the_dispersion_of_held_out_shares_is_found_whatever_the_logits_are_off_by(
    dispersion: float,
) -> None:
    rng = np.random.default_rng(2)
    logit = rng.normal(-1, 1, 40_000)
    time = beta_shares(expit(logit), dispersion, seed=3)
    uncertainty = np.full(len(logit), 0.04)
    predicted = logit + rng.normal(0, 0.2, len(logit))
    assert measure_dispersion(logit, time, 0 * uncertainty, STEP) == pytest.approx(
        dispersion, rel=0.05, abs=0.001
    )
    assert measure_dispersion(predicted, time, uncertainty, STEP) == pytest.approx(
        dispersion, rel=0.05, abs=0.002
    )


def test_without_held_out_shares_the_dispersion_stays_the_first_guess() -> None:
    assert measure_dispersion(
        np.empty(0), np.empty(0), np.empty(0), STEP
    ) == pytest.approx(0.3)


def test_logits_are_calibrated_and_hardly_by_few_shares() -> None:
    logit = np.random.default_rng(4).normal(0, 2, 20_000)
    time = beta_shares(expit(0.5 + 0.7 * logit), 0.5, seed=5)
    assert calibrate(logit, time) == pytest.approx([0.5, 0.7], abs=0.05)
    assert calibrate(logit[:0], time[:0]) == pytest.approx([0, 1])


def test_fatigue_is_found_in_noise() -> None:
    rng = np.random.default_rng(6)
    mean, earlier = expit(rng.normal(-1, 1, 30_000)), rng.integers(1, 4, 30_000)
    heard = (rng.random(30_000) < mean * 0.8**earlier).astype(float)
    assert find_decay(mean, heard, earlier, has_level=False)[0] == pytest.approx(
        0.8, abs=0.02
    )
    assert find_decay(mean[:0], heard[:0], earlier[:0], has_level=False) == (1, 0)
    assert find_decay(mean, 0 * heard, earlier, has_level=False)[0] == pytest.approx(
        0.01
    )


@pytest.mark.parametrize("factor", [0.97, 1.0])
def test_a_decay_beside_an_unknown_level_has_the_largest_poisson_likelihood(
    factor: float,
) -> None:
    rng = np.random.default_rng(7)
    mean, count = expit(rng.normal(-1, 1, 60_000)), rng.integers(0, 9, 60_000)
    heard = (rng.random(60_000) < mean * factor**count).astype(float)

    def loss(x: FloatArray) -> float:
        log = np.log(0.7 * mean) + x[0] + x[1] * count
        return float(2 * np.sum(np.exp(log) - heard * log))

    def loss_without_decay(x: FloatArray) -> float:
        return loss(np.array([x[0], 0]))

    found, gain = find_decay(0.7 * mean, heard, count, has_level=True)
    best = minimize(loss, np.zeros(2), bounds=[(None, None), (None, 0)])
    flat = minimize(loss_without_decay, np.zeros(1))
    assert found == pytest.approx(np.exp(best.x[1]), abs=1e-4)
    assert found == pytest.approx(factor, abs=0.005)
    assert gain == pytest.approx(flat.fun - best.fun, abs=0.01)
