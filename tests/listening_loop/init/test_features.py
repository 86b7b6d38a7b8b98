"""`listening-loop init` proposes columns of tracks as features."""

import re
from pathlib import Path

import duckdb
import pytest
import yaml

from listening_loop.command import main
from recsys.store.ids import read_catalogue, read_titles
from recsys.store.reader import open_store
from tests.conftest import Run

HEAD = "uid,when,song,album,genres,year,released,language,mood,label"


def write_plays(folder: Path) -> None:
    lines = [HEAD]
    for play in range(400):
        song = play * 7 % 60
        album = song // 6
        label = play % 7  # of plays, not of tracks
        when = f"2026-01-{1 + play // 20:02} 10:00:{play % 60:02}"
        of_track = (
            f"s{song},album {album},a|b{album},{1990 + album},{1990 + album}-05-01"
        )
        lines.append(f"u{play % 9},{when},{of_track},en,{song % 4},label {label}")
    (folder / "plays.csv").write_text("\n".join(lines))


def test_columns_of_tracks_become_features_of_a_query(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    write_plays(tmp_path)
    shown = printed("init", "plays.csv")
    assert "Written: plays.sql, tracks.sql, plays.yaml" in shown
    (unused,) = re.findall(r"not used +(.*)", shown)
    assert unused == "language, mood, label"
    config = yaml.safe_load(Path("plays.yaml").read_text())
    assert config["catalogue"] == "tracks.sql"
    assert config["unplayed"] is False
    assert config["features"] == {
        "album": "category",
        "genres": "categories",
        "year": "number",
        "released": "date",
    }
    query = Path("tracks.sql").read_text()
    assert "-- language is left out: it is constant" in query
    assert "-- label is left out: 100% of the tracks have several values" in query
    tracks = read_catalogue(Path("tracks.sql")).splitlines()
    assert len(tracks) == 60
    values = b'"title":"s7","album":"album 1","genres":"a|b1","year":1991.0,"released":"1991-05-01"'
    assert b'{"track":"s7",' + values + b"}" in tracks


def test_a_query_of_tracks_that_is_there_is_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_plays(tmp_path)
    Path("tracks.sql").write_text("mine")
    assert main(["init", "plays.csv"]) == 2
    assert "tracks.sql: exists already" in capsys.readouterr().err
    assert Path("tracks.sql").read_text() == "mine"


def test_numbers_and_missing_values_in_a_query_of_tracks_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plays = "SELECT n % 7 AS uid, n % 40 AS song, if(n % 40 = 3, NULL, n % 40 // 4) AS artist"
    plays += (
        ", n % 40 // 2 AS album, n AS ts FROM range(1767225600, 1767226000) AS t(n)"
    )
    duckdb.sql(f"COPY ({plays}) TO 'plays.parquet'")
    assert main(["init", "plays.parquet"]) == 0
    assert main(["ingest", "plays.sql", "--store", "store"]) == 0
    titles = read_titles(Path("tracks.sql"), open_store("store"))
    assert titles["3"].artist == ""
    assert titles["39"].artist == "9"
