"""What tests of the search share."""

from pathlib import Path

import pytest

from tests.recsys.logs import make_store
from tests.recsys.search.quick import TRACKS, draw_sessions


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that is learned from in a second."""
    return make_store(tmp_path_factory.mktemp("data"), draw_sessions(), tracks=TRACKS)
