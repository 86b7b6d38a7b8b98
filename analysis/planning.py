"""What commands share: how they name logs and results."""

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
