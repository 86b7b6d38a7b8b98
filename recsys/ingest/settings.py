"""Options of how tables are read, and settings, as `--set` takes them."""

from typing import Annotated, Any

import typer
from annotated_types import Le

from analysis.tables.columns import Decimal
from looplib.config import Config, Count, Positive

Where = Annotated[
    str | None,
    typer.Option(
        help="SQL condition of the rows to take, such as 'is_organic = false'."
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(help=r"Of CSV files, such as :: or \t; by default detected."),
]
Table = Annotated[
    str | None, typer.Option(help="Of a DuckDB or SQLite file that has several.")
]
Sql = Annotated[
    str | None,
    typer.Option(
        help="A query in place of files, which DuckDB runs; statements such as ATTACH may go first."
    ),
]


class ReadingSettings(Config):
    """Settings of how the files of a table are read."""

    where: str | None = None
    """SQL condition of the rows to take"""
    delimiter: str | None = None
    """of CSV files, such as :: or \\t; by default detected"""
    table: str | None = None
    """of a DuckDB or SQLite file that has several"""
    percent: bool | None = None
    """shares of a table are 0 to 100"""
    header: bool | None = None
    """CSV files begin with names, else their columns are 1, 2, …"""
    encoding: str | None = None
    """of text, such as cp1252; UTF-8 by default"""
    decimal: Decimal | None = None
    """mark in numbers, point or comma; the other separates thousands"""
    date_format: str | None = None
    """of timestamps, such as %d/%m/%Y %H:%M"""
    weight_scale: Positive | None = None
    """weights times this are stored; 0.001 makes seconds of ms"""

    def options(self) -> dict[str, Any]:
        """Collect the fields of a `Reading` that the caller decides."""
        names = set(ReadingSettings.model_fields)
        values = self.model_dump(include=names, exclude_none=True)
        if self.delimiter == r"\t":
            values["delimiter"] = "\t"
        return values


class IngestSettings(ReadingSettings):
    """Settings that few ingests change."""

    partitions: Annotated[Count, Le(4096)] | None = None
    """of a new store; 16 by default"""


def describe(settings: type[Config]) -> str:
    """Write the help of `--set`: a key and its description, one after the other."""
    fields = settings.model_fields.items()
    return "; ".join(f"{name}: {field.description}" for name, field in fields)
