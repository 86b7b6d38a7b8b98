"""Listening sessions from the command line: `listening-loop simulate --config FILE`."""

import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from looplib.cli import Overrides, make_app, run
from looplib.config import load_config
from sim.collect import collect
from sim.config import SimulateConfig
from sim.errors import SimError
from sim.remote.run import run_remote

PROG = "listening-loop simulate"
SETTINGS = "\n".join(
    f"  --{key:17} {field.description}"
    for key, field in SimulateConfig.model_fields.items()
)
HELP = f"""Let a world's listeners listen to what a recommender plays.

Without --url, recommendations are drawn at random and an event log is written: a folder of JSON
lines, whole or not at all.

With --url, listeners ask the service there, which writes the log. What a listener does follows from
the seed and the number of the session, whatever the batches. A request without an answer is
sent again under its number.

\b
Settings, as --key value over the file and --set:
{SETTINGS}

\b
Examples:
  {PROG} --config configs/collect/demo.yaml --seed 2
  {PROG} --world out/demo/world --log out/log --episodes 1000 --seed 7
  {PROG} --url http://localhost:5001 --episodes 100000 --batch 500
"""

app = make_app(HELP)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)
def _main(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    overrides: Overrides = None,
) -> None:
    options = dict(_read_options(context.args))
    settings = load_config(SimulateConfig, config, overrides or [], options)
    if settings.url:
        run_remote(settings, typer.echo)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    collect(settings)
    typer.echo(f"{settings.log}: {settings.episodes:,} sessions")


def _read_options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield key and value of each `--key value` or `--key=value`."""
    rest = iter(words)
    for word in rest:
        key, separator, value = word.partition("=")
        if not key.startswith("--"):
            raise SimError(f"{word} found; --key value is expected (see {PROG} --help)")
        text = value if separator else next(rest, None)
        if text is None:
            raise SimError(f"{word}: a value is expected after it (see {PROG} --help)")
        yield key.removeprefix("--"), text


if __name__ == "__main__":
    sys.exit(run(app, PROG))
