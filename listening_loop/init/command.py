"""`listening-loop init FILE`: write the configurations that lead from plays to a verdict."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import jinja2
import typer

from analysis.errors import AnalysisError
from analysis.page import numbers
from analysis.tables.columns import Reading, parse_roles
from listening_loop.init.look import look_at
from looplib.cli import make_app, program
from looplib.config import load_config
from looplib.files import atomic_write_text
from recsys.ingest.settings import ReadingSettings, describe

PROG = "listening-loop init"
app = make_app(
    "Look at a file of plays; write the configurations and commands that lead to a verdict."
)


@app.command(epilog=f"Example: {PROG} plays.csv --out plays.yaml")
def main(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV, JSON or Parquet, or a folder: plays, or an event log.",
        ),
    ],
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
    where: Annotated[
        str | None, typer.Option(help="SQL condition of the rows to take.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Of CSV files.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help=describe(ReadingSettings)),
    ] = None,
    force: Annotated[
        bool, typer.Option(help="Write files anew that are there.")
    ] = False,
) -> None:
    """Write configurations for a file of plays."""
    search = out or Path(f"{file.name.partition('.')[0]}.yaml")
    targets = {"search": search}
    for part in ("service", "experiment"):
        targets[part] = search.with_name(f"{search.stem}-{part}.yaml")
    for target in targets.values():
        if target.exists() and not force:
            raise AnalysisError(
                f"{target}: there already; choose another --out, or say --force"
            )
    settings = load_config(ReadingSettings, None, set_ or ())
    options = settings.options(where, delimiter)
    named = parse_roles(columns) if columns else {}
    guess = look_at(file, named, preset, **options)
    reading = guess.reading
    roles = asdict(reading.columns) if reading else {}
    values: dict[str, object] = {
        "n": numbers,
        "guess": guess,
        "reading": reading,
        "named": {role: name for role, name in roles.items() if name},
        "file": file,
        "folder": f"out/{search.stem}",
        "preset": preset or guess.preset,
        "settings": _changed_settings(reading) if reading else {},
        "program": program(),
        **targets,
    }
    values["steps"] = fill_in("steps.txt", values)
    for name, target in targets.items():
        atomic_write_text(target, fill_in(f"{name}.yaml", values))
    typer.echo(fill_in("found.txt", values))


def _changed_settings(reading: Reading) -> dict[str, object]:
    """Collect the settings of how text is read that are no defaults."""
    default = Reading(reading.columns)
    names = ("encoding", "decimal", "date_format", "weight_scale")
    values = {name: getattr(reading, name) for name in names}
    return {name: v for name, v in values.items() if v != getattr(default, name)}


def fill_in(name: str, values: Mapping[str, object]) -> str:
    """Fill a template in, for YAML or the terminal."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # nosec B701  # noqa: S701  no HTML
    )
    environment.filters["quote"] = lambda value: shlex.quote(str(value))
    environment.filters["json"] = partial(json.dumps, ensure_ascii=False)
    environment.filters["split"] = str.split
    return environment.get_template(f"{name}.jinja").render(values)
