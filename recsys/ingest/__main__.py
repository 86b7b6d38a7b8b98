"""From event logs to the session store: `python -m recsys.ingest LOG… --store DIR`.

In: event logs, and the `collection.json` that the simulator writes beside them. Out: a session store (`recsys.store`).
"""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from analysis.logs.interactions import Reading, parse_columns
from looplib.cli import make_app, run
from recsys.errors import IngestError
from recsys.ingest.events import ingest
from recsys.ingest.interactions import ingest_interactions
from recsys.ingest.pipeline import DEFAULT_MEMORY
from recsys.ingest.report import print_report
from recsys.store.writer import DEFAULT_BUCKETS, LARGEST_BUCKETS

PROG = "python -m recsys.ingest"


app = make_app("Adds event logs, or interactions of your own, to a session store: all of them, or nothing.")


class Format(StrEnum):
    """What the files hold."""

    events = "events"
    interactions = "interactions"


@app.command(
    epilog="Example: python -m recsys.ingest out/seed/log 'old/*.jsonl.gz' --store out/seed/store; "
    "python -m recsys.ingest plays.csv --store out/plays --format interactions "
    "--columns user=uid,item=song,weight=seconds,timestamp=ts",
)
def main(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Files, folders (of logs), or quoted patterns.")],
    store: Annotated[str, typer.Option(metavar="PATH", help="The store's folder, or an address; made if none is.")],
    format_: Annotated[
        Format, typer.Option("--format", help="Event logs, or interactions in CSV, JSON lines or Parquet.")
    ] = Format.events,
    columns: Annotated[
        str | None,
        typer.Option(help="Columns of interactions: user= and item=, and any of weight=, timestamp=, session=."),
    ] = None,
    header: Annotated[
        bool, typer.Option(help="Whether CSV files begin with the names of their columns; else name them 1, 2, …")
    ] = True,
    delimiter: Annotated[
        str | None, typer.Option(help=r"Of CSV files, such as :: or \t; found out by itself if not given.")
    ] = None,
    buckets: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_BUCKETS, help=f"User buckets of a new store, {DEFAULT_BUCKETS} by default."),
    ] = None,
    memory: Annotated[str, typer.Option(help="What DuckDB may use before it spills to the disk.")] = DEFAULT_MEMORY,
) -> None:
    """Adds event logs, or interactions of your own, to a session store: all of them, or nothing."""
    if format_ is Format.interactions:
        if columns is None:
            raise IngestError("--format interactions needs --columns, such as user=uid,item=song,weight=seconds")
        reading = Reading(parse_columns(columns), header, "\t" if delimiter == r"\t" else delimiter)
        print_report(ingest_interactions(files, store, reading, buckets=buckets, memory=memory))
        return
    if columns is not None:
        raise IngestError("--columns belongs to --format interactions")
    print_report(ingest(files, store, buckets=buckets, memory=memory))


if __name__ == "__main__":
    sys.exit(run(app, PROG))
