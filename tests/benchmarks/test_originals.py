"""Little files in the shape of each published download: no test needs the data."""

import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.real import originals
from benchmarks.real.files import read_table

LASTFM_1K = """\
user_000001\t2009-05-04T23:08:57Z\ta1\tDeep Dish\t\tFlash "Dance
user_000001\t2009-05-04T13:54:10Z\ta2\tUnderworld\tt2\tBoy, Boy, Boy
user_000002\t2006-08-13T13:59:20Z\ta2\tUnderworld\tt2\tBoy, Boy, Boy
"""
SESSIONS = """\
event.session\t287144\t200\t{"numtracks":2,"playtime":9} \
{"subjects":[{"type":"user","id":44}],"objects":[\
{"type":"track","id":7,"playstart":0,"playtime":5,"action":"play"},\
{"type":"track","id":3,"playstart":5,"playtime":4,"action":"skip"}]}
event.session\t287145\t100\t{"numtracks":1,"playtime":9} \
{"subjects":[{"type":"user","id":44}],"objects":[{"type":"track","id":9}]}
"""
TRACKS = """\
track\t3\t-1\t{"name":"A+{B}"}\t{"artists":[{"type":"person","id":1}],"albums":[]}
track\t7\t-1\t{"name":"C"}\t{"artists":[{"type":"person","id":1}],"albums":[]}
track\t9\t-1\t{"name":"\\"D"} {"artists":[{"type":"person","id":2}],"albums":[]}
"""
RATINGS = "1::1193::5::978300760\n1::661::3::978302109\n2::1193::4::978298413\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    relations = tmp_path / "relations"
    entities = tmp_path / "entities"
    for folder in (data, relations, entities):
        folder.mkdir()
    (relations / "sessions.idomaar").write_text(SESSIONS)
    (entities / "tracks.idomaar").write_text(TRACKS)
    (tmp_path / "lastfm.tsv").write_text(LASTFM_1K)
    with tarfile.open(data / "ThirtyMusic.tar.gz", "w:gz") as archive:
        archive.add(relations, "relations")
        archive.add(entities, "entities")
    with tarfile.open(data / "lastfm-dataset-1K.tar.gz", "w:gz") as archive:
        name = "userid-timestamp-artid-artname-traid-traname.tsv"
        archive.add(tmp_path / "lastfm.tsv", f"lastfm-dataset-1K/{name}")
    with zipfile.ZipFile(data / "ml-1m.zip", "w") as archive:
        archive.writestr("ml-1m/ratings.dat", RATINGS)
    listens = {
        "uid": [5, 5, 6],
        "timestamp": [40, 20, 20],
        "item_id": [8, 9, 8],
        "is_organic": [0, 1, 1],
        "played_ratio_pct": [100, 60, 20],
        "track_length_seconds": [200, 100, 200],
    }
    pq.write_table(pa.table(listens), data / "listens.parquet")
    artists = pa.table({"artist_id": [3, 2, 1], "item_id": [8, 8, 9]})
    pq.write_table(artists, data / "artist_item_mapping.parquet")
    return data


# rows of listener, position, track and artist
@pytest.mark.parametrize(
    ("name", "plays"),
    [
        ("lastfm", [(1, 1, 2, 2), (1, 2, 1, 1), (2, 1, 2, 2)]),
        ("30music", [(1, 1, 3, 2), (1, 2, 2, 1), (1, 3, 1, 1)]),
        ("yambda", [(1, 1, 2, 1), (1, 2, 1, 2)]),
    ],
)
def test_plays_are_read_from_the_download(
    data: Path, tmp_path: Path, name: str, plays: list[tuple[int, ...]]
) -> None:
    file = originals.find(f"plays_{name}.tsv.gz", data, tmp_path)
    table = read_table(file)
    assert [*table] == ["listener", "position", "track", "artist"]
    assert sorted(table.itertuples(index=False, name=None)) == plays
    assert originals.find(file.name, data, tmp_path) == file


def test_ratings_are_read_from_the_download(data: Path, tmp_path: Path) -> None:
    table = read_table(originals.find("movielens1m_folds.tsv.gz", data, tmp_path))
    assert [*table["level"]] == [2, 0, 1]
    assert {*table["fold"]} <= {1, 2, 3, 4, 5}
