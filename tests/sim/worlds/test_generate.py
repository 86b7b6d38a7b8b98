from pathlib import Path
from typing import Any

import numpy as np
import orjson

from looplib.config import load_config
from sim.worlds.config import WorldConfig
from sim.worlds.generate import generate_catalogue, generate_listeners


def _records(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


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
