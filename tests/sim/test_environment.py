"""The environment: Gymnasium's own checks, and the listening model under them."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction
from gymnasium.utils.env_checker import check_env

from looplib.randomness import make_generator
from sim.environment import ENVIRONMENT, ListeningEnv
from sim.listening.sessions import start_sessions
from sim.worlds.files import World
from tests.sim.small_world import write_world


@pytest.fixture
def env(demo_world: World) -> ListeningEnv:
    return ListeningEnv(demo_world)


def test_gymnasiums_checker_finds_nothing(demo_world: World) -> None:
    check_env(gymnasium.make(ENVIRONMENT, world=demo_world).unwrapped)


def test_it_is_made_by_name_from_a_folder(tmp_path: Path) -> None:
    world = write_world(tmp_path / "world")
    env = gymnasium.make("sim.environment:sim/Listening-v0", world=str(world))
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    assert (float(observation["time"]), info) == (1.0, {})


def test_an_episode_is_a_session_of_the_listening_model(
    env: ListeningEnv, demo_world: World
) -> None:
    actions = make_generator(1, "actions").integers(5000, size=200)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        listener = rng.integers(demo_world.listeners, size=1)
        batch = start_sessions(demo_world, listener, rng)
        observation, _ = env.reset(seed=seed)
        terminated = False
        while not terminated:
            assert observation["user"] == listener[0]
            step = int(batch.length[0]) - 1
            assert observation["track"] == batch.tracks[step, 0]
            heard = batch.hundredths[step, 0] / 100
            assert observation["time"] == np.float32(heard)
            observation, reward, terminated, truncated, _ = env.step(actions[step])
            batch.hear(np.array([0]), actions[step : step + 1], rng.random(1))
            assert reward == batch.hundredths[step + 1, 0] / 100
            assert terminated == (batch.budget[0] == 0)
            assert not truncated


@pytest.mark.parametrize("action", [-1, 5000, 0.5, [1, 2]])
def test_what_is_no_track_is_refused(env: ListeningEnv, action: Any) -> None:  # noqa: ANN401  of a wrong type
    env.reset(seed=1)
    with pytest.raises(InvalidAction):
        env.step(action)
