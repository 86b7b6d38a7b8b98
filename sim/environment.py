"""A Gymnasium environment of the listening model: `sim/Listening-v0`.

    import gymnasium
    env = gymnasium.make("sim.environment:sim/Listening-v0", world="out/demo/world")

Importing this module registers it. An episode is a session.

* Action: the track to recommend, `Discrete(tracks)`.
* Observation: `{"user", "track", "time"}`: the listener, `Discrete(listeners)`; the track played
  last, `Discrete(tracks)`; the share of it that was heard, a `Box` of one number from 0 to 1. The
  first observation of an episode is the organic track, heard whole.
* Reward: the share heard of the recommended track, 0 to 1 in hundredths, so that an episode's
  rewards add up to the session's listening time without its organic track.
* Termination: the session budget is spent. Truncation: after `max_episode_steps` recommendations.
* Reset: all listeners are equally likely.

All randomness is that of `np_random`: a seed and the actions give the same episodes again. `world`
is a world's folder, or a `World` that several environments share, as loading a large one takes
seconds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction

from sim.listening.sessions import LONGEST_SESSION, SessionBatch, draw_starts
from sim.worlds.files import World, load_world

ENVIRONMENT = "sim/Listening-v0"

Observation = dict[str, Any]  # numbers and an array without axes
Info = dict[str, Any]


class ListeningEnv(gymnasium.Env[Observation, np.int64]):
    """One session at a time."""

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  Gymnasium declares it like this

    def __init__(self, world: Path | str | World) -> None:
        """Take a world or its folder; raises SimError if it cannot be used."""
        self._world = world if isinstance(world, World) else load_world(Path(world))
        self._batch = SessionBatch(self._world, 1)
        self._row = np.zeros(1, dtype=np.int64)
        tracks = spaces.Discrete(self._world.tracks)
        self.action_space = tracks
        self.observation_space = spaces.Dict(
            {
                "user": spaces.Discrete(self._world.listeners),
                "track": tracks,
                "time": spaces.Box(0.0, 1.0, shape=(), dtype=np.float32),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Start a session; see the module. There are no options."""
        super().reset(seed=seed, options=dict(options or {}))
        listeners = self.np_random.integers(self._world.listeners, size=1)
        starts = draw_starts(self._world, listeners, self.np_random)
        self._batch.start(self._row, listeners, *starts)
        return self._observe(), {}

    def step(self, action: np.int64) -> tuple[Observation, float, bool, bool, Info]:
        """Play the recommended track; see the module.

        Raises:
            InvalidAction: There is no such track.
        """
        if not self.action_space.contains(action):
            raise InvalidAction(f"{action} found; {self.action_space} is due")
        track = np.full(1, action, dtype=np.int64)
        hundredths = self._batch.hear(self._row, track, self.np_random.random(1))
        is_over = not len(self._batch.under_way())
        return self._observe(), float(hundredths[0]) / 100.0, is_over, False, {}

    def _observe(self) -> Observation:
        tracks, hundredths = self._batch.last(self._row)
        return {
            "user": self._batch.listener[0],
            "track": tracks[0],
            "time": np.asarray(hundredths[0] / 100.0, dtype=np.float32),
        }


gymnasium.register(
    ENVIRONMENT,
    entry_point="sim.environment:ListeningEnv",
    max_episode_steps=LONGEST_SESSION,
)
