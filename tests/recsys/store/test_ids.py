"""Titles of a catalogue."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recsys.errors import StoreError
from recsys.store.ids import originals, read_titles
from recsys.store.reader import open_store
from tests.recsys.logs import make_store, random_sessions


@pytest.mark.parametrize(
    "line",
    [b"[1", b'{"track": 1, "title": "\xff"}', b'{"track": 1, "x": ' + b"[" * 99_999],
    ids=["no object", "no UTF-8", "too deep"],
)
def test_a_line_of_a_catalogue_that_is_no_title_is_named(
    tmp_path: Path, line: bytes
) -> None:
    sessions = random_sessions(1, listeners=2, tracks=6, sessions=5)
    store = open_store(make_store(tmp_path, sessions))
    file = tmp_path / "titles.json"
    file.write_bytes(b'{"track": 1}\n' + line + b"\n")
    with pytest.raises(StoreError, match=r'titles\.json, line 2: not \{"track"'):
        read_titles(file, store)


def test_a_number_without_its_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = pa.table({"id": [1, 2], "original": ["a", None]})
    monkeypatch.setattr("recsys.store.ids._read_ids", lambda *_: ids)
    store = open_store(
        make_store(tmp_path, random_sessions(1, listeners=2, tracks=6, sessions=5))
    )
    assert originals(store, "users", np.array([1])).tolist() == ["a"]
    with pytest.raises(StoreError, match="some users are not in its id files"):
        originals(store, "users", np.array([1, 2]))
