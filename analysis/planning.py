"""Names of command-line arguments for logs and results, shared by all commands."""

from pathlib import Path
from typing import Annotated

import typer

Logs = Annotated[
    list[str],
    typer.Argument(
        metavar="LOG…", help="Event logs, folders, quoted patterns, or session stores."
    ),
]
OutFile = Annotated[
    Path | None, typer.Option(help="Write the result to this JSON file.")
]
