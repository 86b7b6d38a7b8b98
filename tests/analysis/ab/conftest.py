"""A log of an experiment."""

from pathlib import Path

import pytest

from tests.analysis.ab.logs import experiment, write


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(
        tmp_path_factory.mktemp("log") / "a.jsonl", experiment(effect=0.2, past=3)
    )
