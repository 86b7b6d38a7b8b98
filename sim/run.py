"""Listening sessions from the command line: `listening-loop simulate --config FILE`."""

import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from looplib.cli import Overrides, make_app, run
from looplib.config import Config, parse_config, read_document
from sim.collect import CollectConfig, collect
from sim.errors import SimError
from sim.remote.config import RemoteConfig
from sim.remote.run import run_remote

PROG = "listening-loop simulate"
KINDS: dict[str, type[Config]] = {"random": CollectConfig, "remote": RemoteConfig}


def _settings_text() -> str:
    """Describe each setting in a line, with the recommender that takes it if not both do."""
    fields = RemoteConfig.model_fields | CollectConfig.model_fields
    lines = []
    for key, field in fields.items():
        takers = [kind for kind, config in KINDS.items() if key in config.model_fields]
        only = f" ({takers[0]})" if len(takers) == 1 else ""
        lines.append(f"  --{key:17} {field.description}{only}")
    return "\n".join(lines)


HELP = f"""Let a world's listeners listen to what a recommender plays.

With random, recommendations are drawn here and an event log is written: a folder of JSON lines. A
run into a folder that an earlier one left unfinished writes what is missing.

With remote, listeners ask the service at --url, which writes the log. What a listener does follows
from the seed and the number of the session, whatever the concurrency. A request without an answer
is sent again under its number.

\b
Settings, as --key value over the file and --set:
{_settings_text()}

\b
Examples:
  {PROG} --config configs/collect/demo.yaml --seed 2
  {PROG} --world out/demo/world --log out/log --episodes 1000 --seed 7
  {PROG} --recommender remote --episodes 100000 --batch 500
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
    document = read_document(config, overrides or [], options)
    source = str(config or "the configuration")
    kind = str(document.get("recommender", "random"))
    if kind not in KINDS:
        raise SimError(f"{source}: recommender: {kind} found; random or remote is due")
    if kind == "remote":
        run_remote(parse_config(RemoteConfig, document, source), typer.echo)
        return
    collection = parse_config(CollectConfig, document, source)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    collect(collection)
    typer.echo(
        f"{collection.log}: {collection.episodes:,} sessions "
        f"in {collection.segments} segments"
    )


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
