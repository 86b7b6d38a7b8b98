"""Ingest data frames and files into a session store."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from analysis.store import Store
from analysis.tables.columns import Decimal, columns_by_name
from analysis.tables.databases import copied_query
from listening_loop.api.frames import Frame, is_frame, write_parquet
from looplib.config import parse_config
from looplib.errors import UserError
from looplib.files import json_digest, sha256_file
from looplib.progress import say
from recsys.ingest import pipeline
from recsys.ingest.presets import make_reading
from recsys.ingest.report import describe_ingest
from recsys.ingest.settings import ReadingSettings

DEFAULT_FOLDER = Path("out")
Source = Frame | str | Path | Sequence[str | Path]


def ingest(
    data: Source = (),
    store: str | Path | None = None,
    *,
    sql: str | None = None,
    table: str | None = None,
    preset: str | None = None,
    where: str | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    percent: bool = False,
    encoding: str | None = None,
    decimal: Decimal | None = None,
    date_format: str | None = None,
    weight_scale: float | None = None,
    **columns: str,
) -> Store:
    """Add plays to a session store, which is made if there is none; the same data add nothing.

    What was counted, and which rows were rejected and why, is printed to stderr.

    Args:
        data: A data frame of pandas, polars, Arrow or Dask; files (CSV, JSON, Parquet, DuckDB,
            SQLite); or, without columns and preset, event logs and their folders.
        store: The store's path or address; by default a folder in `out/` that is named by the data.
        sql: A query in place of data, which DuckDB runs; statements such as ATTACH may go first.
        table: Of a DuckDB or SQLite file that has several.
        preset: A published data set, as `listening-loop ingest --help` names them.
        where: A condition in DuckDB's SQL of the rows to take.
        header: Whether CSV files begin with names, which is the default; else their columns are
            "1", "2", …
        delimiter: Of CSV files, such as "::"; by default detected.
        percent: Whether shares are 0 to 100.
        encoding: Of files of text, such as "cp1252"; UTF-8 by default.
        decimal: "comma" or "point" in numbers of text; the other one separates thousands.
        date_format: Of timestamps in text, such as "%d/%m/%Y %H:%M".
        weight_scale: Weights are multiplied by it, such as 0.001 to make seconds of ms.
        columns: By what they hold: `user` and `item`, and any of `weight`, `timestamp`, `session`,
            `share`, `title` and the others that `listening-loop ingest --help` names.

    Returns:
        The store, as it is after the ingest.

    Raises:
        Error: The data have no such column, no good row, mixed ids; or the store is another's, or
            damaged.

    Example:
        >>> import pandas as pd
        >>> plays = pd.DataFrame(
        ...     {"who": ["ann", "ann", "bob"], "song": [7, 8, 7], "seconds": [200, 15, 180]}
        ... )
        >>> store = ingest(plays, "store", user="who", item="song", weight="seconds")
        >>> store.sql("SELECT listener, plays FROM listeners ORDER BY plays").fetchall()
        [('bob', 1), ('ann', 2)]
        >>> store == ingest(plays, "store", user="who", item="song", weight="seconds")
        True
    """
    roles = None
    if columns or (not preset and (is_frame(data) or sql or where or percent)):
        roles = columns_by_name(columns)
    settings = {
        "table": table,
        "where": where,
        "header": header,
        "delimiter": delimiter,
        "percent": percent or None,
        "encoding": encoding,
        "decimal": decimal,
        "date_format": date_format,
        "weight_scale": weight_scale,
    }
    options = parse_config(ReadingSettings, settings, "the arguments").options()
    with (
        tempfile.TemporaryDirectory(prefix="listening-loop-") as folder,
        copied_query(sql) as query,
    ):
        name, copies = "the query", query
        if is_frame(data):
            name, copies = "the data frame", [Path(folder, "frame.parquet")]
            write_parquet(data, copies[0])
        paths: list[str | Path] = [*copies]
        facts = [*map(sha256_file, copies)]
        if not copies:
            paths = [data] if isinstance(data, (str, Path)) else list(data)
            if not paths or not all(isinstance(path, (str, Path)) for path in paths):
                raise UserError(
                    f"{data!r}: a data frame, or paths of files, is expected"
                )
            name, *_ = facts = [*map(str, paths)]
        reading = make_reading(preset, roles, options, paths[0])
        if reading:
            facts.append(repr(reading))
        address = str(store or DEFAULT_FOLDER / f"store-{json_digest(facts)[:12]}")
        try:
            report = pipeline.ingest(paths, address, reading, whole=bool(copies))
        except UserError as error:
            message = str(error).replace(str(paths[0]), name)
            raise type(error)(message) from None
        say(describe_ingest(report).replace(str(paths[0]), name))
        return report.store
