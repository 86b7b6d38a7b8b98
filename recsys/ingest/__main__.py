"""`listening-loop ingest FILE… --store DIR`: add event logs or plays to a session store.

In: event logs, and the `collection.json` that the simulator writes beside them; or plays, which a
query reads. Out: a session store (`recsys.store`).
"""

import sys
from typing import Annotated

import typer
from rich.text import Text

from looplib.cli import importing, make_app, run
from looplib.config import load_config
from looplib.tables import output

with importing():
    from analysis.plays.columns import COLUMNS
    from analysis.plays.draft import parse_columns
    from recsys.cluster.config import ClusterConfig
    from recsys.ingest.pipeline import ingest
    from recsys.ingest.presets import PRESETS, make_query
    from recsys.ingest.report import describe_ingest

PROG = "listening-loop ingest"
MOST_REJECTED = 0.05  # share of the lines above which the command fails
Columns = Annotated[
    str | None,
    typer.Option(
        help=f"Columns of a file, such as listener=uid,track=song; names are {', '.join(COLUMNS)}."
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(help=f"Published data set of the files: {', '.join(PRESETS)}."),
]
Sql = Annotated[str | None, typer.Option(help="A query of plays, in place of files.")]
app = make_app(
    "Add event logs, or plays that a query reads, to a session store: all of them, or nothing."
)


@app.command(
    epilog="Example: listening-loop ingest out/seed/log 'old/*.jsonl.gz' --store out/seed/store; "
    "listening-loop ingest plays.sql --store out/plays; "
    "listening-loop ingest plays.csv --store out/plays --columns listener=uid,track=song"
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
        typer.Argument(
            metavar="FILE…",
            help="plays.sql, as init writes it; or files, folders, or quoted patterns.",
        ),
    ] = None,
    columns: Columns = None,
    preset: Preset = None,
    sql: Sql = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, max=4096, help="Of a new store; 16 by default."),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="A Dask scheduler, such as tcp://host:8786; its workers ingest."
        ),
    ] = None,
    allow_rejects: Annotated[
        bool,
        typer.Option(help="Succeed where more than 5 % of the lines are rejected."),
    ] = False,
) -> int:
    """Ingest the files."""
    roles = parse_columns(columns) if columns else None
    query = make_query(files or [], roles, preset, sql)
    cluster = load_config(ClusterConfig, None, [], {"scheduler": scheduler})
    report = ingest(query or files or [], store, partitions=partitions, cluster=cluster)
    output().print(Text(describe_ingest(report)), soft_wrap=True)
    share = report.lines.rejected / max(report.lines.read, 1)
    if allow_rejects or share <= MOST_REJECTED:
        return 0
    typer.echo(
        f"{share:.1%} of the lines are rejected, above {MOST_REJECTED:.0%}: correct the query, "
        "and ingest into a new store, or say --allow-rejects",
        err=True,
    )
    return 1


if __name__ == "__main__":
    sys.exit(run(app, PROG))
