"""`listening-loop replay PLAYS`: send plays through services of an export, or a running service."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from analysis.page.index import renew_index
from analysis.plays.draft import parse_columns
from analysis.plays.query import PlaysQuery
from botify.model.catalogue import load_catalogue
from botify.model.manifest import read_manifest
from botify.model.model import LISTS
from botify.recommenders.registry import (
    ARTISTS,
    check_name,
    find_recommenders,
    needs_artists,
)
from botify.settings import load_settings
from listening_loop.errors import LoopError
from listening_loop.processes import LISTS as PUBLISHED
from listening_loop.processes import (
    command,
    free_port,
    locked_folder,
    run_step,
    serving,
)
from listening_loop.replay.adapter import load_adapter
from listening_loop.replay.plays import select_plays
from listening_loop.replay.report import write_report
from listening_loop.replay.traffic import PREDICTION, find_unanswered, send_plays
from looplib.cli import Overrides, make_app
from looplib.files import json_digest, sha256_file
from looplib.progress import say
from looplib.rerank import ARTIST
from recsys.export.version import TRACKS
from recsys.ingest.__main__ import Columns, Preset, Sql
from recsys.ingest.presets import EVENT_LOG, make_query, preset_query
from recsys.run import CONFIG, read_run
from recsys.storage import open_workspace
from recsys.store.reader import open_store

PROG = "listening-loop replay"
app = make_app(
    "Send real plays through a service, and see which recommender predicts the next ones."
)
After = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        help="Share of plays that a service may have learned from, without an export: the oldest "
        "of all, or each listener's if there are no times.",
    ),
]
# settings of the service that decide its answers
_DECIDING = {"fallback", "repeat_after", "exclude"}
_UNITS_MS = {"h": 3_600_000, "d": 86_400_000}


@app.command(
    epilog=f"Example: {PROG} plays.sql --published out/plays/older --recommender in_order "
    "--recommender live --set repeat_after=1"
)
def main(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="PLAYS",
            help="plays.sql, event logs or other files; plays newer than the export are replayed.",
        ),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(help="Folder of an export that has not learned from these."),
    ] = None,
    recommender: Annotated[
        list[str] | None,
        typer.Option(
            help="Recommender of the export that answers each play; repeatable."
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of a running service to ask instead.")
    ] = None,
    adapter: Annotated[
        str, typer.Option(help="How it is asked: a name, or a .yaml or .py file.")
    ] = "listening-loop",
    after: After = 0.8,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for answers, log and report; by default replay/."),
    ] = None,
    columns: Columns = None,
    preset: Preset = None,
    sql: Sql = None,
    connections: Annotated[
        int, typer.Option(min=1, max=10_000, help="Requests at a time.")
    ] = 16,
    refit_every: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="Search again after each 12h or 7d that were replayed."
        ),
    ] = None,
    run_folder: Annotated[
        Path | None,
        typer.Option("--run", help="Of the search that --refit-every repeats."),
    ] = None,
    set_: Overrides = None,
) -> None:
    """Replay plays; the same command continues an interrupted replay."""
    query = read_query(file, columns, preset, sql)
    asked = load_adapter(adapter)
    overrides = set_ or []
    export = published or Path()
    version = (export / PUBLISHED).parent.resolve() if published else None
    refit_every_ms = parse_span(refit_every) if refit_every else None
    protocol: dict[str, Any]
    if url and not recommender and not refit_every:
        is_file = Path(adapter).is_file()
        protocol = {"adapter": sha256_file(Path(adapter)) if is_file else adapter}
        protocol |= {"repeat_after": 1, "url": url}
        names = [Path(adapter).stem]
    elif version and recommender and not url:
        settings = load_settings(None, os.environ, overrides, published)
        protocol = settings.model_dump(mode="json", include=_DECIDING)
        if refit_every:
            protocol |= check_run(run_folder, version)
        names = served_by(recommender, version)
    else:
        raise LoopError(
            "no service to replay through; name --published EXPORT with --recommender NAME, "
            "or --url, without --refit-every"
        )
    folder = out or export / "replay"
    with locked_folder(folder):
        plays = select_plays(query, version, refit_every_ms, protocol, folder, after)
        # answers to other plays, or of another version, are others
        digest = json_digest([plays.protocol, PREDICTION])[:12]
        answered = folder / "answers" / digest
        answered.mkdir(parents=True, exist_ok=True)
        files = {name: answered / f"{name}.jsonl" for name in names}
        for name, lines in files.items():
            lines.touch()
            for refits, moment in enumerate([None, *plays.protocol["refits"]]):
                sessions = find_unanswered(plays, refits, lines)
                if not sessions:
                    say(f"{name}: answers are there; another --out asks again")
                    continue
                newest = export
                if moment and run_folder:
                    refit = answered / f"refit-{refits}"
                    newest = search_again(run_folder, moment, refit)
                service: AbstractContextManager[str] = nullcontext(url or "")
                if not url:
                    service = serving_export(name, newest, overrides, folder)
                with service as address:
                    send_plays(plays, sessions, address, asked, lines, connections)
        write_report(plays, files, folder)
    typer.echo(f"report  {folder / 'report.html'}")
    typer.echo(f"all     {renew_index(folder)}")


def read_query(
    file: Path | None, columns: str | None, preset: str | None, sql: str | None
) -> PlaysQuery:
    """Read the query of plays from a command's options; a file alone is an event log."""
    paths = [file] if file else []
    roles = parse_columns(columns) if columns else None
    return make_query(paths, roles, preset, sql) or preset_query(EVENT_LOG, paths)


