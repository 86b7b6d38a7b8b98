"""The blend against popular tracks, and its logistic fit against odds that are known."""

import numpy as np
import pytest

from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions
from recsys.models.baselines import Popular
from recsys.models.blend import Blend, fit_logistic


@pytest.mark.slow
def test_the_blend_predicts_better_than_what_is_popular(
    dataset: Dataset, train: Interactions
) -> None:
    heldout = dataset.matrix("all").toarray() - train.matrix.toarray()

    def hits(lists: np.ndarray) -> float:
        return float(np.take_along_axis(heldout > 0, lists, axis=1).mean())

    blend = Blend(candidates=20).fit(train, seed=1, threads=2)
    popular = Popular().fit(train, seed=1, threads=1)
    assert hits(blend.recommend(8)) > hits(popular.recommend(8))
    new = hits(popular.recommend(8, "new"))
    assert hits(blend.recommend(8, "new")) > 1.5 * new


def test_a_logistic_fit_finds_the_odds() -> None:
    generator = np.random.default_rng(1)
    features = generator.normal(3, 2, size=(20_000, 2))
    odds = 0.5 * features[:, 0] - features[:, 1] - 1
    is_true = generator.random(20_000) < 1 / (1 + np.exp(-odds))
    fitted = fit_logistic(features, is_true)
    assert np.corrcoef(fitted.score(features), odds)[0, 1] > 0.999
    assert (fitted.weights[:2] / fitted.deviations).tolist() == pytest.approx(
        [0.5, -1.0], abs=0.06
    )


def test_a_constant_feature_and_one_that_separates_do_no_harm() -> None:
    features = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 5.0], [1.0, 5.0]])
    scores = fit_logistic(features, features[:, 1] > 1).score(features)
    assert np.isfinite(scores).all()
    assert scores[2] > scores[0]
