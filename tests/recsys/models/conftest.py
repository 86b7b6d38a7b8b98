"""Plays of listeners who repeat what they know, as models are fitted to them."""

import pytest

from recsys.dataset.dataset import Dataset
from recsys.dataset.interactions import Interactions, load_interactions
from tests.recsys.plays import dataset_of_plays, random_plays
from tests.recsys.tables import Row


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    return random_plays(3)


@pytest.fixture(scope="session")
def dataset(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset_of_plays(tmp_path_factory.mktemp("plays"), rows)


@pytest.fixture(scope="session")
def train(dataset: Dataset) -> Interactions:
    return load_interactions(dataset, "training", is_ordered=True)
