"""Worlds in the original's files load; worlds that contradict themselves are refused by line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.errors import SimError
from sim.worlds.files import load_world
from tests.sim.small_world import TRACKS, USERS, Line, write_world


def _tracks(line: int, new: Line) -> list[Line]:
    """Return the default tracks with another line; lines count from 1."""
    return [*TRACKS[: line - 1], new, *TRACKS[line:]]


def test_the_originals_files_load_with_its_defaults(tmp_path: Path) -> None:
    world = load_world(write_world(tmp_path / "world"))
    assert (world.tracks, world.listeners) == (12, 3)
    expected = {
        "artist": [0, 1, 2, 3] * 3,
        "interests": [0, 5, 7, 3, 4, 11],
        "interest_offsets": [0, 2, 3, 6],
        "consume_bias": [5.0, 5.0, 2.0],
        "consume_sharpness": [1.0, 1.0, 0.5],
        "session_budget": [5, 5, 3],
        "interest_neighbours": [10, 10, 4],
        "gamma": [0.8, 0.8, 0.5],
    }
    assert {name: getattr(world, name).tolist() for name in expected} == expected


def test_fields_that_the_model_does_not_need_are_passed_over(tmp_path: Path) -> None:
    folder = write_world(
        tmp_path / "world",
        tracks=[{"track": i, "artist": i % 2, "mood": None} for i in range(12)],
        embeddings=np.arange(24, dtype=np.int16).reshape(12, 2),
        users=[{"user": 0, "interests": [3], "openness": 0.3}],
    )
    world = load_world(folder)
    assert world.artist.tolist() == [0, 1] * 6
    assert world.embeddings.dtype == np.float32


SHAPE = r"found; numbers of shape \(tracks, dimensions\) are expected"
NO_NUMBER = np.where(np.arange(24) == 17, np.nan, 0).reshape(12, 2)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"tracks": _tracks(3, {"track": 7, "artist": "x"})},
            r"tracks\.json:3: track 7 found, 2 expected: ids must be 0\.\.n-1",
        ),
        ({"tracks": _tracks(12, "")}, r"tracks\.json:12: Invalid JSON"),
        (
            {"tracks": _tracks(4, '{"track": 3}')},
            r"tracks\.json:4: artist: Field required",
        ),
        ({"tracks": []}, r"tracks\.json: holds no tracks"),
        (
            {"tracks": TRACKS[:11]},
            r"tracks\.npy: .*12.* found; .* tracks\.json holds 11 tracks",
        ),
        (
            {"users": [*USERS[:1], {"user": 1, "interests": [12]}]},
            r"users\.json:2: interest 12 is no track; the catalogue has 0\.\.11",
        ),
        (
            {"users": [*USERS[:1], {"user": 1, "interests": []}]},
            r"users\.json:2: interests: List should have at least 1 item",
        ),
        ({"embeddings": np.zeros(12)}, SHAPE),
        ({"embeddings": np.full((12, 2), "x")}, SHAPE),
        ({"embeddings": NO_NUMBER}, r"npy: the embedding of track 8 holds NaN"),
    ],
)
def test_a_world_that_contradicts_itself_is_refused(
    tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    with pytest.raises(SimError, match=message):
        load_world(write_world(tmp_path / "world", **parts))


def test_a_file_that_is_torn_or_missing_is_named(tmp_path: Path) -> None:
    folder = write_world(tmp_path / "world")
    (folder / "tracks.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(SimError, match=r"tracks\.npy: cannot be read"):
        load_world(folder)
    with pytest.raises(SimError, match=r"tracks\.json: cannot be read \(No such file"):
        load_world(tmp_path)
