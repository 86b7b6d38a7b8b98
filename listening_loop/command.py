"""The command `listening-loop`: every step of the loop under one name.

A step's module is imported when it is asked for, so that `--version` and a mistyped word answer at
once.
"""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version

import typer

from looplib.cli import EXIT_USER_ERROR, importing, run

PROG = "listening-loop"
_OF_ALL_STEPS = ("--help", "--install-completion", "--show-completion")
_COMPLETING = "_LISTENING_LOOP_COMPLETE"  # set by the shell's completion
_TYPED = "_TYPER_COMPLETE_ARGS"  # what has been typed so far


# The module whose `app` runs a step, and what `--help` says of it.
STEPS = {
    "demo": (
        "listening_loop.demo",
        "Run the whole loop on a small simulated world, in about a minute.",
    ),
    "init": (
        "listening_loop.init",
        "Look at a file of yours and write a configuration for it.",
    ),
    "ingest": (
        "recsys.ingest.__main__",
        "Add logs, or files of your own, to a session store.",
    ),
    "search": (
        "recsys.search.__main__",
        "Search for the best model, and publish its lists.",
    ),
    "export": ("recsys.export.__main__", "Publish the winner of a search."),
    "serve": (
        "botify.__main__",
        "Run the service that recommends, assigns arms and logs.",
    ),
    "ab": (
        "analysis.ab.__main__",
        "Report on an experiment: which arm won, and whether to trust it.",
    ),
    "power": ("analysis.power", "Plan how many listeners an experiment needs."),
    "verify": (
        "listening_loop.verify",
        "Compare stores, runs, exports and logs with their checksums.",
    ),
    "lab": (
        "recsys.lab.__main__",
        "Show runs, reports and the live experiment in the browser.",
    ),
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
        with importing():
            module = import_module(STEPS[first][0])
        return run(module.app, f"{PROG} {first}", words[1:], known_as=module.PROG)
    else:
        nearest = get_close_matches(first, STEPS, n=1, cutoff=0)[0]
        typer.echo(
            f"{PROG}: error: no command {first}; the nearest is {nearest} (see {PROG} --help)",
            err=True,
        )
        return EXIT_USER_ERROR
    return 0


def _all_steps(typed: Sequence[str]) -> typer.Typer:
    """Return all steps as one application for help and completion; only a step that is typed has its options."""
    more = "COMMAND --help shows the options of a command, --version the version."
    example = f"Example: {PROG} ingest out/demo/log --store out/store"
    about = "Train a music recommender, serve it in an experiment, and learn whether it won."
    app = typer.Typer(
        help=about,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        epilog=f"{more}\n\n{example}",
    )
    for name, (module, text) in STEPS.items():
        if name in typed:
            (command,) = import_module(module).app.registered_commands
            app.command(name, help=text)(command.callback)
        else:
            app.command(name, help=text)(lambda: None)
    return app


if __name__ == "__main__":
    raise SystemExit(main())
