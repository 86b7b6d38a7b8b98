"""The command `listening-loop`: every step of the loop under one name.

A step's module is imported when it is asked for: `--help` and a mistyped word answer at once.
"""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version

from looplib.cli import EXIT_USER_ERROR, importing, run
from looplib.platform import check_names

PROG = "listening-loop"
# The module whose `app` runs a step, and its line in `--help`.
STEPS = {
    "demo": (
        "listening_loop.loop",
        "Run the whole loop on a simulated world, in half a minute.",
    ),
    "init": (
        "listening_loop.init.command",
        "Look at a file of yours and write what leads to a verdict.",
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
    "replay": (
        "listening_loop.replay.command",
        "Send real plays through the service: which recommender predicts the next ones?",
    ),
    "bench": (
        "listening_loop.bench.command",
        "Train and replay recommenders of anybody: which one is best on your plays?",
    ),
    "serve": (
        "botify.__main__",
        "Run the service that recommends, assigns arms and logs.",
    ),
    "ab": (
        "analysis.ab.__main__",
        "Report on an experiment: which arm won, and whether to trust it.",
    ),
    "sql": (
        "listening_loop.sql",
        "Ask stores, searches, lists and reports in SQL.",
    ),
    "power": ("analysis.power", "Plan how many listeners an experiment needs."),
    "doctor": (
        "listening_loop.doctor",
        "Print versions and the machine, in a form to paste.",
    ),
    "erase": (
        "listening_loop.erase",
        "Remove a listener from event logs and a service.",
    ),
    "world": ("sim.world", "Invent listeners and the tracks of a catalogue."),
    "simulate": (
        "sim.run",
        "Let invented listeners listen, to random tracks or to a service.",
    ),
}


HELP = f"""Usage: {PROG} COMMAND …

Train a music recommender, serve it in an experiment, and learn whether it won.

COMMAND --help shows the options of a command, --version the version.
Example: {PROG} ingest out/demo/log --store out/store

Commands:
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a step of the loop.

    Returns:
        The exit code, 2 for an error that the user can fix.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    first = words[0] if words else "--help"
    if first in STEPS:
        with importing():
            check_names()
            module = import_module(STEPS[first][0])
        return run(module.app, module.PROG, words[1:])
    if first in ("--help", "-h"):
        rows = [f"  {name:<9} {text}\n" for name, (_, text) in STEPS.items()]
        sys.stdout.write(HELP + "".join(rows))
        return 0
    if first == "--version":
        sys.stdout.write(f"{PROG} {version(PROG)}\n")
        return 0
    nearest = get_close_matches(first, STEPS, n=1, cutoff=0)[0]
    problem = f"no command {first}; the nearest is {nearest}"
    sys.stderr.write(f"{PROG}: error: {problem} (see {PROG} --help)\n")
    return EXIT_USER_ERROR


if __name__ == "__main__":
    raise SystemExit(main())
