"""Ingest data frames and files into a session store."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis.store import Manifest
from analysis.tables.columns import Reading, columns_by_name
from listening_loop.api.frames import Frame, is_frame, write_parquet
from looplib.errors import UserError
from looplib.files import json_digest, sha256_file
from recsys.ingest import pipeline
from recsys.ingest.presets import PRESETS
from recsys.store.remote import open_store as open_at

DEFAULT_FOLDER = Path("out")
Source = Frame | str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Store:
    """A session store: what was heard, as Parquet, by listener."""

    address: str  # a path, or such as s3://bucket/folder

    @property
    def manifest(self) -> Manifest:
        """What the store holds now."""
        return open_at(self.address).manifest


def ingest(
    data: Source,
    store: str | Path | None = None,
    *,
    preset: str | None = None,
    where: str | None = None,
    percent: bool = False,
    **columns: str,
) -> Store:
    """Add plays to a session store, which is made if there is none; the same data add nothing.

    Args:
        data: A data frame of pandas, polars, Arrow or Dask; files (CSV, JSON lines, Parquet); or,
            without columns and preset, event logs and their folders.
        store: The store's path or address; by default a folder in `out/` that is named by the data.
        preset: A published data set, as `listening-loop ingest --help` names them.
        where: A condition in DuckDB's SQL of the rows to take.
        percent: Whether shares are 0 to 100.
        columns: By what they hold: `user` and `item`, and any of `weight`, `timestamp`, `session`,
            `share`, `title` and the others that `listening-loop ingest --help` names.

    Raises:
        Error: The data have no such column, no good row, mixed ids; or the store is another's, or
            damaged.
    """
    tables = None
    if is_frame(data) or columns or preset or where or percent:
        tables = _reading(preset, columns, where, percent)
    with tempfile.TemporaryDirectory(prefix="listening-loop-") as folder:
        frame = Path(folder, "frame.parquet")
        if is_frame(data):
            write_parquet(data, frame)
            paths: list[str | Path] = [frame]
            facts = [sha256_file(frame)]
        else:
            paths = _paths(data)
            facts = [*map(str, paths)]
        if tables:
            facts.append(repr(tables))
        address = str(store or DEFAULT_FOLDER / f"store-{json_digest(facts)[:12]}")
        try:
            pipeline.ingest(paths, address, tables)
        except UserError as error:
            message = str(error).replace(str(frame), "the data frame")
            raise type(error)(message) from None
    return Store(address)


def _paths(data: Source) -> list[str | Path]:
    paths = [data] if isinstance(data, (str, Path)) else list(data)
    if not paths or not all(isinstance(path, (str, Path)) for path in paths):
        raise UserError(f"{data!r}: a data frame, or paths of files, is expected")
    return paths


def _reading(
    preset: str | None, columns: Mapping[str, str], where: str | None, percent: bool
) -> Reading:
    """Return how to read tables: by a preset, whose columns, condition and unit others replace."""
    given: dict[str, Any] = {"where": where} if where else {}
    if percent:
        given["percent"] = percent
    if columns or not preset:
        given["columns"] = columns_by_name(columns)
    if not preset:
        return Reading(**given)
    if preset not in PRESETS:
        raise UserError(f"preset: {preset} is unknown; known are {', '.join(PRESETS)}")
    return replace(PRESETS[preset], **given)
