"""Titles of a catalogue."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from analysis.errors import AnalysisError
from recsys.dataset.features import read_columns
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


def test_a_query_is_a_catalogue(tmp_path: Path) -> None:
    store = open_store(
        make_store(tmp_path, random_sessions(1, listeners=2, tracks=6, sessions=5))
    )
    rows = "id,name,by,genres,day\n0,A,x,rock|pop,2014-05-01\n1,B,,pop,2015-05-01\n"
    (tmp_path / "songs.csv").write_text(rows)
    query = tmp_path / "tracks.sql"
    query.write_text(
        "SELECT id AS track, name AS title, coalesce(\"by\", '') AS artist, "
        "string_split(genres, '|') AS genres, day, id * 1.5 AS tempo FROM 'songs.csv'"
    )
    titles = read_titles(query, store)
    assert [str(title) for title in titles.values()] == ["A, x", "B"]
    columns = read_columns(
        query, {"genres": "categories", "day": "date", "tempo": "number"}
    )
    assert columns["genres"] == {"0": ["rock", "pop"], "1": ["pop"]}
    assert columns["tempo"] == {"0": 0, "1": 1.5}
    assert columns["day"]["1"] > columns["day"]["0"]
    query.write_text("SELECT missing AS track FROM 'songs.csv'")
    with pytest.raises(AnalysisError, match=r"tracks\.sql, line 1: .*missing"):
        read_titles(query, store)
