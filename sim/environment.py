"""Gymnasium environments of the listening model: `sim/Listening-v0`, one session or many at once.

    import gymnasium
    env = gymnasium.make("sim.environment:sim/Listening-v0", world="out/demo/world")
    envs = gymnasium.make_vec(
        "sim.environment:sim/Listening-v0", num_envs=4096, world="out/demo/world"
    )

Importing this module registers them. An episode is a session.

* Action: the track to recommend, `Discrete(tracks)`.
* Observation: `{"user", "track", "time"}`: the listener, `Discrete(listeners)`; the track played
  last, `Discrete(tracks)`; the share of it that was heard, a `Box` of one number from 0 to 1. The
  first observation of an episode is the organic track, heard whole.
* Reward: the share heard of the recommended track, 0 to 1 in hundredths, so that an episode's
  rewards add up to the session's listening time without its organic track.
* Termination: the session budget is spent. Truncation: after `max_episode_steps` recommendations.
* Reset: `reset(seed=…, options={"user": 7})`; without the option all listeners are equally likely.
  The vector environment takes one listener or one for each session.

All randomness is that of `np_random`: a seed and the actions give the same episodes again. `world`
is a world's folder, or a `ListeningModel` that several environments share, as finding the tracks
around the interests of a large world takes seconds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from looplib.arrays import BoolArray, FloatArray, IntArray
from sim.listening.sessions import (
    LONGEST_SESSION,
    ListeningModel,
    Sessions,
    draw_starts,
    make_model,
)
from sim.worlds.files import load_world

ENVIRONMENT = "sim/Listening-v0"

# of one session numbers and an array without axes, of many an array each
Observation = dict[str, Any]
Info = dict[str, Any]
Options = Mapping[str, Any] | None


class ListeningEnv(gymnasium.Env[Observation, np.int64]):
    """One session at a time."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  Gymnasium declares it like this

    def __init__(self, world: Path | str | ListeningModel) -> None:
        """Take a world's folder, or its model; raises SimError if it cannot be used."""
        self._model = _load_model(world)
        self._sessions = Sessions.none(self._model, 1)
        self._row = np.zeros(1, dtype=np.int64)
        self.observation_space, self.action_space = _session_spaces(self._model)

    def reset(
        self, *, seed: int | None = None, options: Options = None
    ) -> tuple[Observation, Info]:
        """Start a session; see the module."""
        super().reset(seed=seed)
        _start(self._sessions, self._model, self._row, options, self.np_random)
        return _observe(self._sessions, np.array(0)), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, Info]:
        """Play the recommended track; see the module.

        Raises:
            ResetNeeded: The session is over.
            InvalidAction: There is no such track.
        """
        if not len(self._sessions.under_way()):
            raise ResetNeeded("the session is over; call reset")
        tracks = _check_tracks(self.action_space, action)
        heard = self._sessions.hear(self._row, tracks, self.np_random.random(1))
        observation = _observe(self._sessions, np.array(0))
        reward = float(heard[0]) / 100.0
        is_over = not len(self._sessions.under_way())
        return observation, reward, is_over, False, {}


