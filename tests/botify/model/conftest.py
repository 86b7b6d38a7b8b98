from pathlib import Path

import pytest

from botify.settings import Settings
from tests.botify.exports import (
    edit_manifest,
    make_settings,
    publish,
    random_lists,
    write_catalogue,
)

TRACKS = 60
ALS = {"factors": 8, "regularization": 1, "alpha": 1}


@pytest.fixture
def catalogue_file(tmp_path: Path) -> Path:
    return write_catalogue(
        tmp_path / "tracks.json", [track % 9 for track in range(TRACKS)]
    )


@pytest.fixture
def settings(tmp_path: Path, catalogue_file: Path) -> Settings:
    """Of a service that needs all of the files."""
    lists = random_lists(20, TRACKS)
    folder = publish(tmp_path, "one", lists, catalogue=catalogue_file)
    edit_manifest(folder, parameters=ALS)
    return make_settings(tmp_path, catalogue_file, "interleaved(indexed, fold_in)")
