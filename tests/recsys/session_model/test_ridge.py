from typing import Any

import numpy as np
import pytest

from recsys.session_model.ridge import (
    Grouping,
    Observations,
    Vectors,
    estimate_precision,
    grouped_means,
    paired_dots,
    solve_rows,
)

ROWS, COLUMNS, SIZE = 40, 25, 5
Values = np.ndarray[Any, Any]


def reference(
    row: Values,
    observed: Observations,
    features: Vectors,
    prior: Values,
    precision: Values,
) -> tuple[Values, Values]:
    """Solve row by row in double precision; return the inverses of the matrices too."""
    solved, inverses = [], []
    for r in range(ROWS):
        own = row == r
        design, weights = (
            features.means[observed.column[own]].astype(float),
            observed.weights[own].astype(float),
        )
        gram = precision + sum(
            w * (np.outer(f, f) + features.covariance)
            for f, w in zip(design, weights, strict=True)
        )
        moment = design.T @ (weights * observed.targets[own]) + precision @ prior[r]
        solved.append(np.linalg.solve(gram, moment))
        inverses.append(np.linalg.inv(gram))
    return np.array(solved), np.array(inverses)


@pytest.mark.parametrize("block", [1, 50, 10**6])
def test_rows_are_those_of_the_normal_equations_whatever_blocks_and_threads(
    monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr("recsys.session_model.ridge._BLOCK", block)
    rng = np.random.default_rng(1)
    # the last two have none
    row, column = rng.integers(ROWS - 2, size=600), rng.integers(COLUMNS, size=600)
    root = 0.3 * rng.normal(size=(SIZE, SIZE))
    features = Vectors(
        rng.normal(size=(COLUMNS, SIZE)).astype(np.float32),
        (root @ root.T).astype(np.float32),
    )
    targets, weights = (
        rng.normal(size=600).astype(np.float32),
        rng.uniform(0.1, 3, size=600).astype(np.float32),
    )
    precision = (root @ root.T + np.eye(SIZE)).astype(np.float32)
    prior = rng.normal(size=(ROWS, SIZE)).astype(np.float32)
    observed = Observations(Grouping(row, ROWS), column, targets, weights)
    expected, inverses = reference(row, observed, features, prior, precision)
    found = [
        solve_rows(observed, features, prior, precision, threads) for threads in (1, 3)
    ]
    assert found[0].means == pytest.approx(expected, abs=1e-4)
    assert found[0].covariance == pytest.approx(inverses[::7].mean(axis=0), abs=1e-4)
    assert (found[0].means == found[1].means).all()
    assert (found[0].covariance == found[1].covariance).all()
    assert found[0].means[-2:] == pytest.approx(prior[-2:], abs=1e-6)


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
