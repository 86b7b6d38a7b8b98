"""Lets listeners listen: `python -m sim.run --config configs/collect/demo.yaml`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ConfigDict
from rich.console import Console

from looplib.cli import make_app, run
from looplib.config import Config, load_config
from sim.collect.collection import CollectConfig, collect
from sim.console import ConsoleConfig, Terminal, play_console
from sim.errors import SimError
from sim.recommenders import RECOMMENDERS
from sim.remote.config import RemoteConfig
from sim.remote.runs import run_remote
from sim.workers import termination_as_interrupt

PROG = "python -m sim.run"
REMOTE, CONSOLE = "remote", "console"
KINDS = (*sorted(RECOMMENDERS), REMOTE, CONSOLE)
HELP = f"""Lets a world's listeners listen to what a recommender plays.

A recommender of this program (random) writes an event log: a folder of JSON lines, the same bytes for any number of
processes. A run into a folder that an earlier one left unfinished writes what is missing.

With remote, listeners ask the service at --url, which writes the log. What a listener does follows from the seed and
the number of the session, whatever the concurrency. A request whose answer was lost is not sent again: that session is
ended and counted as failed. Ctrl-C ends the open sessions.

With console, you recommend.

\b
Examples:
  {PROG} --config configs/collect/demo.yaml --processes 2
  {PROG} --world out/demo/world --log out/log --episodes 1000 --seed 7
  {PROG} --episodes 2000 --recommender remote --seed 1337
  {PROG} --recommender remote --episodes 100000 --batch 500 --processes 2 --summary out/summary.json
  {PROG} --recommender console --episodes 3
"""

app = make_app(HELP)


class _Kind(Config):
    """What decides which of the configurations it is; the other keys are that one's to check."""

    model_config = ConfigDict(extra="ignore")
    recommender: str = "random"


@app.command(help=HELP)
def _main(
    config: Annotated[Path | None, typer.Option(help="YAML file that may give all of it.")] = None,
    world: Annotated[Path | None, typer.Option(help="Folder of the world.")] = None,
    episodes: Annotated[int | None, typer.Option(help="Sessions; with --days, of each day.")] = None,
    recommender: Annotated[str | None, typer.Option(help=f"Who recommends: {', '.join(KINDS)}.")] = None,
    seed: Annotated[int | None, typer.Option(help="What all randomness follows from.")] = None,
    processes: Annotated[int | None, typer.Option(help="How many processes work.")] = None,
    log: Annotated[Path | None, typer.Option(help="Folder of the log (not with remote).")] = None,
    url: Annotated[str | None, typer.Option(help="The service (remote).")] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests at a time, of each process (remote): 64, with --batch 4.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Sessions in a request (remote); 0: one, as ever.")] = None,
    days: Annotated[int | None, typer.Option(help="Days, one after the other (remote).")] = None,
    summary: Annotated[Path | None, typer.Option(help="File for the figures in JSON (remote).")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the next day begins.")] = False,
) -> int:
    flags = {
        "world": world,
        "episodes": episodes,
        "recommender": recommender,
        "seed": seed,
        "processes": processes,
        "log": log,
        "url": url,
        "concurrency": concurrency,
        "batch": batch,
        "days": days,
        "summary": summary,
    }
    settings = [*(overrides or []), *_as_overrides(flags)]
    kind = load_config(_Kind, config, settings).recommender
    if kind == REMOTE:
        return run_remote(load_config(RemoteConfig, config, settings), _never_asks if yes else _ask_for_day, Console())
    if kind == CONSOLE:
        play_console(load_config(ConsoleConfig, config, settings), Terminal(input, typer.echo))
        return 0
    if kind not in RECOMMENDERS:
        raise SimError(f"recommender: {kind} is unknown; allowed: {', '.join(KINDS)}")
    _collect(load_config(CollectConfig, config, settings))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    return run(app, PROG, argv)


def _collect(settings: CollectConfig) -> None:
    with termination_as_interrupt():
        done = collect(settings)
    earlier = f" ({done.found} of them there already)" if done.found else ""
    typer.echo(
        f"{settings.log}: {settings.episodes:,} sessions in {done.segments} segments{earlier}, {done.seconds:.1f} s"
    )


def _never_asks(day: int) -> bool:
    del day
    return True


def _ask_for_day(day: int) -> bool:
    """Waits for Enter before a day; q, or nobody there, ends the run."""
    try:
        return input(f"Enter begins day {day}, q ends here: ").strip().casefold() != "q"
    except EOFError:
        return False


def _as_overrides(flags: dict[str, Path | int | str | None]) -> list[str]:
    """Flags that were given, as `key=value` with the value in YAML, of which JSON is a part."""
    return [
        f"{key}={json.dumps(str(value) if isinstance(value, Path) else value)}"
        for key, value in flags.items()
        if value is not None
    ]


if __name__ == "__main__":
    sys.exit(main())
