"""Steps a second of the environments with random actions, beside Gymnasium's own vectorisation of the single one.

python -m benchmarks.environment
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import gymnasium
import typer
from gymnasium.vector import SyncVectorEnv

from benchmarks.harness import SEED_WORLD, show_machine, show_turns, take_turns
from looplib.randomness import make_generator
from sim.environment import ENVIRONMENT, ListeningVectorEnv
from sim.listening.sessions import make_model
from sim.worlds.files import load_world

BASE = "Gymnasium's SyncVectorEnv of 64"
AnyVectorEnv = gymnasium.vector.VectorEnv[Any, Any, Any]


def main(
    world: Path = SEED_WORLD,
    repeats: Annotated[int, typer.Option(min=1)] = 7,
    steps: Annotated[int, typer.Option(min=1, help="Of all sessions together, in a turn.")] = 400_000,
) -> None:
    """Step all of them in turns."""
    model = make_model(load_world(world))
    single = [lambda: gymnasium.make(ENVIRONMENT, world=model)] * 64
    kinds: dict[str, Callable[[], float]] = {BASE: partial(_steps_a_second, SyncVectorEnv(single), steps // 100)}
    for size in (64, 1024, 4096, 16384):
        kinds[f"vector of {size:,}"] = partial(_steps_a_second, ListeningVectorEnv(size, model), steps)
    rates = take_turns(kinds, repeats)
    show_turns("Steps a second, random actions", rates, BASE, 0)
    show_machine("gymnasium", "numpy")


def _steps_a_second(environments: AnyVectorEnv, steps: int) -> float:
    rounds = max(1, steps // environments.num_envs)
    tracks = int(environments.action_space.nvec[0])  # type: ignore[attr-defined]  # of Discrete spaces, so MultiDiscrete
    actions = make_generator(1, "benchmark").integers(tracks, size=(rounds, environments.num_envs))
    environments.reset(seed=1)
    began = time.perf_counter()
    for row in actions:
        environments.step(row)
    return rounds * environments.num_envs / (time.perf_counter() - began)


if __name__ == "__main__":
    typer.run(main)
