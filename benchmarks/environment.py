"""Steps a second of the environments with random actions, beside Gymnasium's own vectorisation of the single one.

    python -m benchmarks.environment --world out/seed/world

All are run in turns in one process, and the medians of the turns are shown with the ratios of medians.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import gymnasium
import numpy as np
import typer
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from rich.console import Console
from rich.table import Table

from benchmarks.measure import machine
from looplib.randomness import make_generator
from sim.environment import ENVIRONMENT, ListeningVectorEnv
from sim.listening.sessions import ListeningModel, make_model
from sim.worlds.files import load_world

Turn = Callable[[], float]
BASE = "Gymnasium's SyncVectorEnv of 64"
app = typer.Typer(add_completion=False)
console = Console()


@app.command()
def compare(
    world: Annotated[Path, typer.Option(help="Folder of the world.")] = Path("out/seed/world"),
    sizes: Annotated[list[int] | None, typer.Option("--size", help="Repeatable: sessions side by side.")] = None,
    repeats: Annotated[int, typer.Option(min=1)] = 7,
    steps: Annotated[int, typer.Option(min=1, help="Of all sessions together, in a turn.")] = 400_000,
) -> None:
    """Runs everything in turns and prints the table."""
    model = make_model(load_world(world))
    turns: dict[str, Turn] = {
        "one session": partial(_single, gymnasium.make(ENVIRONMENT, world=model), model, steps // 100),
        BASE: partial(_vector, SyncVectorEnv([lambda: gymnasium.make(ENVIRONMENT, world=model)] * 64), steps // 100),
    }
    for size in sizes or [64, 1024, 4096, 16384]:
        for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
            envs = ListeningVectorEnv(size, model, autoreset_mode=mode)
            turns[f"vector of {size:,}, {mode.value}"] = partial(_vector, envs, steps)
    rates: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(repeats):
        for name, turn in turns.items():
            rates[name].append(turn())
    _show(rates)


def _single(env: gymnasium.Env[Any, Any], model: ListeningModel, steps: int) -> float:
    actions = make_generator(1, "benchmark").integers(model.world.tracks, size=steps)
    env.reset(seed=1)
    began = time.perf_counter()
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    return steps / (time.perf_counter() - began)


def _vector(envs: gymnasium.vector.VectorEnv[Any, Any, Any], steps: int) -> float:
    rounds = max(1, steps // envs.num_envs)
    tracks = int(envs.action_space.nvec[0])  # type: ignore[attr-defined]  # a batch of Discrete is a MultiDiscrete
    actions = make_generator(1, "benchmark").integers(tracks, size=(rounds, envs.num_envs))
    envs.reset(seed=1)
    began = time.perf_counter()
    for row in actions:
        envs.step(row)
    return rounds * envs.num_envs / (time.perf_counter() - began)


def _show(rates: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in rates.items()}
    table = Table("", "steps/s", "best turn", "x SyncVectorEnv", title="Steps a second, random actions")
    for name, median in medians.items():
        table.add_row(name, f"{median:,.0f}", f"{max(rates[name]):,.0f}", f"{median / medians[BASE]:.1f}")
    console.print(table)
    console.print(machine("gymnasium", "numpy"))
    console.print(f"spread of turns: {np.median([max(v) / min(v) for v in rates.values()]):.2f} x")


if __name__ == "__main__":
    app()
