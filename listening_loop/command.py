"""The command `listening-loop`: every step of the loop under one name.

A step's module is imported when it is asked for, so that `--version` and a mistyped word answer at once.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version

import typer

from looplib.cli import EXIT_USER_ERROR, run

PROG = "listening-loop"
_COMPLETION = ("--install-completion", "--show-completion")


@dataclass(frozen=True)
class Step:
    """A subcommand: the module whose `app` runs it, and what `--help` says of it."""

    module: str
    help: str


STEPS = {
    "demo": Step("listening_loop.demo", "The whole loop on a small simulated world, in about a minute."),
    "init": Step("listening_loop.init", "Look at a file of yours and write a commented configuration for it."),
    "ingest": Step("recsys.ingest.__main__", "Add logs, or files of your own, to a session store."),
    "search": Step("recsys.search.__main__", "Search for the best model of a store, and publish its recommendations."),
    "export": Step("recsys.export.__main__", "Publish the winner of a search."),
    "serve": Step("botify.__main__", "Run the service that recommends, assigns arms and logs."),
    "ab": Step("analysis.ab.__main__", "Report on an experiment: which arm won, and whether to trust it."),
    "power": Step("analysis.power", "How many listeners an experiment needs."),
    "lab": Step("recsys.lab.__main__", "Runs, reports and the live experiment as pages."),
    "verify": Step("recsys.verify", "Check stores, runs, exports and logs for damage."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a step of the loop.

    Returns:
        The exit code, 2 where the user can fix what went wrong.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if os.environ.get(f"_{PROG.replace('-', '_').upper()}_COMPLETE") or words[:1] and words[0] in _COMPLETION:
        _whole_app()(args=words, prog_name=PROG)
        return 0
    if not words or words[0] in ("--help", "-h"):
        typer.echo(_help())
        return 0
    if words[0] == "--version":
        typer.echo(f"{PROG} {version(PROG)}")
        return 0
    step = STEPS.get(words[0])
    if step is None:
        nearest = get_close_matches(words[0], STEPS, n=1, cutoff=0)[0]
        typer.echo(f"{PROG}: error: no command {words[0]}; the nearest is {nearest} (see {PROG} --help)", err=True)
        return EXIT_USER_ERROR
    return run(import_module(step.module).app, f"{PROG} {words[0]}", words[1:])


def _help() -> str:
    lines = [f"  {name:<8} {step.help}" for name, step in STEPS.items()]
    options = "  --version, --help, --install-completion"
    example = f"Example: {PROG} ingest plays.csv --store out/store --columns user=uid,item=song,weight=seconds"
    return "\n".join([f"Usage: {PROG} COMMAND …", "", *lines, "", options, "", example])


def _whole_app() -> typer.Typer:
    """Return all steps as one application, from which the shell's completion is made."""
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    for name, step in STEPS.items():
        of_step = import_module(step.module).app.registered_commands[0].callback
        app.command(name, help=step.help)(of_step)
    return app


if __name__ == "__main__":
    raise SystemExit(main())
