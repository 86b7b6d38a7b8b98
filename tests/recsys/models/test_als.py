"""The fit as a whole: what it leaves as it is, restored, and what it says of similar tracks."""

import numpy as np
from scipy.sparse import csr_matrix

from looplib.als import AlsConfig
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


def test_similar_tracks_have_the_largest_cosines() -> None:
    model = fit_als(random_interactions(), AlsConfig(factors=4), seed=1, iterations=3)
    items = model.factors.item_factors
    unit = items / np.linalg.norm(items, axis=1, keepdims=True)
    cosines = unit[[3, 7]] @ unit.T
    cosines[[0, 1], [3, 7]] = -2
    expected = np.argsort(-cosines, axis=1)[:, :5]
    assert np.array_equal(model.similar(np.array([3, 7]), 5), expected)
