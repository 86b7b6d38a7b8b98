"""A reader of single logs."""

import pytest

from analysis.logs.files import discover
from tests.analysis.logs.lines import Load, Loaded, read_all


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    folder = tmp_path_factory.mktemp("logs")

    def read(content: bytes | str) -> Loaded:
        file = folder / "events.jsonl"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_all(discover([file]))[0]

    return read