class ListeningVectorEnv(VectorEnv[Observation, IntArray, npt.NDArray[Any]]):
    """Many sessions side by side.

    The step after a session's end starts another one, whatever its action, which is Gymnasium's
    mode `NEXT_STEP`; its own vectorisation of the single environment has the other modes too.
    """

    def __init__(
        self,
        num_envs: int,
        world: Path | str | ListeningModel,
        *,
        max_episode_steps: int | None = None,
    ) -> None:
        """Make room for `num_envs` sessions, each of at most `max_episode_steps` recommendations.

        Raises:
            SimError: The world cannot be used.
        """
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.num_envs = num_envs
        self._model = _load_model(world)
        self._sessions = Sessions.none(self._model, num_envs)
        self._longest = np.inf if max_episode_steps is None else max_episode_steps + 1
        self._all = np.arange(num_envs)
        self._over: BoolArray | None = None  # before the first reset
        self.single_observation_space, self.single_action_space = _session_spaces(
            self._model
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | None = None, options: Options = None
    ) -> tuple[Observation, Info]:
        """Start all sessions; see the module."""
        super().reset(seed=seed)
        _start(self._sessions, self._model, self._all, options, self.np_random)
        self._over = np.zeros(self.num_envs, dtype=np.bool_)
        return _observe(self._sessions, self._all), {}

    def step(
        self, actions: IntArray
    ) -> tuple[Observation, FloatArray, BoolArray, BoolArray, Info]:
        """Play the recommended tracks; see the module.

        Raises:
            ResetNeeded: There was no reset.
            InvalidAction: There is no such track.
        """
        if self._over is None:
            raise ResetNeeded("call reset before the first step")
        tracks = _check_tracks(self.action_space, actions)
        over = np.flatnonzero(self._over)
        rows = np.flatnonzero(~self._over) if len(over) else self._all
        uniform = self.np_random.random(len(rows))
        rewards = np.zeros(self.num_envs)
        rewards[rows] = self._sessions.hear(rows, tracks[rows], uniform) / 100.0
        terminated = self._sessions.budget <= 0
        truncated = (self._sessions.length >= self._longest) & ~terminated
        if len(over):
            _start(self._sessions, self._model, over, None, self.np_random)
            terminated[over] = truncated[over] = False
        self._over = terminated | truncated
        return _observe(self._sessions, self._all), rewards, terminated, truncated, {}


def _load_model(world: Path | str | ListeningModel) -> ListeningModel:
    if isinstance(world, ListeningModel):
        return world
    return make_model(load_world(Path(world)))


def _session_spaces(
    model: ListeningModel,
) -> tuple[spaces.Dict, spaces.Discrete[np.int64]]:
    """Return the spaces of one session's observations and actions."""
    tracks = spaces.Discrete(model.world.tracks)
    observations = {
        "user": spaces.Discrete(model.world.listeners),
        "track": tracks,
        "time": spaces.Box(0.0, 1.0, shape=(), dtype=np.float32),
    }
    return spaces.Dict(observations), tracks


def _start(
    sessions: Sessions,
    model: ListeningModel,
    rows: IntArray,
    options: Options,
    rng: np.random.Generator,
) -> None:
    """Start sessions of the listeners that the options name, or of random ones."""
    wanted = (options or {}).get("user")
    if wanted is None:
        listeners = rng.integers(model.world.listeners, size=len(rows))
    else:
        all_rows = len(sessions.listener)
        users = _check_listeners(wanted, model.world.listeners, all_rows)
        listeners = np.broadcast_to(users, all_rows)[rows]
    sessions.start(rows, draw_starts(model, listeners, rng))


def _check_listeners(wanted: object, listeners: int, sessions: int) -> IntArray:
    users = np.asarray(wanted)
    is_whole = users.dtype.kind in "iu"
    is_one_each = users.shape in {(), (sessions,)}
    if not is_whole or not is_one_each or np.any((users < 0) | (users >= listeners)):
        raise ValueError(
            f"options['user']: {wanted} found; listeners are 0..{listeners - 1}; "
            "one listener, or one for each session, is due"
        )
    return users.astype(np.int64)


def _check_tracks(space: spaces.Space[Any], actions: object) -> IntArray:
    if not space.contains(actions):
        raise InvalidAction(f"{actions} found; {space} is due")
    return np.atleast_1d(np.asarray(actions, dtype=np.int64))


def _observe(sessions: Sessions, rows: IntArray) -> Observation:
    time = (sessions.last_hundredths(rows) / 100.0).astype(np.float32)
    return {
        "user": sessions.listener[rows],
        "track": sessions.last_tracks(rows),
        "time": np.asarray(time),
    }


gymnasium.register(
    ENVIRONMENT,
    entry_point="sim.environment:ListeningEnv",
    vector_entry_point="sim.environment:ListeningVectorEnv",
    max_episode_steps=LONGEST_SESSION,
)
