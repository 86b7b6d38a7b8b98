"""Collection of the full-size log with one and two processes.

python -m benchmarks.data && python -m benchmarks.collect
"""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.harness import Measured, measure, python, show_commands, show_machine, take_turns
from looplib.config import load_config
from sim.collect.collection import CollectConfig


def main(
    config: Annotated[Path, typer.Option(help="What to collect.")] = Path("configs/collect/seed.yaml"),
    repeats: Annotated[int, typer.Option(min=1)] = 3,
    log: Annotated[Path, typer.Option(help="Where the logs go; removed afterwards.")] = Path("out/benchmark/log"),
) -> None:
    """Collect with each number of processes in turn."""
    kinds: dict[str, Callable[[], Measured]] = {
        f"{processes} process(es)": partial(_collect, config, log, processes) for processes in (1, 2)
    }
    sessions = load_config(CollectConfig, config).episodes
    show_commands(f"{sessions:,} sessions", take_turns(kinds, repeats), "1 process(es)", sessions)
    show_machine("numpy", "orjson")


def _collect(config: Path, log: Path, processes: int) -> Measured:
    shutil.rmtree(log, ignore_errors=True)
    measured = measure(python("-m", "sim.run", "--config", config, "--log", log, "--processes", processes))
    shutil.rmtree(log)
    return measured


if __name__ == "__main__":
    typer.run(main)
