"""`listening-loop init FILE`: write the query and the configurations from plays to a verdict."""

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import AnalysisError
from analysis.page.render import render
from analysis.plays.draft import parse_columns
from listening_loop.init.look import look_at, show
from looplib.cli import make_app, program
from looplib.files import atomic_write_text
from recsys.ingest.__main__ import Columns, Preset

_TEMPLATES = Path(__file__).with_name("templates")
PROG = "listening-loop init"
QUERY, TRACKS = "plays.sql", "tracks.sql"
app = make_app(
    "Look at a file of plays; write the query that reads it, and what leads to a verdict."
)


@app.command(epilog=f"Example: {PROG} plays.csv --out plays.yaml")
def main(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV, JSON, Parquet, DuckDB or SQLite, or a folder: plays, or an event log; "
            "or plays.sql, a query that you have written or corrected.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The YAML file, beside which the query is written; by default named as FILE, in "
            "this folder, and the query plays.sql."
        ),
    ] = None,
    columns: Columns = None,
    preset: Preset = None,
    table: Annotated[
        str | None, typer.Option(help="Of a DuckDB or SQLite file that has several.")
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Write files anew that are there.")
    ] = False,
) -> None:
    """Write the query and the configurations for a file of plays."""
    search = out or Path(f"{file.name.partition('.')[0]}.yaml")
    targets = {"search": search}
    for part in ("service", "experiment"):
        targets[part] = search.with_name(f"{search.stem}-{part}.yaml")
    query = out.with_suffix(".sql") if out else Path(QUERY)
    tracks = query.with_name(f"{out.stem}-tracks.sql" if out else TRACKS)
    is_query = file.suffix == ".sql"
    for target in [*targets.values(), *([] if is_query else [query, tracks])]:
        if target.exists() and not force:
            raise AnalysisError(
                f"{target}: exists already; choose another --out, or pass --force"
            )
    named = parse_columns(columns) if columns else {}
    guess = look_at(file, named, preset, table, query.parent)
    source = file if is_query or guess.is_log else query
    if source == query and not is_query:
        seen = f"{guess.rows:,} rows, {guess.listeners:,} listeners"
        if guess.questions:
            seen = "error(…) asks a question"
        head = f"of {file}, seen on {datetime.now(UTC):%Y-%m-%d}"
        atomic_write_text(query, f"-- plays {head}: {seen}\n{guess.query.sql}")
        if guess.catalogue:
            atomic_write_text(tracks, f"-- tracks {head}\n{guess.catalogue}")
    if guess.questions:
        raise AnalysisError(
            f"{file}: {'; '.join(guess.questions)}? Answer in {query}, in place of error(…), then "
            f"{PROG} {query}; or name columns, --columns listener=…,track=…; a listener may be "
            "the file or its folder, listener=@file; the first rows: "
            + " | ".join(show(guess.examples))
        )
    values: dict[str, object] = {
        "guess": guess,
        "examples": show(guess.examples),
        "file": file,
        "source": source,
        "tracks": tracks,
        "folder": f"out/{search.stem}",
        "program": program(),
        "quote": lambda value: shlex.quote(str(value)),
        "json": lambda value: json.dumps(str(value), ensure_ascii=False),
        **targets,
    }
    values["steps"] = render([_TEMPLATES], "steps.txt.jinja", **values)
    for name, target in targets.items():
        atomic_write_text(target, render([_TEMPLATES], f"{name}.yaml.jinja", **values))
    typer.echo(render([_TEMPLATES], "found.txt.jinja", **values))
