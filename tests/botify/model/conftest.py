"""A version of sixty tracks with lists and the factors of an ALS model."""

from collections.abc import Callable
from pathlib import Path

import pytest

from botify.errors import ModelError
from botify.service import load_configured
from botify.settings import ServiceSettings
from tests.botify.exports import (
    edit_manifest,
    make_settings,
    publish,
    random_lists,
    write_catalogue,
)

TRACKS = 60
ALS = {"factors": 8, "regularization": 1, "alpha": 1}
Damage = Callable[[Path], object]


@pytest.fixture
def catalogue_file(tmp_path: Path) -> Path:
    artists = [track % 9 for track in range(TRACKS)]
    return write_catalogue(tmp_path / "tracks.json", artists)


@pytest.fixture
def version(tmp_path: Path, catalogue_file: Path) -> Path:
    """Publish the version; returns its folder."""
    lists = random_lists(20, TRACKS)
    folder = publish(tmp_path, "one", lists, catalogue=catalogue_file)
    edit_manifest(folder, parameters=ALS)
    return folder


@pytest.fixture
def settings(tmp_path: Path, catalogue_file: Path, version: Path) -> ServiceSettings:  # noqa: ARG001
    """Make the settings of a service that needs all files of the version."""
    return make_settings(tmp_path, catalogue_file, "interleaved(indexed, fold_in)")


def refusal(settings: ServiceSettings) -> str:
    """Load a version that is refused; returns the message, which is one line."""
    with pytest.raises(ModelError) as caught:
        load_configured(settings)
    message = str(caught.value)
    assert "\n" not in message
    return message
