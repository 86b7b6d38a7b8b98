"""Run the closed loop day after day: listen, learn, publish, serve, experiment, report.

In: a configuration that names the other parts' configurations. Out: a folder with everything.
Each step is a command that can be run by itself; it is printed before it runs, and skipped if its
output is there. The parts meet in files and over HTTP only::

    world/, log/           the listeners, and their events under random recommendations
    store/                 the session store, of all logs so far
    published/             versions for the service; `current` is the newest
    days/1/run/            the search
    days/1/log/            the log of the service, once it is complete
    days/1/report/         the A/B report
"""

import os
import shutil
from pathlib import Path
from typing import Annotated

import orjson
import typer

from analysis.page.index import renew_index
from botify.settings import load_settings
from listening_loop.errors import LoopError
from listening_loop.processes import (
    LISTS,
    command,
    compiling_meanwhile,
    free_port,
    locked_folder,
    run_step,
    serve,
    serving,
    shell_text,
)
from looplib.cli import Overrides, make_app
from looplib.config import Config, Count, dump_config, load_config
from looplib.files import atomic_write_text, fsync

PROG = "listening-loop demo"
SEED = 1337  # each day adds its number
BATCH = 500  # sessions in a request
# the listeners of a day come within minutes, so the report neither waits nor confirms
SETTINGS = ("--set=is_simulated=true", "--set=min_days=1", "--set=confirm=false")
app = make_app(
    "Run the whole loop on a simulated world; an interrupted loop continues where it was."
)


class LoopConfig(Config):
    """A loop: the configurations of its parts, and the folder that takes everything."""

    folder: Path  # takes all that the loop makes
    world: Path  # configuration of the world
    collect: Path  # configuration of the first collection
    search: Path  # configuration of the search
    service: Path  # configuration of the service
    episodes: Count = 20_000  # sessions a day


@app.command(epilog=f"Example: {PROG} --days 3")
def main(
    days: Annotated[
        int,
        typer.Option(min=1, help="How many; each learns from the logs of all before."),
    ] = 1,
    full: Annotated[
        bool, typer.Option("--full", help="Five arms in a larger world: minutes.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(help="Where everything goes; out/first, or out/demo with --full."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML of another loop, in place of the demo's.")
    ] = None,
    set_: Overrides = None,
) -> None:
    """Run the loop; an interrupted loop continues at its first unfinished step."""
    installed = Path(__file__).parent / "configs"
    configs = installed if installed.exists() else installed.parents[1] / "configs"
    shipped = configs / ("loop/demo.yaml" if full else "first/loop.yaml")
    options = {"folder": folder}
    settings = load_config(LoopConfig, config or shipped, set_ or (), options)
    if config is None:
        parts = ("world", "collect", "search", "service")
        paths = {part: configs.parent / getattr(settings, part) for part in parts}
        settings = settings.model_copy(update=paths)
    run_loop(settings, days)


def run_loop(config: LoopConfig, days: int) -> None:
    """Run some days of a loop that are not done yet, and print the verdict of the last day."""
    folder = config.folder
    with locked_folder(folder):
        keep_config(config)
        published = folder / "published"
        service = load_settings(config.service, os.environ, published=published)
        with compiling_meanwhile():
            begin(config)
            for number in range(1, days + 1):
                day = folder / "days" / str(number)
                run_day(config, number, day, service.deciding.name)
    content = (day / "report" / "report.json").read_bytes()
    words = orjson.loads(content)["words"]
    typer.echo(f"\n{words['headline']}. {words['reason']}")
    typer.echo(
        "Simulated listeners: this shows that the pipeline works, not "
        "how people would react.\n"
    )
    typer.echo(f"experiment  {day}/report/report.html")
    typer.echo(f"search      {day}/run/report.html")
    typer.echo(f"lists       {folder / 'published' / LISTS}")
    serve_it = serve(config.service, folder, folder / "service", port=5001)
    typer.echo(f"serve it    {shell_text(serve_it)}")
    typer.echo(f"all pages   {renew_index(folder)}")
    typer.echo(f"your plays  {shell_text(command('init', 'plays.csv'))}")


def keep_config(config: LoopConfig) -> None:
    """Write the configuration of a new loop; refuse to go on with another."""
    file = config.folder / "loop.yaml"
    if file.exists():
        before = load_config(LoopConfig, file)
        keys = sorted(LoopConfig.model_fields)
        changed = [key for key in keys if getattr(config, key) != getattr(before, key)]
        if changed:
            began = f"this loop began with another {', '.join(changed)}"
            raise LoopError(f"{file}: {began}; name another folder")
    atomic_write_text(file, dump_config(config))


def begin(config: LoopConfig) -> None:
    """Make the world, and the first collection under random recommendations."""
    world, log = config.folder / "world", config.folder / "log"
    invent = command("world", config=config.world, out=world)
    run_step("A world of listeners", invent)
    collect = command("simulate", config=config.collect, world=world, log=log)
    run_step("Listening under random recommendations", collect)


def run_day(config: LoopConfig, number: int, day: Path, experiment: str) -> None:
    """Learn from all logs so far, publish, serve the experiment's traffic, report.

    An interrupted day continues with its first unfinished step; interrupted traffic starts over.
    """
    folder, log = config.folder, day / "log"
    store, report = folder / "store", day / "report"

    days = [day.with_name(str(before)) for before in range(1, number)]
    logs = [before / "log" for before in (folder, *days)]
    ingest = command("ingest", *logs, store=store)
    run_step("Logs to sessions", ingest, done=log)

    search = command(
        "search",
        f"--set=catalogue={folder / 'world' / 'tracks.json'}",
        config=config.search,
        store=store,
        run=day / "run",
        out=folder / "published",
    )
    run_step("The search", search, done=log)

    if not log.exists():
        serve_listeners(config, number, day)

    compare = command("ab", log, *SETTINGS, experiment=experiment, out=report)
    run_step("The A/B report", compare, done=report / "report.json")


def serve_listeners(config: LoopConfig, number: int, day: Path) -> None:
    """Serve a day's listeners, all of whose sessions are heard to their ends."""
    port, log = free_port(), day / "log-unfinished"
    listeners = command(
        "simulate",
        world=config.folder / "world",
        url=f"http://127.0.0.1:{port}",
        episodes=config.episodes,
        seed=SEED + number,
        batch=BATCH,
    )
    if log.exists():
        shutil.rmtree(log)
    with serving(serve(config.service, config.folder, log, port), port):
        run_step(f"Day {number}: listeners", listeners)
    log.replace(day / "log")  # it is complete
    fsync(day)
