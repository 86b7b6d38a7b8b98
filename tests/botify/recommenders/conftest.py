"""A version of twelve tracks, for recommenders, and how they are asked."""

from pathlib import Path

import numpy as np
import pytest

from botify.model.model import ServedModel
from botify.recommenders.base import Drawn, Query
from botify.recommenders.registry import RECOMMENDERS
from botify.service import load_configured
from tests.botify.exports import edit_manifest, make_settings, publish, write_catalogue

# Three tracks of an artist each, whose factors point the same way.
ARTISTS = [track // 3 for track in range(12)]
FACTORS = np.repeat(np.eye(4), 3, axis=0) + np.linspace(0, 0.1, 12)[:, None]
LISTS = {0: [0, 3, 6, 9], 1: [5], 2: list(range(12))}
ALS = {"factors": 4, "regularization": 1, "alpha": 1}


def publish_twelve(folder: Path, **manifest: object) -> Path:
    """Publish the version, with more keys in its manifest; returns its folder."""
    catalogue = write_catalogue(folder / "tracks.json", ARTISTS)
    version = publish(folder, "one", LISTS, catalogue=catalogue, factors=FACTORS)
    edit_manifest(version, **manifest)
    return version


def load(folder: Path, recommender: str, **changes: object) -> ServedModel:
    settings = make_settings(folder, folder / "tracks.json", recommender, **changes)
    return load_configured(settings)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """Load the version without its factors."""
    folder = tmp_path_factory.mktemp("model")
    publish_twelve(folder)
    return load(folder, "indexed")


@pytest.fixture(scope="module")
def als(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """Load the version with its factors, of an ALS model."""
    folder = tmp_path_factory.mktemp("als")
    publish_twelve(folder, parameters=ALS)
    return load(folder, "fold_in")


def heard(user: int, *tracks: int) -> Query:
    """Make the query of a listener who has heard some tracks to their ends."""
    return Query(user, tracks, [1.0] * len(tracks))


def draw(model: ServedModel, name: str, *queries: Query, seed: int = 1) -> list[Drawn]:
    """Draw a track for each query, one after the other."""
    rng = np.random.default_rng(seed)
    return [RECOMMENDERS[name].draw(model, query, rng) for query in queries]
