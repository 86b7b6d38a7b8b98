"""The demo's world, made once for all tests."""

from pathlib import Path

import pytest

from looplib.config import load_config
from sim.world import make_world
from sim.worlds.config import WorldConfig
from sim.worlds.files import World, load_world


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "world"
    make_world(load_config(WorldConfig, Path("configs/world/demo.yaml")), folder)
    return folder


@pytest.fixture(scope="session")
def demo_world(demo_folder: Path) -> World:
    return load_world(demo_folder)
