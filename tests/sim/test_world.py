from pathlib import Path

import numpy as np
import pytest

from looplib.config import load_config
from sim.errors import SimError
from sim.world import make_world
from sim.worlds.config import NATURES, WorldConfig
from sim.worlds.files import load_world, world_digest
from tests.conftest import Run

DEMO = Path("configs/world/demo.yaml")
SMALL = ["tracks=300", "artists=60", "genres=9", "listeners=40"]


def test_what_is_written_is_what_the_configuration_says(tmp_path: Path) -> None:
    config = load_config(WorldConfig, DEMO, [*SMALL, "like=course"])
    make_world(config, tmp_path / "w")
    world = load_world(tmp_path / "w")
    assert (world.tracks, world.listeners) == (300, 40)
    assert world.embeddings.shape == (300, 40)
    assert len(np.unique(world.artist)) == 60
    assert world.nature == NATURES["course"]
    assert load_config(WorldConfig, tmp_path / "w" / "world.yaml") == config


def test_the_command_makes_a_world_once(
    tmp_path: Path, printed: Run, refusal: Run
) -> None:
    changes = [f"--set={change}" for change in SMALL]
    command = ["world", "--config", DEMO, "--out", tmp_path / "w", *changes]
    assert "300 tracks, 60 artists, 40 listeners" in printed(*command)
    before = world_digest(tmp_path / "w")
    assert "nothing done" in printed(*command)
    assert "another configuration" in refusal(*command, "--set", "seed=3")
    message = "artists (301) cannot be more than tracks (300)"
    assert message in refusal(*command, "--set", "artists=301")
    assert world_digest(tmp_path / "w") == before


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SimError, match=r"holds no world\.yaml"):
        make_world(load_config(WorldConfig, DEMO), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
