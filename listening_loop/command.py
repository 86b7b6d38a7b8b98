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

from looplib import start
from looplib.cli import run

PROG = "listening-loop"
_OF_ALL_STEPS = ("--help", "--install-completion", "--show-completion")
_COMPLETING = "_LISTENING_LOOP_COMPLETE"  # set by the shell's completion
_TYPED = "_TYPER_COMPLETE_ARGS"  # what has been typed so far


@dataclass(frozen=True)
class Step:
    """A subcommand: the module whose `app` runs it, and what `--help` says of it."""

    module: str
    help: str


STEPS = {
    "demo": Step("listening_loop.demo", "The whole loop on a small simulated world, in about a minute."),
    "init": Step("listening_loop.init", "Look at a file of yours and write a configuration for it."),
    "ingest": Step("recsys.ingest.__main__", "Add logs, or files of your own, to a session store."),
    "search": Step("recsys.search.__main__", "Search for the best model, and publish its lists."),
    "export": Step("recsys.export.__main__", "Publish the winner of a search."),
    "serve": Step("botify.__main__", "Run the service that recommends, assigns arms and logs."),
    "ab": Step("analysis.ab.__main__", "Report on an experiment: which arm won, and whether to trust it."),
    "power": Step("analysis.power", "How many listeners an experiment needs."),
    "verify": Step("listening_loop.verify", "Compare stores, runs, exports and logs with their checksums."),
    "lab": Step("recsys.lab.__main__", "Runs, reports and the live experiment as pages."),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a step of the loop.

    Returns:
        The exit code, 2 where the user can fix what went wrong.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    first = "--help" if words[:1] in ([], ["-h"]) else words[0]
    if os.environ.get(_COMPLETING) or first in _OF_ALL_STEPS:
        app = typer.main.get_command(_all_steps(os.environ.get(_TYPED, "").split()))
        app.main(args=[first, *words[1:]], prog_name=PROG, standalone_mode=False)
    elif first == "--version":
        typer.echo(f"{PROG} {version(PROG)}")
    elif first in STEPS:
        module = import_module(STEPS[first].module)
        return run(module.app, f"{PROG} {first}", words[1:], known_as=module.PROG)
    else:
        nearest = get_close_matches(first, STEPS, n=1, cutoff=0)[0]
        typer.echo(f"{PROG}: error: no command {first}; the nearest is {nearest} (see {PROG} --help)", err=True)
        return start.EXIT_USER_ERROR
    return 0


def _all_steps(typed: Sequence[str]) -> typer.Typer:
    """Return all steps as one application for help and completion; only a step that is typed has its options."""
    example = f"Example: {PROG} ingest out/demo/log --store out/store"
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, epilog=example)
    for name, step in STEPS.items():
        if name in typed:
            (command,) = import_module(step.module).app.registered_commands
            app.command(name, help=step.help)(command.callback)
        else:
            app.command(name, help=step.help)(lambda: None)
    return app


if __name__ == "__main__":
    raise SystemExit(main())
