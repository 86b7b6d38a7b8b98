"""What holds for every kind of model, and what makes another one."""

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import listening_loop as ll
from looplib.arrays import NO_TRACK
from looplib.config import Config, Positive, load_config
from looplib.errors import ConfigError
from recsys.config import SearchConfig
from recsys.dataset.interactions import Interactions, load_interactions
from recsys.errors import TrialError
from recsys.models.base import IterativeModel, Model
from recsys.models.factors import Pool
from recsys.models.registry import MODELS
from recsys.models.similarity import SimilarityModel
from tests.recsys.in_process import without_processes
from tests.recsys.plays import (
    dataset_of_plays,
    make_plays_store,
    plays_of,
    random_plays,
)
from tests.recsys.tables import Row

POOLS: tuple[Pool, ...] = ("all", "repeat", "new")


def fit(kind: type[Model], train: Interactions, threads: int = 1) -> Model:
    model = kind()
    if isinstance(model, IterativeModel):
        return model.fit(train, seed=7, threads=threads, iterations=2)
    return model.fit(train, seed=7, threads=threads)


@pytest.mark.parametrize("kind", MODELS.values(), ids=MODELS)
def test_every_kind_keeps_to_its_pool_and_repeats_nothing(
    train: Interactions, kind: type[Model]
) -> None:
    model, again = fit(kind, train, threads=2), fit(kind, train)
    at_once = again.recommend_pools(12)
    heard = train.matrix.toarray() > 0
    for pool, allowed in zip(POOLS, (heard | True, heard, ~heard), strict=True):
        lists = model.recommend(12, pool)
        for row, columns in enumerate(lists):
            best = columns[columns != NO_TRACK]
            assert len(set(best.tolist())) == len(best)
            assert allowed[row, best].all()
            assert len(best) == min(12, allowed[row].sum())
        assert np.array_equal(again.recommend(12, pool), lists)
        assert np.array_equal(at_once[pool], lists)


ODD = {
    "one track": [*plays_of(1, [5] * 9), *plays_of(2, [5] * 9)],
    "one play each": [row for user in range(9) for row in plays_of(user, [user % 3])]
    + plays_of(9, [0, 1, 2, 0, 1]),
    "all repeats": [*plays_of(1, [1, 2] * 10), *plays_of(2, [2, 3] * 10)],
    "no artist": [row | {"artist": ""} for row in random_plays(4, 6, 20, 15)],
}


@pytest.mark.parametrize("rows", ODD.values(), ids=ODD)
def test_data_that_say_little_give_lists_or_one_line(
    tmp_path: Path, rows: list[Row]
) -> None:
    dataset = dataset_of_plays(tmp_path, rows)
    train = load_interactions(dataset, "training", is_ordered=True)
    for name, kind in MODELS.items():
        if name == "blend":
            with pytest.raises(TrialError, match=r"has five plays|are needed"):
                fit(kind, train)
            continue
        model = fit(kind, train)
        for pool in POOLS:
            lists = model.recommend(3, pool)
            assert lists.shape[0] == len(dataset.users)
            assert lists.max() < len(dataset.tracks)


@pytest.mark.parametrize("name", ["latest", "activation", "blend"])
def test_a_kind_that_needs_an_order_says_so(train: Interactions, name: str) -> None:
    with pytest.raises(TrialError, match="the order of the plays is not known"):
        fit(MODELS[name], Interactions(train.matrix)).recommend(3)


class EaseConfig(Config):
    """The hyperparameters of `Ease`."""

    regularization: Positive = 100.0
    """weight of the squared similarities in the loss"""


class Ease(SimilarityModel):
    """Similarities without a diagonal that predict listening: Steck, WWW 2019."""

    name = "ease"
    main_params: ClassVar = ("regularization",)
    config: EaseConfig

    def fit(self, train: Interactions, *, seed: int, threads: int) -> Self:
        gram = (train.by_track @ train.matrix).toarray().astype(np.float64)
        inverse = np.linalg.inv(gram + self.config.regularization * np.eye(len(gram)))
        similarity = -inverse / np.diag(inverse)
        np.fill_diagonal(similarity, 0)
        self.similarity = csr_matrix(similarity.astype(np.float32))
        return super().fit(train, seed=seed, threads=threads)


@pytest.mark.slow
def test_one_class_and_a_line_in_the_registry_make_a_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is searched and validated by its name, and the leaderboard has its axes."""
    monkeypatch.setitem(MODELS, Ease.name, Ease)
    store = make_plays_store(tmp_path, random_plays(3))
    with without_processes():
        run = ll.search(
            store,
            {"ease": {"regularization": [1, 100]}, "item_knn": {}},
            split={"kind": "newest", "holdout": 0.2},
            run=tmp_path / "run",
        )
    board = run.metrics
    is_ease = board["model"] == "ease"
    assert sorted(board["regularization"][is_ease]) == [1, 100]
    popular = board["ndcg@30"][board["model"] == "popular"].item()
    assert board["ndcg@30"][is_ease].min() > popular
    best = run.recommend([0], n=3)
    assert len(best) == 3
    with pytest.raises(ConfigError, match="nearest known key is regularization"):
        load_config(SearchConfig, None, ["models.ease.regularisation=2"])


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (
            {"item_nn": {}},
            r"models.item_nn: unknown model; the nearest is item_knn, al",
        ),
        ({"popular": {}}, "allowed are als, "),
        (
            {"als": {"factor": 3}},
            "models.als.factor: unknown key; the nearest known key",
        ),
        (
            {"als": {"alpha": [1, -1]}},
            r"models.als.alpha: .* greater than 0 \(found -1\)",
        ),
        ({"als": {"nu": [0.5, 0.5]}}, "models.als.nu: a value stands twice"),
        ({"als": {"factors": []}}, "models.als.factors: at least one value is needed"),
        ({"item_knn": {"weighting": "bm"}}, "should be 'bm25' or 'cosine'"),
        ({"als": {"regularization": np.nan}}, "regularization: .* be a finite number"),
        ({"als": [1]}, "models"),
    ],
)
def test_models_that_cannot_be_are_one_line(models: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(ll.Error, match=message) as refused:
        ll.search("nowhere", models)
    assert "\n" not in str(refused.value)
