"""`listening-loop init FILE`: write the configurations that lead from plays to a verdict."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import AnalysisError
from analysis.page.render import render
from analysis.tables.columns import Reading, parse_roles
from analysis.tables.databases import copied_query
from listening_loop.init.look import look_at
from looplib.cli import make_app, program
from looplib.config import load_config
from looplib.files import atomic_write_text
from recsys.ingest.presets import make_reading
from recsys.ingest.settings import (
    Delimiter,
    ReadingSettings,
    Sql,
    Table,
    Where,
    describe,
)

_TEMPLATES = Path(__file__).with_name("templates")
PROG = "listening-loop init"
app = make_app(
    "Look at a file of plays; write the configurations and commands that lead to a verdict."
)


@app.command(epilog=f"Example: {PROG} plays.csv --out plays.yaml")
def main(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="CSV, JSON, Parquet, DuckDB or SQLite, or a folder: plays, or an event log.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The YAML file; by default named as FILE, in this folder."),
    ] = None,
    columns: Annotated[
        str,
        typer.Option(
            help="Columns where the guess is wrong, such as weight=seconds,item=artist+song."
        ),
    ] = "",
    preset: Annotated[
        str | None,
        typer.Option(help="Published data set of FILE, in place of columns."),
    ] = None,
    where: Where = None,
    delimiter: Delimiter = None,
    table: Table = None,
    sql: Sql = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help=describe(ReadingSettings)),
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Write files anew that are there.")
    ] = False,
) -> None:
    """Write configurations for a file of plays."""
    if bool(file) == bool(sql):
        raise AnalysisError("name a file or folder, or --sql")
    source = file or Path("query")
    search = out or Path(f"{source.name.partition('.')[0]}.yaml")
    targets = {"search": search}
    for part in ("service", "experiment"):
        targets[part] = search.with_name(f"{search.stem}-{part}.yaml")
    for target in targets.values():
        if target.exists() and not force:
            raise AnalysisError(
                f"{target}: there already; choose another --out, or say --force"
            )
    options = {"where": where, "delimiter": delimiter, "table": table}
    settings = load_config(ReadingSettings, None, set_ or (), options).options()
    named = parse_roles(columns) if columns else {}
    with copied_query(sql) as query:
        guess = look_at((query or [source])[0], named, preset, **settings)
    reading = guess.reading
    preset = preset or guess.preset
    values: dict[str, object] = {
        "guess": guess,
        "reading": reading,
        "named": reading.columns.by_role,
        "file": source,
        "source": f"--sql {shlex.quote(sql)}" if sql else shlex.quote(str(source)),
        "folder": f"out/{search.stem}",
        "preset": preset,
        "options": {} if guess.is_log else reading_options(reading, preset, source),
        "program": program(),
        "quote": lambda value: shlex.quote(str(value)),
        "json": lambda value: json.dumps(str(value), ensure_ascii=False),
        **targets,
    }
    values["steps"] = render([_TEMPLATES], "steps.txt.jinja", **values)
    for name, target in targets.items():
        atomic_write_text(target, render([_TEMPLATES], f"{name}.yaml.jinja", **values))
    typer.echo(render([_TEMPLATES], "found.txt.jinja", **values))


def reading_options(
    reading: Reading, preset: str | None, path: Path
) -> dict[str, object]:
    """Collect the options that say how tables are read, where a preset or default differs."""
    default = make_reading(preset, None, {}, path) or Reading(reading.columns)
    options: dict[str, object] = {}
    if not preset or reading.columns != default.columns:
        roles = reading.columns.by_role.items()
        options["columns"] = ",".join(map("=".join, roles))
    for name in ReadingSettings.model_fields:
        value = getattr(reading, name)
        if value != getattr(default, name):
            options[name] = str(value).lower() if value in (True, False) else value
    return options
