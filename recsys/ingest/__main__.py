"""From event logs or tables to the session store: `python -m recsys.ingest FILE… --store DIR`.

In: event logs, and the `collection.json` that the simulator writes beside them; or plays and interactions in CSV, JSON
lines or Parquet. Out: a session store (`recsys.store`).
"""

import sys
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import typer

from analysis.logs.interactions import Reading, parse_columns
from looplib.cli import make_app, run
from recsys.errors import IngestError
from recsys.ingest.events import ingest
from recsys.ingest.interactions import ingest_interactions
from recsys.ingest.pipeline import DEFAULT_MEMORY
from recsys.ingest.presets import PRESETS, Preset
from recsys.ingest.report import print_report
from recsys.store.writer import DEFAULT_BUCKETS, LARGEST_BUCKETS

PROG = "python -m recsys.ingest"


app = make_app("Adds event logs, or plays and interactions of your own, to a session store: all of them, or nothing.")
_ROLES = (
    "Columns of a table by what they hold: user= and item=; of plays share= of the track that was heard, or played= "
    "and duration=, with timestamp= or session=, and any of position=, organic=, propensity=; of interactions any of "
    "weight=, timestamp=, session=; of both title=, artist=."
)


class Format(StrEnum):
    """What the files hold."""

    events = "events"
    interactions = "interactions"


class Scale(StrEnum):
    """What a share of 1 means."""

    share = "share"
    percent = "percent"


@app.command(
    epilog="Example: python -m recsys.ingest out/seed/log 'old/*.jsonl.gz' --store out/seed/store; "
    "python -m recsys.ingest plays/ --store out/plays --columns user=uid,item=song,share=heard,timestamp=ts; "
    "python -m recsys.ingest listens.parquet --store out/yambda --preset yambda"
)
def main(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Files, folders, or quoted patterns.")],
    store: Annotated[str, typer.Option(metavar="PATH", help="The store's folder, or an address; made if none is.")],
    format_: Annotated[
        Format | None,
        typer.Option("--format", help="Event logs, or tables; by default tables where columns or a preset are given."),
    ] = None,
    columns: Annotated[str | None, typer.Option(help=_ROLES)] = None,
    preset: Annotated[
        Preset | None, typer.Option(help="Columns and all that of a published data set; other options win over it.")
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="SQL condition of the rows to take, such as 'is_organic = false'.")
    ] = None,
    scale: Annotated[Scale | None, typer.Option(help="Whether shares are 0 to 1, as by default, or 0 to 100.")] = None,
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header",
            help="Whether CSV files begin with the names of their columns, as by default; else name them 1, 2, …",
        ),
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help=r"Of CSV files, such as :: or \t; found out by itself if not given.")
    ] = None,
    buckets: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_BUCKETS, help=f"User buckets of a new store, {DEFAULT_BUCKETS} by default."),
    ] = None,
    memory: Annotated[str, typer.Option(help="What DuckDB may use before it spills to the disk.")] = DEFAULT_MEMORY,
) -> None:
    """Adds event logs, or plays and interactions of your own, to a session store: all of them, or nothing."""
    given: dict[str, Any] = {
        "columns": columns and parse_columns(columns),
        "where": where,
        "percent": scale and scale is Scale.percent,
        "header": header,
        "delimiter": "\t" if delimiter == r"\t" else delimiter,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if format_ is Format.events or not (format_ or columns or preset):
        if given or preset:
            option = "preset" if preset else "scale" if "percent" in given else next(iter(given))
            raise IngestError(f"--{option} belongs to tables of plays or interactions, with --columns or --preset")
        print_report(ingest(files, store, buckets=buckets, memory=memory))
        return
    if not (columns or preset):
        raise IngestError("--format interactions needs --columns, such as user=uid,item=song,weight=seconds")
    reading = PRESETS[preset] if preset else Reading(given["columns"])
    print_report(ingest_interactions(files, store, replace(reading, **given), buckets=buckets, memory=memory))


if __name__ == "__main__":
    sys.exit(run(app, PROG))
