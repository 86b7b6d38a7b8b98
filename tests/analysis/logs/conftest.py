"""A reader of single logs."""

import gzip

import pytest

from analysis.logs.files import LogFile
from tests.analysis.logs.lines import Load, Loaded, read_all


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    folder = tmp_path_factory.mktemp("logs")

    def read(content: bytes | str, name: str = "events.jsonl") -> Loaded:
        file = folder / name
        packed = content.encode() if isinstance(content, str) else content
        file.write_bytes(
            gzip.compress(packed, mtime=0) if name.endswith(".gz") else packed
        )
        log = LogFile(file, name)
        return read_all([log])[1][log]

    return read
