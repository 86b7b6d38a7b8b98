"""The environment: Gymnasium's own checks, and the listening model under them."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.env_checker import check_env

from looplib.arrays import IntArray
from looplib.randomness import make_generator
from sim.environment import ENVIRONMENT, ListeningEnv
from sim.errors import SimError
from sim.listening.sessions import ListeningModel, Sessions, draw_starts
from tests.sim.small_world import write_world

OBSERVED = ("user", "track", "time")


@pytest.fixture
def env(demo_model: ListeningModel) -> ListeningEnv:
    return ListeningEnv(demo_model)


def _episode(
    env: ListeningEnv, seed: int, actions: IntArray
) -> list[tuple[object, ...]]:
    observation, _ = env.reset(seed=seed)
    found: list[tuple[object, ...]] = [
        tuple(observation[key].item() for key in OBSERVED)
    ]
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        found.append(
            (
                *(observation[key].item() for key in OBSERVED),
                reward,
                terminated,
                truncated,
            )
        )
        if terminated:
            break
    return found


def test_gymnasiums_checker_finds_nothing(demo_model: ListeningModel) -> None:
    check_env(gymnasium.make(ENVIRONMENT, world=demo_model).unwrapped)


def test_it_is_made_by_name_from_a_folder(tmp_path: Path) -> None:
    world = write_world(tmp_path / "world")
    env = gymnasium.make("sim.environment:sim/Listening-v0", world=str(world))
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    assert (float(observation["time"]), info) == (1.0, {})


def test_a_world_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SimError, match=r"tracks\.json: cannot be read"):
        ListeningEnv(tmp_path)


def test_two_environments_with_one_seed_agree_in_every_field(
    demo_model: ListeningModel,
) -> None:
    actions = make_generator(1, "actions").integers(5000, size=200)
    first, second = ListeningEnv(demo_model), ListeningEnv(demo_model)
    for seed in range(20):
        assert _episode(first, seed, actions) == _episode(second, seed, actions)
    assert _episode(first, 1, actions) != _episode(first, 2, actions)


def test_an_episode_is_a_session_of_the_listening_model(
    env: ListeningEnv, demo_model: ListeningModel
) -> None:
    actions = make_generator(1, "actions").integers(5000, size=200)
    for seed in range(20):
        steps = _episode(env, seed, actions)
        rng = np.random.default_rng(seed)
        row = np.zeros(1, dtype=np.int64)
        sessions = Sessions(demo_model, 1)
        sessions.start(
            row,
            draw_starts(
                demo_model, rng.integers(demo_model.world.listeners, size=1), rng
            ),
        )
        while len(sessions.under_way()):
            sessions.hear(
                row, actions[int(sessions.length[0]) - 1 :][:1], rng.random(1)
            )
        assert [step[1] for step in steps] == sessions.played(0).tolist()
        heard = sessions.hundredths[: sessions.length[0], 0] / 100
        assert [step[2] for step in steps] == heard.astype(np.float32).tolist()
        assert [step[3] for step in steps[1:]] == heard[1:].tolist()
        assert [step[4] for step in steps[1:]] == [False] * (len(steps) - 2) + [True]


def test_a_session_that_is_over_takes_no_step(env: ListeningEnv) -> None:
    with pytest.raises(ResetNeeded):
        env.step(np.int64(0))
    env.reset(seed=1)
    while not env.step(np.int64(0))[2]:
        pass
    with pytest.raises(ResetNeeded):
        env.step(np.int64(0))


@pytest.mark.parametrize("action", [-1, 5000, 0.5, [1, 2]])
def test_what_is_no_track_is_refused(env: ListeningEnv, action: Any) -> None:  # noqa: ANN401  of a wrong type
    env.reset(seed=1)
    with pytest.raises(InvalidAction):
        env.step(action)


def test_all_listeners_come(env: ListeningEnv) -> None:
    users = np.array([int(env.reset(seed=seed)[0]["user"]) for seed in range(300)])
    assert len(set(users.tolist())) > 200
    assert users.min() < 100
    assert users.max() >= 900


def test_a_long_session_is_truncated_at_the_limit(tmp_path: Path) -> None:
    """Everything is heard to the end: nobody is ever bored."""
    tracks = [{"track": i, "artist": i} for i in range(12)]
    world = write_world(
        tmp_path / "w",
        tracks=tracks,
        users=[{"user": 0, "interests": [0], "consume_bias": -1e6}],
        embeddings=None,
    )
    one = gymnasium.make(ENVIRONMENT, world=world, max_episode_steps=3)
    first, _ = one.reset(seed=1)
    unheard = [track for track in range(12) if track != int(first["track"])]
    ends = [(step[2], step[3]) for step in (one.step(track) for track in unheard[:3])]
    assert ends == [(False, False), (False, False), (False, True)]
