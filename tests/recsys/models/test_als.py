"""The fit as a whole: against the library implicit, restored, and whatever the threads."""

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from looplib.als import AlsParams
from recsys.errors import TrialError
from tests.recsys.fits import fit_als


def random_interactions(
    seed: int = 0, listeners: int = 30, tracks: int = 40, density: float = 0.2
) -> csr_matrix:
    generator = np.random.default_rng(seed)
    heard = generator.random((listeners, tracks)) < density
    return csr_matrix(
        np.where(heard, generator.random((listeners, tracks)), 0).astype(np.float32)
    )


def test_sweeps_give_the_fit_of_implicit() -> None:
    interactions = random_interactions()
    params = AlsParams(factors=8, regularization=0.1, alpha=10, cg_steps=30)
    model = fit_als(interactions, params, seed=3, sweeps=6)
    with threadpool_limits(1, user_api="blas"):
        library = AlternatingLeastSquares(
            factors=8,
            regularization=0.1,
            alpha=1.0,
            iterations=6,
            num_threads=1,
            random_state=3,
        )
        library.cg_steps = 30  # as good as exact, so that rounding does not grow
        confidence = interactions.copy()
        confidence.data = 1 + 10 * confidence.data
        library.fit(confidence, show_progress=False)
    assert model.sweeps == 6
    assert model.user_factors == pytest.approx(library.user_factors, abs=1e-2)
    assert model.item_factors == pytest.approx(library.item_factors, abs=1e-2)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    params, interactions = AlsParams(8, 0.1, 10), random_interactions()
    fits = [
        fit_als(interactions, params, seed=3, sweeps=4, threads=threads)
        for threads in (1, 4)
    ]
    assert np.array_equal(fits[0].user_factors, fits[1].user_factors)
    assert np.array_equal(fits[0].item_factors, fits[1].item_factors)


def test_a_fit_leaves_the_interactions_as_they_are() -> None:
    interactions = random_interactions()
    before = interactions.copy()
    fit_als(interactions, AlsParams(4, 0.1, 10), seed=1, sweeps=2)
    assert np.array_equal(interactions.data, before.data)


def test_a_fit_that_diverges_is_a_trial_error_that_says_when() -> None:
    with pytest.raises(TrialError, match="not finite after sweep 1"):
        fit_als(random_interactions(), AlsParams(4, 0.1, alpha=1e39), seed=1, sweeps=2)


def test_a_restored_fit_goes_on_as_the_one_that_was_left_off() -> None:
    interactions, params = random_interactions(), AlsParams(factors=4)
    whole = fit_als(interactions, params, seed=1, sweeps=5)
    first = fit_als(interactions, params, seed=1, sweeps=2)
    second = fit_als(interactions, params, seed=1, sweeps=3, start=first)
    assert second.sweeps == 5
    assert np.array_equal(second.user_factors, whole.user_factors)
    assert np.array_equal(second.item_factors, whole.item_factors)
