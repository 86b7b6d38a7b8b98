from pathlib import Path

import numpy as np
import pytest

from looplib.cli import run
from looplib.config import load_config
from sim.errors import SimError
from sim.world import PROG, app, make_world
from sim.worlds.config import WorldConfig
from sim.worlds.files import load_world, world_digest

DEMO = Path("configs/world/demo.yaml")
SMALL = [
    "catalogue.tracks=300",
    "catalogue.artists=60",
    "catalogue.genres=9",
    "listeners=40",
]


def _small(*changes: str) -> WorldConfig:
    return load_config(WorldConfig, DEMO, [*SMALL, *changes])


def _main(*words: str) -> int:
    return run(app, PROG, list(words))


def test_what_is_written_is_what_the_configuration_says(tmp_path: Path) -> None:
    config = _small("response.tiredness=0.1")
    make_world(config, tmp_path / "w")
    world = load_world(tmp_path / "w")
    assert (world.tracks, world.listeners) == (300, 40)
    assert world.embeddings.shape == (300, 40)
    assert len(np.unique(world.artist)) == 60
    assert world.response.tiredness == 0.1
    assert load_config(WorldConfig, tmp_path / "w" / "world.yaml") == config


def test_the_command_makes_a_world_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = [f"--set={change}" for change in SMALL]
    command = ["--config", str(DEMO), "--out", str(tmp_path / "w"), *changes]
    assert _main(*command) == 0
    assert "300 tracks, 60 artists, 40 listeners" in capsys.readouterr().out
    before = world_digest(tmp_path / "w")
    assert _main(*command) == 0
    assert "nothing done" in capsys.readouterr().out
    assert _main(*command, "--set", "seed=3") == 2
    assert "another configuration" in capsys.readouterr().err
    assert world_digest(tmp_path / "w") == before


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SimError, match=r"holds no world\.yaml"):
        make_world(_small(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("catalogue.artists=301", "artists (301) cannot be more than tracks (300)"),
        ("catalogue.genre_share=0.9", "genre_share + artist_share is 1.2, above 1"),
    ],
)
def test_a_wrong_configuration_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    changes = [f"--set={change}" for change in [*SMALL, change]]
    out = tmp_path / "w"
    assert _main("--config", str(DEMO), "--out", str(out), *changes) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()
