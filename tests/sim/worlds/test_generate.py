from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from looplib.config import load_config
from sim.worlds.config import WorldConfig
from sim.worlds.files import World
from sim.worlds.generate import generate_catalogue, generate_listeners


def _records(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_tracks_lie_near_their_artists_and_artists_near_their_genres(
    demo_world: World, demo_folder: Path
) -> None:
    some = slice(None, None, 3)
    embeddings, artist = demo_world.embeddings[some], demo_world.artist[some]
    genres = [track["genre"] for track in _records(demo_folder / "tracks.json")]
    genre = np.unique(genres, return_inverse=True)[1][some]
    dots = (embeddings @ embeddings.T).astype(np.float64)
    np.fill_diagonal(dots, np.nan)
    dots /= np.mean(np.sum(embeddings**2, axis=1))
    same_artist = artist[:, None] == artist
    same_genre = genre[:, None] == genre
    assert np.nanmean(dots[same_artist]) == pytest.approx(0.9, abs=0.1)
    assert np.nanmean(dots[same_genre & ~same_artist]) == pytest.approx(0.6, abs=0.1)
    assert abs(np.nanmean(dots[~same_genre])) < 0.05


def test_popular_tracks_are_interests_more_often(
    demo_folder: Path,
) -> None:
    interests = [user["interests"] for user in _records(demo_folder / "users.json")]
    tracks = _records(demo_folder / "tracks.json")
    popularity = np.array([track["popularity"] for track in tracks])
    assert set(map(len, interests)) == {2, 3, 4}
    assert popularity[np.concatenate(interests)].mean() > 1.5 * popularity.mean()


def test_interests_in_the_smallest_catalogue_are_still_different() -> None:
    changes = ["catalogue.tracks=4", "catalogue.artists=2", "listeners=50"]
    config = load_config(WorldConfig, Path("configs/world/demo.yaml"), changes)
    _, _, popularity = generate_catalogue(config)
    for listener in generate_listeners(config, popularity):
        interests = listener["interests"]
        assert isinstance(interests, list)
        assert len(set(interests)) == len(interests)
