"""The class for users of `implicit`, against the library itself, factor by factor."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares as Library
from implicit.recommender_base import ModelFitError
from implicit.utils import ParameterWarning
from numpy.testing import assert_allclose
from scipy.sparse import csr_matrix

from listening_loop import AlternatingLeastSquares
from recsys.models.kernels import als as als  # draws a random number, so not in a test
from tests.programs import run_python

pytestmark = pytest.mark.filterwarnings("ignore:OpenBLAS is configured")
EXACT = 40  # conjugate-gradient steps after which rounding decides


def matrix(seed: int = 0, users: int = 150, items: int = 60) -> csr_matrix:
    """Confidences with dislikes, a 0 that is kept, and a user and an item without any."""
    generator = np.random.default_rng(seed)
    dense = generator.integers(1, 6, (users, items)) * generator.choice(
        [-1, 1, 1, 1], (users, items)
    )
    dense[generator.random((users, items)) < 0.8] = 0
    dense[7], dense[:, 9] = 0, 0
    made = csr_matrix(dense.astype(np.float32))
    made.data[3] = 0
    return made


def models(**options: Any) -> list[Library]:  # noqa: ANN401  any of the library's
    found = []
    for kind in (AlternatingLeastSquares, Library):
        model = kind(**{"factors": 8, "random_state": 3, "iterations": 3} | options)
        model.cg_steps = EXACT
        found.append(model)
    return found


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({}, csr_matrix),
        ({"alpha": 2.5, "regularization": 3.0, "num_threads": 1}, csr_matrix),
        ({"factors": 33}, lambda made: made.astype(np.float64)),
        ({}, lambda made: made.astype(np.int64)),
        ({"dtype": np.float64}, csr_matrix),
        ({"use_cg": False}, csr_matrix),
        ({"use_native": False, "iterations": 1}, csr_matrix),
    ],
)
def test_factors_are_those_of_the_library(
    options: dict[str, Any], change: Callable[[csr_matrix], csr_matrix]
) -> None:
    ours, library = models(**options)
    for model in (ours, library):
        model.fit(change(matrix()), show_progress=False)
    for side in ("user_factors", "item_factors"):
        found, expected = getattr(ours, side), getattr(library, side)
        assert found.dtype == expected.dtype
        assert_allclose(found, expected, atol=2e-3)


def test_a_generator_a_callback_and_a_loss_are_the_library_s() -> None:
    seen: list[list[tuple[Any, ...]]] = [[], []]
    for model, calls in zip(models(calculate_training_loss=True), seen, strict=True):
        model.random_state = np.random.default_rng(5)
        with pytest.warns(ParameterWarning):
            model.fit(
                matrix().tocoo(),
                show_progress=False,
                callback=lambda *told, calls=calls: calls.append(told),
            )
    ours, theirs = (np.array(calls)[:, [0, 2]] for calls in seen)
    assert_allclose(ours, theirs, rtol=1e-4)


@pytest.fixture(name="fitted")
def _fitted() -> tuple[AlternatingLeastSquares, Library]:
    ours, library = models()
    ours.fit(matrix(), show_progress=False)
    library.user_factors, library.item_factors = ours.user_factors, ours.item_factors
    return ours, library


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"N": 55},  # more than some users have left
        {"N": 200},  # than there are items
        {"filter_already_liked_items": False},
        {"recalculate_user": True},
        {"filter_items": [1, 4]},
        {"items": [3, 5, 8, 13]},
    ],
)
def test_a_batch_is_recommended_what_the_library_recommends(
    fitted: tuple[AlternatingLeastSquares, Library], options: dict[str, Any]
) -> None:
    users, made = np.arange(150)[::-1], matrix()[::-1]
    found, scores = fitted[0].recommend(users, made, **options)
    expected, their_scores = fitted[1].recommend(users, made, **options)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    assert scores.dtype == their_scores.dtype
    assert_allclose(scores, their_scores, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regularization": -0.1}, "regularization\n.*greater than or equal to 0"),
        ({"factors": 0}, "factors\n.*greater than or equal to 1"),
        ({"use_gpu": True}, "use_gpu: True found"),
    ],
)
def test_what_no_solver_does_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AlternatingLeastSquares(**options).fit(matrix(), show_progress=False)


def test_matrices_that_do_not_fit_are_refused_before_a_sweep() -> None:
    ours, _ = models()
    for value in (np.nan, np.inf, 1e300):
        made = matrix().astype(np.float64)
        made.data[100] = value
        row = np.searchsorted(made.indptr, 100, side="right") - 1
        with pytest.raises(ModelFitError, match=rf"in row {row}, column"):
            ours.fit(made, show_progress=False)
    assert ours.user_factors is None
    ours.fit(matrix(), show_progress=False)
    with pytest.raises(ValueError, match="151 users found, the model has 150"):
        ours.fit(matrix(users=151), show_progress=False)
    with pytest.raises(IndexError):
        ours.recommend(np.arange(1, 151), matrix())


ELSEWHERE = """
import os, sys
sys.modules["fcntl"] = None
for name in ("getuid", "sched_getaffinity", "O_CLOEXEC"):
    delattr(os, name)
from scipy.sparse import random
from listening_loop import AlternatingLeastSquares
items = random(150, 60, 0.2, "csr", "float32", random_state=1)
model = AlternatingLeastSquares(8, iterations=1)
model.fit(items, show_progress=False)
assert model.recommend(range(150), items)[0].shape == (150, 10)
"""


@pytest.mark.slow
def test_the_class_runs_where_python_has_no_calls_of_linux() -> None:
    run_python("-c", ELSEWHERE).check_returncode()
