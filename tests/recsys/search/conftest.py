"""A store to search, and searches that are refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.recsys.in_process import without_processes
from tests.recsys.logs import random_store
from tests.recsys.search.quick import SIZES, search_argv


@pytest.fixture(scope="module", autouse=True)
def _scored_often() -> Iterator[None]:
    """Score fits of few iterations more than once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.config.SCORE_EVERY", 2)
        yield


@pytest.fixture(scope="module")
def store(folder: Path) -> Path:
    """A store that is learned from in a second."""
    return random_store(folder, **SIZES)


@pytest.fixture
def refused(refusal: Run) -> Run:
    """Run a search of settings, which is refused; return its line of error."""

    def run(store: Path, run_folder: Path, *settings: str) -> str:
        with without_processes():
            return refusal(*search_argv(store, run_folder, *settings, export=True))

    return run
