from pathlib import Path

from looplib.config import load_config
from sim.worlds.config import WorldConfig
from sim.worlds.generate import generate_catalogue, generate_listeners


def test_interests_in_the_smallest_catalogue_are_still_different() -> None:
    changes = ["tracks=4", "artists=2", "listeners=50"]
    config = load_config(WorldConfig, Path("configs/world/demo.yaml"), changes)
    _, _, popularity = generate_catalogue(config)
    for listener in generate_listeners(config, popularity):
        interests = listener["interests"]
        assert isinstance(interests, list)
        assert len(set(interests)) == len(interests)
