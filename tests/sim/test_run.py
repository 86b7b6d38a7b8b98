from pathlib import Path

import pytest

from looplib.config import load_config
from sim.config import SimulateConfig
from tests.conftest import Run
from tests.sim.remote.fake_service import fake_service
from tests.sim.small_world import write_world


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return write_world(tmp_path / "world")


def test_flags_win_over_set_and_set_over_the_file(
    world: Path, tmp_path: Path, printed: Run
) -> None:
    log, file = tmp_path / "log: with a colon", tmp_path / "collect.yaml"
    file.write_text(f"world: {world}\nlog: elsewhere\nepisodes: 10\nseed: 1\n")
    changes = ["--set", "episodes=20", "--set", "seed=2"]
    flags = ["--log", str(log), "--episodes", "30"]
    printed("simulate", "--config", file, *changes, *flags)
    effective = load_config(SimulateConfig, log / "collect.yaml")
    assert (effective.episodes, effective.seed, effective.log) == (30, 2, log)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--epsiodes 3", "epsiodes: unknown key; the nearest known key is episodes"),
        ("--episodes many", "episodes: Input should be a valid integer"),
        ("--seed", "--seed: a value is expected after it"),
        ("out", "out found; --key value is expected"),
        ("--url nowhere", "url: Input should be a valid URL"),
        ("--world nowhere", "nowhere/tracks.json: cannot be read (No such file or"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    world: Path, tmp_path: Path, refusal: Run, words: str, message: str
) -> None:
    log = tmp_path / "log"
    flags = [f"--world={world}", f"--log={log}", "--episodes=10"]
    assert message in refusal("simulate", *flags, *words.split())
    assert not log.exists()


def test_a_run_against_a_service_ends_with_the_means_of_its_sessions(
    world: Path, printed: Run
) -> None:
    with fake_service(12) as service:
        flags = [f"--world={world}", f"--url={service.url}", "--episodes=200"]
        shown = printed("simulate", *flags)
    sessions = [events for _, events in service.sessions]
    assert len(sessions) == 200
    tracks = sum(map(len, sessions)) / 200
    time = sum(time for events in sessions for _, time in events) / 200
    assert shown.startswith("200 sessions, ")
    assert shown.endswith(f"{tracks:.3f}, listening time {time:.3f}\n")
