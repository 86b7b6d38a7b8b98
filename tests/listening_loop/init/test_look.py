"""What the first rows of a file are taken for."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from listening_loop.command import main
from listening_loop.init.look import look_at
from tests.listening_loop.init.files import PLAYS


def test_a_folder_of_json_arrays_is_read_as_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    folder.mkdir()
    rows = [
        {
            "ts": f"2026-01-05T10:{n:02}:00Z",
            "username": f"u{u}",
            "ms_played": n * 1000,
            "master_metadata_track_name": f"Song {n % 9}",
            "master_metadata_album_artist_name": "Björk",
            "spotify_track_uri": f"spotify:track:{n % 9}",
        }
        for u, n in PLAYS
    ]
    for number in range(2):
        part = json.dumps(rows[number::2], indent=2, ensure_ascii=False)
        (folder / f"history_{number}.json").write_text(part)
    guess = look_at(folder, {})
    assert guess.reading is not None
    assert guess.reading.columns.title == "master_metadata_track_name"
    assert (guess.rows, guess.left_out, guess.listeners, guess.tracks) == (
        60,
        180,
        6,
        9,
    )
    ids = "user=username,item=master_metadata_album_artist_name+spotify_track_uri"
    store = str(tmp_path / "store")
    assert main(["ingest", str(folder), "--store", store, "--columns", ids]) == 0


def test_lines_that_end_in_several_ways_are_read(tmp_path: Path) -> None:
    rows = "".join(f"u{u};t{n}\r\n" for u, n in PLAYS)
    (tmp_path / "mixed.csv").write_text(f"user;item\n{rows}", newline="")
    guess = look_at(tmp_path / "mixed.csv", {})
    assert (guess.rows, guess.rejected, guess.tracks) == (240, 0, 40)


def test_a_parquet_file_is_read_by_the_types_of_its_columns(tmp_path: Path) -> None:
    customers, plays = zip(*PLAYS, strict=True)
    columns: dict[str, Any] = {
        "customer": customers,
        "product": [f"p{play % 9}" for play in plays],
        "purchased_at": pa.array(plays, pa.timestamp("us")),
        "seconds": [30.0 + play for play in plays],
    }
    pq.write_table(pa.table(columns), tmp_path / "listens.parquet")
    guess = look_at(tmp_path / "listens.parquet", {})
    assert guess.reading is not None
    assert guess.reading.columns.timestamp == "purchased_at"
    assert guess.reading.columns.weight == "seconds"
    assert guess.examples[0]["item"] == "p0"
