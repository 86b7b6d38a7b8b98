import json
from pathlib import Path

import pytest

from botify.errors import BotifyError
from botify.model.catalogue import load_catalogue
from looplib.arrays import NO_TRACK
from tests.botify.exports import write_catalogue


def test_records_stand_as_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tracks.json"
    file.write_bytes(
        b'{"track":0,"artist":"A","title":"\xc3\xa9"}\n{"artist":7,  "track":1}'
    )
    catalogue = load_catalogue(file)
    assert len(catalogue) == 2
    assert catalogue.record(0) == b'{"track":0,"artist":"A","title":"\xc3\xa9"}'
    assert catalogue.record(1) == b'{"artist":7,  "track":1}'


def test_tracks_of_an_artist_are_all_of_them(tmp_path: Path) -> None:
    catalogue = load_catalogue(
        write_catalogue(tmp_path / "tracks.json", [5, 2, 5, 9, 2, 5])
    )
    assert [catalogue.tracks_of(artist).tolist() for artist in catalogue.artist] == [
        [0, 2, 5], [1, 4], [0, 2, 5], [3], [1, 4], [0, 2, 5]
    ]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [(900, 7), ("zoë", "a/b"), (1, 0)])
def test_own_ids_are_numbered_in_their_order_and_unknown_artists_are_different(
    tmp_path: Path, first: str | int, second: str | int
) -> None:
    file = tmp_path / "tracks.json"
    lines = [json.dumps({"track": track, "artist": ""}) for track in (first, second)]
    file.write_text("\n".join(lines))
    catalogue = load_catalogue(file)
    assert list(catalogue.ids) == [second, first]
    numbers = [catalogue.number(track) for track in (second, first, "x", 2**60)]
    assert numbers == [0, 1, NO_TRACK, NO_TRACK]
    records = [json.loads(catalogue.record(number)) for number in (0, 1)]
    assert [record["track"] for record in records] == [second, first]
    assert catalogue.tracks_of(catalogue.artist[1]).tolist() == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no tracks"),
        (
            '{"track":0,"artist":"A"}\n{"track":0,"artist":"A"}\n',
            "tracks.json:2: track 0 is there already, in line 1",
        ),
        (
            '{"track":"a","artist":"A"}\n{"track":3,"artist":"A"}\n',
            "tracks.json:2: track 3 found after 'a'; write all",
        ),
        (
            '{"track":-1,"artist":"A"}',
            "tracks.json:1: no object with track and artist (Expected `int` >= 0",
        ),
        (
            '{"track":0,"artist":"A"}\n{"track":1,"art',
            "tracks.json:2: no object with track and artist",
        ),
        ('{"track":0}', "tracks.json:1: no object with track and artist"),
        (
            '{"track":0,"artist":[1]}',
            "tracks.json:1: no object with track and artist (Expected ",
        ),
        ("[1]", "tracks.json:1: no object"),
        ('{"track":0,"artist":"A","x":' + 10**5 * "[", "tracks.json:1: no object"),
    ],
)
def test_a_wrong_catalogue_is_refused_with_file_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "tracks.json"
    file.write_text(text)
    with pytest.raises(BotifyError) as caught:
        load_catalogue(file)
    assert message in str(caught.value)
