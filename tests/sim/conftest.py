"""The demo's world, made once for all tests."""

from pathlib import Path

import pytest

from looplib.config import load_config
from sim.listening.sessions import ListeningModel, make_model
from sim.world import make_world
from sim.worlds.config import WorldConfig
from sim.worlds.files import load_world

DEMO = Path("configs/world/demo.yaml")


@pytest.fixture(scope="session")
def demo_config() -> WorldConfig:
    return load_config(WorldConfig, DEMO)


@pytest.fixture(scope="session")
def demo_world(
    tmp_path_factory: pytest.TempPathFactory, demo_config: WorldConfig
) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "world"
    make_world(demo_config, folder)
    return folder


@pytest.fixture(scope="session")
def demo_model(demo_world: Path) -> ListeningModel:
    return make_model(load_world(demo_world))
