"""`listening-loop sql`: ask stores, searches, published lists and reports in SQL."""

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from looplib.cli import importing, make_app
from looplib.errors import UserError

with importing():
    from analysis import queries
    from analysis.views import open_views
    from recsys.storage import open_workspace

PROG = "listening-loop sql"
_SHOWN = 200  # rows of a table in the terminal
_WIDEST = 10_000  # characters, so that no column is left out
app = make_app(
    "Ask a store, a run, published lists or a report in SQL; docs/sql.md has the views."
)


@app.command(
    epilog=f'Example: {PROG} out/store "FROM tracks ORDER BY plays DESC LIMIT 5"'
)
def main(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="FOLDER… [QUERY]",
            help="Paths or addresses, then a query; without one, DuckDB's prompt opens.",
        ),
    ],
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print all rows as CSV, not a table.")
    ] = False,
    save: Annotated[
        Path | None,
        typer.Option(help="A new DuckDB file for the views, with absolute paths."),
    ] = None,
) -> None:
    """Answer a query, save the views, or open the prompt."""
    *folders, query = arguments
    if not folders or len(query.split()) < 2:  # the last word is a folder, too
        folders, query = arguments, ""
    if query:
        with open_views(folders, locate=locate) as connection:
            answer(connection, query, as_csv=as_csv)
        return
    program = shutil.which("duckdb")
    if save and save.exists():
        raise UserError(f"{save}: exists already; name a new file")
    if not save and not program:
        raise UserError(
            "no program duckdb here, so there is no prompt: name a query, such as "
            '"SHOW TABLES", or --save views.duckdb'
        )
    with tempfile.TemporaryDirectory(prefix="listening-loop-") as scratch:
        file = Path(scratch, "views.duckdb")
        open_views(folders, file, locate).close()
        if save:
            shutil.move(file, save)
            typer.echo(f"{save}: views of {', '.join(folders)}; no data is copied")
        elif program:
            subprocess.run([program, "-readonly", file], check=False)  # noqa: S603


def answer(connection: queries.Connection, query: str, *, as_csv: bool) -> None:
    """Print the rows of a query.

    Raises:
        AnalysisError: The query fails, or does more than read.
    """
    rows = queries.ask(connection, query)
    with queries.naming("the query", queries.DatabaseError):
        if as_csv:
            lines = csv.writer(sys.stdout)
            lines.writerow(rows.columns)
            lines.writerows(rows.fetchall())
        else:
            rows.show(max_width=_WIDEST, max_rows=_SHOWN)


def locate(address: str) -> Path:
    """Find the folder of an address on this machine, with its files."""
    workspace = open_workspace(address)
    if workspace.is_remote:
        files = workspace.files()
        workspace.download(*(name for name in files if "cache/" not in name))
    return workspace.folder
