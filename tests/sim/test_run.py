from pathlib import Path

import orjson
import pytest

from looplib.config import load_config
from sim.collect import CollectConfig
from sim.run import main
from tests.sim.small_world import write_world


def _episodes(log: Path) -> int:
    return int(orjson.loads((log / "collection.json").read_bytes())["episodes"])


def test_flags_alone_are_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world, log = write_world(tmp_path / "world"), tmp_path / "log"
    flags = [
        "--world",
        str(world),
        "--log",
        str(log),
        "--episodes",
        "30",
        "--recommender",
        "random",
    ]
    assert main([*flags, "--seed", "3"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{log}: 30 sessions in 1 segments")
    assert "collecting: 30/30 sessions" in shown.err


def test_flags_win_over_set_and_set_over_the_file(tmp_path: Path) -> None:
    world, log = write_world(tmp_path / "world"), tmp_path / "log: with a colon"
    file = tmp_path / "collect.yaml"
    file.write_text(
        f"world: {world}\nlog: {tmp_path / 'other'}\nepisodes: 10\nseed: 1\n"
    )
    command = [
        "--config",
        str(file),
        "--set",
        "episodes=20",
        "--set",
        "seed=2",
        "--log",
        str(log),
        "--episodes",
        "30",
    ]
    assert main(command) == 0
    effective = load_config(CollectConfig, log / "collect.yaml")
    assert (effective.episodes, effective.seed, effective.log) == (30, 2, log)
    assert _episodes(log) == 30


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--set", "epsiodes=3"],
            "epsiodes: unknown key; the nearest known key is episodes",
        ),
        (
            ["--episodes", "0"],
            "episodes: Input should be greater than or equal to 1 (found '0')",
        ),
        (["--episodes", "many"], "episodes: Input should be a valid integer"),
        (
            ["--epsiodes", "3"],
            "epsiodes: unknown key; the nearest known key is episodes",
        ),
        (["--seed"], "--seed: a value is expected after it"),
        (["out"], "out found; --key value is expected"),
        (
            ["--seed", "-1"],
            "seed: Input should be greater than or equal to 0 (found '-1')",
        ),
        (["--recommender", "best"], "recommender: best is unknown; allowed: random"),
        (
            ["--world", "nowhere"],
            "nowhere/tracks.json: cannot be read (No such file or directory)",
        ),
        (["--config", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    world, log = write_world(tmp_path / "world"), tmp_path / "log"
    assert (
        main(["--world", str(world), "--log", str(log), "--episodes", "10", *arguments])
        == 2
    )
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not log.exists()


def test_a_missing_key_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    error = capsys.readouterr().err
    assert all(
        f"{key}: Field required" in error for key in ("world", "log", "episodes")
    )


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "listening-loop simulate --config configs/collect/demo.yaml" in shown
    assert "--batch             sessions in a request" in shown


@pytest.mark.parametrize("name", ["demo", "seed"])
def test_the_configurations_shipped_are_whole(name: str) -> None:
    config = load_config(CollectConfig, Path(f"configs/collect/{name}.yaml"))
    assert config.world == Path(f"out/{name}/world")
    assert config.log == Path(f"out/{name}/log")