def parse_span(text: str) -> int:
    """Parse a span of time such as 12h or 7d, in ms.

    >>> parse_span("12h")
    43200000

    Raises:
        LoopError: It is none.
    """
    match = re.fullmatch(r"(\d{1,5})([hd])", text)
    if not match or not int(match[1]):
        raise LoopError(f"--refit-every {text}: expected a span such as 12h or 7d")
    return int(match[1]) * _UNITS_MS[match[2]]


def check_run(folder: Path | None, version: Path) -> dict[str, Any]:
    """Check that a search can be repeated on plays that a version has left out.

    Returns:
        The digest of its configuration, which decides the outcome.

    Raises:
        LoopError: The run is missing, or the version has not left out plays of its store.
        UserError: The run is not finished, or its store cannot be read.
    """
    if not folder:
        raise LoopError("--refit-every needs --run, the search that it repeats")
    config, _ = read_run(open_workspace(folder))
    data = read_manifest(version).data
    is_store = data.get("store") == open_store(config.store).manifest.digest
    if data.get("learned_from") != "training" or not is_store:
        raise LoopError(
            f"--run {folder}: {version} leaves out no plays of its store, {config.store}; export "
            f"it so: listening-loop export --run {folder} --out OLDER "
            "--set export.learn_from=training"
        )
    return {"run": json_digest(config.model_dump(mode="json"))[:12]}


def search_again(run: Path, until: str, folder: Path) -> Path:
    """Repeat a search on all plays up to a moment, and export its winner, unless that is done.

    Returns:
        The folder of the export.
    """
    published = folder / "export"
    config, _ = read_run(open_workspace(run))
    sets = {
        "store": config.store,  # found from here, wherever the search ran
        "catalogue": config.catalogue or "null",
        "split.until": until,
        "export.learn_from": "all",
        "export.publish_anyway": "true",
        # a refit without its ranker would be answered by fallbacks
        "export.live": "anyway" if config.export.live else "false",
    }
    words = [f"--set={key}={value}" for key, value in sets.items()]
    search = command("search", *words, config=run / CONFIG, run=folder, out=published)
    run_step(f"Refit on all until {until}", search, published / PUBLISHED)
    return published


def served_by(names: Iterable[str], version: Path) -> list[str]:
    """Select the recommenders whose files a version has, and say which are left out.

    An export leaves a file out if there were too few plays to learn it from.

    Raises:
        LoopError: A name is unknown, or nothing is left.
    """
    files = {LISTS.file, *read_manifest(version).files}
    served = []
    warnings = []
    for name in dict.fromkeys(names):
        try:
            recommenders = find_recommenders(check_name(name))
        except ValueError as error:
            raise LoopError(f"--recommender {error}") from None
        read = [artifact for part in recommenders for artifact in part.reads]
        missing = [part.name for part in read if part.file not in files]
        if needs_artists(name) and not load_catalogue(version / TRACKS).has(ARTIST):
            missing.append(ARTISTS)
        if missing:
            lacks = f"which {version} lacks; it has {', '.join(sorted(files))}"
            warnings.append(f"--recommender {name} reads {', '.join(missing)}, {lacks}")
        else:
            served.append(name)
    if not served:
        raise LoopError(warnings[0])
    for warning in warnings:
        say(f"left out: {warning}")
    return served


@contextmanager
def serving_export(
    name: str, export: Path, overrides: list[str], folder: Path
) -> Iterator[str]:
    """Serve a recommender of an export, with sessions and a log of its own.

    Sessions are in the service's process: a Redis that is late would lose them.

    Yields:
        The service's address.
    """
    arms = [{"name": "C", "recommender": name}]
    experiments = orjson.dumps([{"name": "REPLAY", "arms": arms}]).decode()
    sets = [
        *overrides,
        f"recommendations={(export / PUBLISHED).resolve()}",
        f"experiments={experiments}",
        f"log_dir={folder / 'log' / name}",
        "redis_url=null",
        "processes=1",
        "seed=0",
        "host=127.0.0.1",
    ]
    words = [f"--set={text}" for text in sets]
    port = free_port()
    with serving(command("serve", *words, published=export, port=port), port):
        yield f"http://127.0.0.1:{port}"
