"""A small log that the simulator collected: listeners who differ, over some weeks."""

from pathlib import Path

import numpy as np

from sim.collect.collection import CollectConfig, collect
from tests.sim.worlds import write_world

LISTENERS = 400


def collect_log(folder: Path, *, sessions: int = 6000, listeners: int = LISTENERS) -> Path:
    """Collects with the simulator's random recommender; the twelve tracks of `tests.sim.worlds`."""
    rng = np.random.default_rng(11)
    users = [
        {
            "user": user,
            "interests": rng.choice(12, size=2, replace=False).tolist(),
            "consume_bias": float(rng.uniform(0, 6)),
            "session_budget": int(rng.integers(2, 7)),
        }
        for user in range(listeners)
    ]
    world = write_world(folder / "world", users=users)
    log = folder / "log"
    collect(CollectConfig(world=world, log=log, episodes=sessions, seed=3, segment_sessions=2000))
    return log
