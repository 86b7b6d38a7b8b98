from pathlib import Path

import pytest

from botify.errors import CatalogueError
from botify.model.catalogue import load_catalogue
from tests.botify.exports import write_catalogue


def test_records_stand_as_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tracks.json"
    file.write_bytes(b'{"track":0,"artist":"A","title":"\xc3\xa9"}\n{"artist":7,  "track":1}')
    catalogue = load_catalogue(file)
    assert len(catalogue) == 2
    assert catalogue.record(0) == b'{"track":0,"artist":"A","title":"\xc3\xa9"}'
    assert catalogue.record(1) == b'{"artist":7,  "track":1}'


def test_tracks_of_an_artist_are_all_of_them(tmp_path: Path) -> None:
    catalogue = load_catalogue(write_catalogue(tmp_path / "tracks.json", [5, 2, 5, 9, 2, 5]))
    assert [catalogue.tracks_of(artist).tolist() for artist in catalogue.artist] == [
        [0, 2, 5], [1, 4], [0, 2, 5], [3], [1, 4], [0, 2, 5]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no tracks"),
        ('{"track":0,"artist":"A"}\n{"track":2,"artist":"A"}\n', "tracks.json:2: track 2 found, 1 expected"),
        ('{"track":0,"artist":"A"}\n{"track":1,"art', "tracks.json:2: no object with track and artist"),
        ('{"track":0}', "tracks.json:1: no object with track and artist"),
        ('{"track":0,"artist":[1]}', "tracks.json:1: no object with track and artist (Expected "),
        ("[1]", "tracks.json:1: no object"),
    ],
)
def test_a_wrong_catalogue_is_refused_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "tracks.json"
    file.write_text(text)
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(file)
    assert message in str(caught.value)
