"""The fit as a whole: what it leaves as it is, and restored."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from looplib.als import AlsConfig
from recsys.dataset.interactions import Interactions
from recsys.errors import TrialError
from recsys.models.als import Als
from tests.recsys.fits import fit_als


def random_interactions() -> csr_matrix:
    generator = np.random.default_rng(0)
    is_heard = generator.random((30, 40)) < 0.2
    times = np.where(is_heard, generator.random((30, 40)), 0)
    return csr_matrix(times.astype(np.float32))


def test_a_fit_leaves_the_interactions_as_they_are() -> None:
    interactions = random_interactions()
    before = interactions.copy()
    fit_als(
        interactions,
        AlsConfig(factors=4, regularization=0.1, alpha=10),
        seed=1,
        iterations=2,
    )
    assert np.array_equal(interactions.data, before.data)


def test_a_fit_that_diverges_is_a_trial_error_that_says_when() -> None:
    with pytest.raises(TrialError, match="not finite after iteration 1"):
        fit_als(
            random_interactions(),
            AlsConfig(factors=4, regularization=0.1, alpha=1e39),
            seed=1,
            iterations=2,
        )


def test_a_restored_fit_goes_on_as_the_one_that_was_left_off() -> None:
    interactions, config = random_interactions(), AlsConfig(factors=4)
    whole = fit_als(interactions, config, seed=1, iterations=5)
    first = fit_als(interactions, config, seed=1, iterations=2)
    train = Interactions(interactions)
    second = Als(config).restore(train, first.state, threads=1).partial_fit(3)
    assert second.iterations == whole.iterations
    assert np.array_equal(second.factors.user_factors, whole.factors.user_factors)
    assert np.array_equal(second.factors.item_factors, whole.factors.item_factors)
