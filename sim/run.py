"""Collects an event log in this process: `python -m sim.run --config configs/collect/demo.yaml`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from common.cli import make_app, run
from common.config import load_config
from sim.collection import CollectConfig, collect
from sim.recommenders import RECOMMENDERS
from sim.workers import termination_as_interrupt

PROG = "python -m sim.run"
HELP = f"""Lets a world's listeners listen, and writes the event log of it.

The log is a folder of JSON lines, the same bytes for any number of processes. A run into a folder that an earlier one
left unfinished writes what is missing.

\b
Examples:
  {PROG} --config configs/collect/demo.yaml --processes 2
  {PROG} --world out/demo/world --log out/log --episodes 1000 --seed 7
"""

app = make_app(HELP)


@app.command(help=HELP)
def _main(
    config: Annotated[Path | None, typer.Option(help="YAML file that may give all of it.")] = None,
    world: Annotated[Path | None, typer.Option(help="Folder of the world.")] = None,
    log: Annotated[Path | None, typer.Option(help="Folder of the log.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Sessions to collect.")] = None,
    recommender: Annotated[str | None, typer.Option(help=f"Who recommends: {', '.join(sorted(RECOMMENDERS))}.")] = None,
    seed: Annotated[int | None, typer.Option(help="What all randomness follows from.")] = None,
    processes: Annotated[int | None, typer.Option(help="How many processes work.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
) -> None:
    flags = {
        "world": world,
        "log": log,
        "episodes": episodes,
        "recommender": recommender,
        "seed": seed,
        "processes": processes,
    }
    settings = load_config(CollectConfig, config, [*(overrides or []), *_as_overrides(flags)])
    with termination_as_interrupt():
        done = collect(settings)
    earlier = f" ({done.found} of them there already)" if done.found else ""
    typer.echo(
        f"{settings.log}: {settings.episodes:,} sessions in {done.segments} segments{earlier}, {done.seconds:.1f} s"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return run(app, PROG, argv)


def _as_overrides(flags: dict[str, Path | int | str | None]) -> list[str]:
    """Flags that were given, as `key=value` with the value in YAML, of which JSON is a part."""
    return [
        f"{key}={json.dumps(str(value) if isinstance(value, Path) else value)}"
        for key, value in flags.items()
        if value is not None
    ]


if __name__ == "__main__":
    sys.exit(main())
