"""What trees predict is what LightGBM predicts by them."""

import lightgbm
import numpy as np
import pytest

from looplib.arrays import Float32Array
from looplib.trees import LEAVES, Ensemble, read_model


def fit(leaves: int, features: Float32Array) -> lightgbm.Booster:
    parameters = {"num_leaves": leaves, "num_threads": 1, "verbose": -1}
    is_true = features[:, 0] * features[:, 1] + features[:, 2] > 0
    data = lightgbm.Dataset(features, is_true, free_raw_data=False)
    odds = lightgbm.train({**parameters, "objective": "binary"}, data, 10)
    return lightgbm.train(parameters, data, 5, init_model=odds)


@pytest.fixture(scope="module")
def features() -> Float32Array:
    drawn = np.random.default_rng(3).normal(size=(5000, 6)).round(2)
    drawn[:, 4] = np.maximum(drawn[:, 4], 0)  # many ties at 0
    drawn[:, 5] = 1  # no condition
    return drawn.astype(np.float32)


@pytest.mark.parametrize("leaves", [2, 8, LEAVES])
def test_predictions_are_those_of_lightgbm(leaves: int, features: Float32Array) -> None:
    booster = fit(leaves, features)
    predicted = Ensemble(read_model(booster.dump_model())).predict(features)
    expected = np.asarray(booster.predict(features, raw_score=True))
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-12)
    assert len(np.unique(predicted)) > 2


def test_a_prediction_does_not_depend_on_the_rows_beside_it(
    features: Float32Array,
) -> None:
    ensemble = Ensemble(read_model(fit(LEAVES, features).dump_model()))
    alone = [ensemble.predict(row[None])[0] for row in features[:50]]
    assert ensemble.predict(features)[:50].tolist() == alone


def test_trees_without_a_condition_predict_a_constant(features: Float32Array) -> None:
    leaf = {"tree_index": 0, "num_leaves": 1, "tree_structure": {"leaf_value": 0.5}}
    ensemble = Ensemble(read_model({"tree_info": [leaf]}))
    assert set(ensemble.predict(features).tolist()) == {0.5}


def test_more_leaves_than_bits_are_refused(features: Float32Array) -> None:
    with pytest.raises(ValueError, match="at most 32"):
        read_model(fit(LEAVES + 1, features).dump_model())
