"""`listening-loop replay PLAYS --published EXPORT`: send plays through a service of the export."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import orjson
import typer

from analysis.tables.columns import parse_roles
from analysis.tables.databases import copied_query
from botify.model.manifest import read_manifest
from botify.model.model import LISTS
from botify.recommenders.registry import check_name, find_recommenders
from botify.settings import load_settings
from listening_loop.errors import LoopError
from listening_loop.processes import LISTS as PUBLISHED
from listening_loop.processes import command, free_port, locked_folder, serving
from listening_loop.replay.plays import read_plays
from listening_loop.replay.report import write_report
from listening_loop.replay.traffic import read_lines, send_plays
from looplib.cli import Overrides, make_app
from looplib.config import load_config
from looplib.files import json_digest
from looplib.progress import progress
from recsys.ingest.settings import Delimiter, ReadingSettings, Sql, Table, Where

PROG = "listening-loop replay"
app = make_app(
    "Send real plays through the service, and see which recommender predicts the next ones."
)
# settings of the service that decide what it answers
_DECIDING = {"fallback", "repeat_after", "rules"}


@app.command(
    epilog=f"Example: {PROG} plays.csv --published out/plays/older --recommender in_order "
    "--recommender next_track --set repeat_after=1"
)
def main(
    published: Annotated[
        Path, typer.Option(help="Folder of an export that has not learned from these.")
    ],
    recommender: Annotated[
        list[str], typer.Option(help="What answers each play; repeatable.")
    ],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="PLAYS",
            help="The file of plays, or a folder; what is newer than the export is replayed.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for answers, log and report; by default replay/."),
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Columns as for ingest, where the guess is wrong.")
    ] = "",
    preset: Annotated[
        str | None, typer.Option(help="Published data set of PLAYS.")
    ] = None,
    where: Where = None,
    delimiter: Delimiter = None,
    table: Table = None,
    sql: Sql = None,
    read: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="How PLAYS are read, as ingest --set."),
    ] = None,
    connections: Annotated[
        int, typer.Option(min=1, max=10_000, help="Requests at a time.")
    ] = 16,
    set_: Overrides = None,
) -> None:
    """Replay plays; an interrupted replay goes on where it was."""
    version = (published / PUBLISHED).parent.resolve()
    lists = version / PUBLISHED.name
    overrides = [*(set_ or []), f"recommendations={lists}"]
    settings = load_settings(None, os.environ, overrides, published)
    for name in recommender:
        check_recommender(name, version)
    options = {"where": where, "delimiter": delimiter, "table": table}
    how = load_config(ReadingSettings, None, read or (), options).options()
    named = parse_roles(columns) if columns else {}
    with copied_query(sql) as query:
        paths = [file] if file else query
        if len(paths) != 1:
            raise LoopError("name a file or folder, or --sql")
        plays = read_plays(paths[0], version, named, preset, **how)
    plays.facts.update(settings.model_dump(mode="json", include=_DECIDING))
    folder = out or published / "replay"
    # answers to other plays, or of another version, are others
    answered = folder / "answers" / json_digest(plays.facts)[:12]
    answers = {}
    with locked_folder(folder):
        answered.mkdir(parents=True, exist_ok=True)
        for name in dict.fromkeys(recommender):
            lines = answered / f"{name}.jsonl"
            lines.touch()
            if len(read_lines(lines)) < plays.listeners:
                port = free_port()
                sets = [*overrides, *settings_of(name, folder)]
                words = [f"--set={text}" for text in sets]
                serve = command("serve", *words, published=published, port=port)
                with (
                    serving(serve, port),
                    progress(f"Replay of {name}", len(plays.users), "plays") as report,
                ):
                    url = f"http://127.0.0.1:{port}"
                    send_plays(plays, url, lines, connections, report)
            answers[name] = lines
        write_report(plays, answers, folder)
    typer.echo(f"report  {folder / 'report.html'}")


def check_recommender(name: str, version: Path) -> None:
    """Check that a recommender exists, and that a version has what it reads.

    Raises:
        LoopError: One of them is not so.
    """
    try:
        recommenders = find_recommenders(check_name(name))
    except ValueError as error:
        raise LoopError(f"--recommender {error}") from None
    files = {LISTS.file, *read_manifest(version).files}
    for recommender in recommenders:
        for artifact in recommender.reads:
            if artifact.file not in files:
                raise LoopError(
                    f"--recommender {name} reads {artifact.name}, which {version} lacks; "
                    f"it has {', '.join(sorted(files))}"
                )


def settings_of(name: str, folder: Path) -> list[str]:
    """List the settings of a service of one recommender, with sessions and a log of its own."""
    arms = [{"name": "C", "recommender": name}]
    experiments = orjson.dumps([{"name": "REPLAY", "arms": arms}]).decode()
    return [
        f"experiments={experiments}",
        f"log_dir={folder / 'log' / name}",
        f"redis_prefix=replay-{secrets.token_hex(4)}",
        "seed=0",
        "host=127.0.0.1",
    ]
