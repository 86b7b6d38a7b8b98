"""`listening-loop ingest FILE… --store DIR`: add logs or tables to a session store.

In: event logs, and the `collection.json` that the simulator writes beside them; or plays and
interactions in CSV, JSON lines or Parquet. Out: a session store (`recsys.store`).
"""

import sys
from typing import Annotated

import typer
from rich.text import Text

from looplib.cli import importing, make_app, run
from looplib.config import load_config
from looplib.tables import output

with importing():
    from analysis.tables.columns import parse_columns
    from analysis.tables.databases import copied_query
    from recsys.errors import IngestError
    from recsys.ingest.pipeline import ingest
    from recsys.ingest.presets import PRESETS, make_reading
    from recsys.ingest.report import describe_ingest
    from recsys.ingest.settings import (
        Delimiter,
        IngestSettings,
        Sql,
        Table,
        Where,
        describe,
    )

PROG = "listening-loop ingest"
MOST_REJECTED = 0.05  # share of the lines above which the command fails
_ROLES = (
    "Columns of a table by what they hold: user= and item=; "
    "of plays share= of the track that was heard, or played= and duration=, "
    "with timestamp= or session=, and any of position=, organic=, propensity=; "
    "of interactions any of weight=, event=, timestamp=, session=; of both title=, artist=."
)
app = make_app(
    "Add event logs, or plays and interactions of your own, to a session store: "
    "all of them, or nothing."
)


@app.command(
    epilog="Example: listening-loop ingest out/seed/log 'old/*.jsonl.gz' --store out/seed/store; "
    "listening-loop ingest plays/ --store out/plays "
    "--columns user=uid,item=song,share=heard,timestamp=ts; "
    "listening-loop ingest listens.parquet --store out/yambda --preset yambda"
)
def main(
    store: Annotated[
        str,
        typer.Option(
            metavar="PATH", help="The store's folder, or an address; made if none is."
        ),
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE…", help="Files, folders, or quoted patterns."),
    ] = None,
    columns: Annotated[str | None, typer.Option(help=_ROLES)] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"Published data set of the files: {', '.join(PRESETS)}; other options win."
        ),
    ] = None,
    where: Where = None,
    delimiter: Delimiter = None,
    table: Table = None,
    sql: Sql = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help=describe(IngestSettings)),
    ] = None,
    allow_rejects: Annotated[
        bool,
        typer.Option(help="Succeed where more than 5 % of the lines are rejected."),
    ] = False,
) -> int:
    """Ingest the files."""
    options = {"where": where, "delimiter": delimiter, "table": table}
    settings = load_config(IngestSettings, None, set_ or (), options)
    roles = parse_columns(columns) if columns else None
    paths = files or []
    if bool(paths) == bool(sql):
        raise IngestError("name files, or --sql")
    with copied_query(sql) as query:
        paths += map(str, query)
        reading = make_reading(preset, roles, settings.options(), paths[0])
        report = ingest(
            paths,
            store,
            reading,
            partitions=settings.partitions,
            whole=bool(query),
        )
    output().print(Text(describe_ingest(report)), soft_wrap=True)
    share = report.lines.rejected / max(report.lines.read, 1)
    if allow_rejects or share <= MOST_REJECTED:
        return 0
    typer.echo(
        f"{share:.1%} of the lines are rejected, above {MOST_REJECTED:.0%}: read them otherwise, "
        "into a new store, or say --allow-rejects",
        err=True,
    )
    return 1


if __name__ == "__main__":
    sys.exit(run(app, PROG))
