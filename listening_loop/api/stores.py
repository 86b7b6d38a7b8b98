"""Ingest data frames, files and queries into a session store."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.store import Store
from listening_loop.api.frames import DEFAULT_FOLDER, Frame, is_frame, write_parquet
from looplib.errors import UserError
from looplib.files import json_digest, sha256_file
from looplib.progress import say
from recsys.ingest import pipeline
from recsys.ingest.presets import make_query
from recsys.ingest.report import describe_ingest

if TYPE_CHECKING:
    from distributed import Client

Source = Frame | str | Path | Sequence[str | Path]
_FRAME = "the data frame"


def ingest(
    data: Source = (),
    store: str | Path | None = None,
    *,
    sql: str | None = None,
    preset: str | None = None,
    client: "Client | None" = None,
    **columns: str,
) -> Store:
    """Add plays to a session store, which is made if there is none; the same data add nothing.

    Counts, and rejected rows with reasons, are printed to stderr.

    Args:
        data: A data frame of pandas, polars, Arrow or Dask; a file `plays.sql`, the query that
            `listening-loop init` writes; files of plays (CSV, JSON, Parquet, DuckDB, SQLite); or,
            without columns and preset, event logs and their folders.
        store: The store's path or address; by default a folder in `out/` that is named by the data.
        sql: A query of plays in place of data; statements such as ATTACH may go first.
        preset: A published data set, as `listening-loop ingest --help` names them.
        client: A Dask client whose workers ingest files; a data frame is ingested by this process.
        columns: The columns of a data frame or of files by their content: `listener` and `track`
            (or `user` and `item`), and any of `played_at`, `seconds`, `share`, `weight`, `title`
            and the others that `listening-loop ingest --help` names.

    Returns:
        The store, as it is after the ingest.

    Raises:
        Error: The data have no such column, no good row, mixed ids; or the query fails; or the
            store is another's, or damaged.

    Example:
        >>> import pandas as pd
        >>> plays = pd.DataFrame(
        ...     {"who": ["ann", "ann", "bob"], "song": [7, 8, 7], "heard": [200, 15, 180]}
        ... )
        >>> store = ingest(plays, "store", listener="who", track="song", seconds="heard")
        >>> store.sql("SELECT listener, plays FROM listeners ORDER BY plays").fetchall()
        [('bob', 1), ('ann', 2)]
        >>> store == ingest(plays, "store", listener="who", track="song", seconds="heard")
        True
    """
    report = add_plays(data, store, columns, sql, preset, client)
    say(describe_ingest(report))
    return report.store


def add_plays(
    data: Source,
    store: str | Path | None,
    columns: Mapping[str, str],
    sql: str | None = None,
    preset: str | None = None,
    client: "Client | None" = None,
) -> pipeline.IngestReport:
    """Add plays to a store; see `ingest`."""
    with tempfile.TemporaryDirectory(prefix="listening-loop-") as folder:
        paths = [data] if isinstance(data, (str, Path)) else data
        if is_frame(data):
            paths = [Path(folder, "frame.parquet")]
            write_parquet(data, paths[0])
            query = make_query(paths, columns, preset, sql, _FRAME)
            if query:
                text = query.sql.replace(f"{folder}{os.sep}", "")
                query = replace(query, sql=text, folder=Path(folder), name=_FRAME)
            inputs = [sha256_file(paths[0]), repr(columns), preset]
        elif not all(isinstance(path, (str, Path)) for path in paths):
            raise UserError(f"{data!r}: a data frame, or paths of files, is expected")
        else:
            query = make_query(paths, columns, preset, sql)
            inputs = [*map(str, paths), query.content("") if query else ""]
        address = str(store or DEFAULT_FOLDER / f"store-{json_digest(inputs)[:12]}")
        whole = is_frame(data)
        return pipeline.ingest(query or paths, address, whole=whole, client=client)
