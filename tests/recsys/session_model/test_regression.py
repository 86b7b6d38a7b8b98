"""The regressions of shares, against row-wise normal equations, optimisers and simulated shares."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from looplib.arrays import FloatArray
from recsys.session_model.regression import (
    Grouping,
    Shares,
    Vectors,
    estimate_precision,
    find_decay,
    grouped_means,
    measure_dispersion,
    paired_dots,
    regress,
    working_responses,
)

ROWS, COLUMNS, SIZE, STEP = 40, 25, 5, 0.01
Values = np.ndarray[Any, Any]


def reference(
    row: Values,
    column: Values,
    shares: Shares,
    vectors: tuple[Vectors, Vectors],
    prior: Values,
    precision: Values,
) -> tuple[Values, Values]:
    """Solve row by row in double precision; return the inverses of the matrices too."""
    start, features = vectors
    solved, inverses = [], []
    for r in range(ROWS):
        own = row == r
        design = features.means[column[own]].astype(float)
        logit = shares.offset[own] + design @ start.means[r]
        off, weights = working_responses(logit, shares.time[own], shares.dispersion)
        gram = precision + sum(
            w * (np.outer(f, f) + features.covariance)
            for f, w in zip(design, weights, strict=True)
        )
        targets = design @ start.means[r] + off
        moment = design.T @ (weights * targets) + precision @ prior[r]
        solved.append(np.linalg.solve(gram, moment))
        inverses.append(np.linalg.inv(gram))
    return np.array(solved), np.array(inverses)


@pytest.mark.parametrize("block", [1, 50, 10**6])
def test_rows_are_those_of_the_normal_equations_whatever_blocks_and_threads(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("recsys.session_model.regression._BLOCK", block)
    rng = np.random.default_rng(1)
    # the last two have none
    row, column = rng.integers(ROWS - 2, size=600), rng.integers(COLUMNS, size=600)
    root = (0.3 * rng.normal(size=(SIZE, SIZE))).astype(np.float32)

    def draw(rows: int) -> Vectors:
        return Vectors(rng.normal(size=(rows, SIZE)).astype(np.float32), root @ root.T)

    start, features = draw(ROWS), draw(COLUMNS)
    prior = draw(ROWS).means
    time, offset = rng.random((2, 600)).astype(np.float32)
    shares = Shares(time, offset, 0.3)
    precision = estimate_precision(start.means - prior, start.covariance)
    expected, inverses = reference(
        row, column, shares, (start, features), prior, precision
    )
    by_row = Grouping(row, ROWS)
    found = [
        regress(shares, by_row, column, start, features, prior, threads)
        for threads in (1, 3)
    ]
    assert found[0].means == pytest.approx(expected, abs=1e-3)
    assert found[0].covariance == pytest.approx(inverses[::7].mean(axis=0), abs=1e-4)
    assert (found[0].means == found[1].means).all()
    assert (found[0].covariance == found[1].covariance).all()
    assert found[0].means[-2:] == pytest.approx(prior[-2:], abs=1e-4)


def test_dots_and_means_are_those_of_pairs_and_groups() -> None:
    rng = np.random.default_rng(2)
    left, right = (
        rng.normal(size=(7, 3)).astype(np.float32),
        rng.normal(size=(4, 3)).astype(np.float32),
    )
    i, j = rng.integers(7, size=50), rng.integers(4, size=50)
    assert paired_dots(left, i, right, j, 2) == pytest.approx(
        [left[a] @ right[b] for a, b in zip(i, j, strict=True)]
    )
    means = grouped_means(
        np.array([2, 0, 2]), 4, np.array([[1, 2], [3, 4], [5, 8]], dtype=np.float32)
    )
    assert means.tolist() == [[3, 4], [0, 0], [3, 5], [0, 0]]


def test_a_precision_is_the_inverse_covariance_with_errors_and_defined_for_few() -> (
    None
):
    deviations = (
        np.random.default_rng(3)
        .normal(scale=(1, 2, 3), size=(200_000, 3))
        .astype(np.float32)
    )
    error = np.diag([3, 0, 0]).astype(np.float32)
    assert estimate_precision(deviations, error) == pytest.approx(
        np.diag([1 / 4, 1 / 4, 1 / 9]), abs=0.02
    )
    for count in (0, 1, 2):
        assert (
            np.linalg.eigvalsh(estimate_precision(deviations[:count], 0 * error)).min()
            > 0
        )


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


def test_a_decay_beside_an_unknown_level_has_the_largest_poisson_likelihood() -> None:
    rng = np.random.default_rng(7)
    mean = expit(rng.normal(-1, 1, 60_000))
    count = rng.integers(0, 3, 60_000)
    heard = (rng.random(60_000) < mean * 0.8**count) * 1.0

    def loss(x: FloatArray) -> float:
        log = np.log(0.7 * mean) + x[0] + count * x[1]
        return float(2 * np.sum(np.exp(log) - heard * log))

    best = minimize(loss, np.zeros(2))
    found = find_decay(0.7 * mean, heard, count)
    assert found == pytest.approx(np.exp(best.x[1]), abs=1e-3)
    assert found == pytest.approx(0.8, abs=0.02)


def test_a_decay_is_neither_growth_nor_all_there_is() -> None:
    rng = np.random.default_rng(6)
    mean, count = expit(rng.normal(-1, 1, 30_000)), rng.integers(0, 4, 30_000)
    heard = (rng.random(30_000) < mean * 1.1**count) * 1.0
    assert find_decay(mean, heard, count) == pytest.approx(1)
    heard *= count == 0
    assert find_decay(mean, heard, count) == pytest.approx(0.01)
    assert find_decay(mean[:0], heard[:0], count[:0]) == pytest.approx(1)
