"""Every knob of the fit against a dense solution of the papers' equations, in float64.

And the tracks that are similar by its factors.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from looplib.als import AlsConfig
from looplib.arrays import FloatArray
from recsys.models import als
from recsys.models.kernels.compiled import cache_folder
from recsys.models.solver import first_factors, solve
from tests.recsys.fits import fit_als

FACTORS = 5
# Conjugate gradients with a step for each factor are exact but for rounding.
PLAIN = AlsConfig(factors=FACTORS, regularization=0.3, alpha=4.0)
KNOBS: dict[str, dict[str, Any]] = {
    "plain": {},
    "unobserved_weight": {"unobserved_weight": 0.2},
    "nu of a half": {"nu": 0.5, "regularization": 0.02},
    "nu of one": {"nu": 1.0, "regularization": 0.003},
    "nu and unobserved_weight": {"nu": 0.7, "unobserved_weight": 0.05},
    "everything": {
        "nu": 0.6,
        "unobserved_weight": 0.1,
        "alpha": 0.7,
    },
}


def listening(seed: int = 0, rows: int = 30, others: int = 40) -> csr_matrix:
    """Listening times; the first two rows have none."""
    generator = np.random.default_rng(seed)
    heard = np.where(
        generator.random((rows, others)) < 0.2,
        generator.gamma(1.5, 1.0, (rows, others)),
        0,
    )
    heard[:2] = 0
    return csr_matrix(heard.astype(np.float32))


def dense_solution(
    heard: FloatArray, others: FloatArray, config: AlsConfig, count: int | None = None
) -> FloatArray:
    """Solve the rows over a number of others (default: all)."""
    solution = np.zeros((len(heard), config.factors))
    weight = config.unobserved_weight
    for row, r in enumerate(heard):
        likes = r > 0
        confidence = weight + config.alpha * r
        scale = (likes.sum() + weight * (count or len(r))) ** config.nu
        left = (
            others.T * confidence
        ) @ others + config.regularization * scale * np.eye(config.factors)
        solution[row] = np.linalg.solve(left, others.T @ (confidence * likes))
    return solution


LONG = AlsConfig(factors=21, regularization=0.5, alpha=2.0, nu=0.5)
CASES = {name: (PLAIN.model_copy(update=knobs), 40) for name, knobs in KNOBS.items()}
CASES["many interactions"] = (LONG, 4000)
CASES["of 16 factors"] = (LONG.model_copy(update={"factors": 16}), 4000)


@pytest.mark.parametrize(("config", "others"), CASES.values(), ids=CASES)
def test_rows_are_solved_as_by_the_dense_equations_on_any_number_of_threads(
    config: AlsConfig, others: int
) -> None:
    heard = listening(others=others)
    generator = np.random.default_rng(1)
    across = generator.normal(size=(others, config.factors)).astype(np.float32)
    solved = []
    for threads in (1, 3):
        rows = np.full((heard.shape[0], config.factors), 0.01, dtype=np.float32)
        solve(rows, [across], heard, config, threads, cg_steps=60)
        solved.append(rows)
    dense = heard.toarray().astype(float)
    expected = dense_solution(dense, across.astype(float), config)
    assert solved[0] == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(solved[0], solved[1])
    assert np.abs(expected[2:]).max() > 0.05


def test_iterations_alternate_listeners_and_tracks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(als, "solve", partial(solve, cg_steps=60))
    heard = listening()
    config = PLAIN.model_copy(update=KNOBS["everything"])
    start = first_factors(heard.shape, FACTORS, seed=3)
    users, items = (factors.astype(float) for factors in start)
    r = heard.toarray().astype(float)
    for _ in range(3):
        users = dense_solution(r, items, config, int(r.any(axis=0).sum()))
        items = dense_solution(r.T, users, config, int(r.any(axis=1).sum()))
    factors = fit_als(heard, config, seed=3, iterations=3, threads=2).factors
    scores = factors.user_factors @ factors.item_factors.T
    assert scores == pytest.approx(users @ items.T, abs=1e-4)
    assert np.array_equal(heard.toarray(), r), "a fit leaves the interactions"


def test_similar_tracks_have_the_largest_cosines() -> None:
    model = fit_als(listening(), PLAIN, seed=1, iterations=3)
    items = model.factors.item_factors
    unit = items / np.linalg.norm(items, axis=1, keepdims=True)
    cosines = unit[[3, 7]] @ unit.T
    cosines[[0, 1], [3, 7]] = -2
    expected = np.argsort(-cosines, axis=1)[:, :5]
    assert np.array_equal(model.similar(np.array([3, 7]), 5), expected)


def test_compiled_code_is_kept_where_nobody_else_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = tmp_path / "home" / "listening-loop" / "compiled"
    assert cache_folder().parent == own
    own.chmod(0o777)
    assert cache_folder().parent != own
    own.rename(tmp_path / "earlier")
    own.symlink_to(tmp_path)
    assert cache_folder().parent != own
