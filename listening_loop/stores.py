"""Ingest data frames and files into a session store."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from analysis.logs.interactions import Columns, Reading
from analysis.store import Manifest
from listening_loop.frames import Frame, is_frame, write_parquet
from looplib.files import digest_of, sha256_file
from recsys.ingest.interactions import ingest_interactions
from recsys.store.remote import open_store as open_at

DEFAULT_FOLDER = Path("out")


@dataclass(frozen=True)
class Store:
    """A session store: what was heard, as Parquet, by listener."""

    address: str  # a path, or such as s3://bucket/folder

    @property
    def manifest(self) -> Manifest:
        """What the store holds now."""
        return open_at(self.address).manifest

    def __repr__(self) -> str:
        """Return the address and the size."""
        return f"<Store {self.address}: {self.manifest.events:,} rows of {len(self.manifest.sources)} sources>"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"


def ingest(
    data: Frame | str | Path | Sequence[str | Path], store: str | Path | None = None, *, user: str, item: str, **roles: str
) -> Store:
    """Add plays to a session store, which is created if there is none; the same data twice add nothing.

    Args:
        data: A data frame of pandas, polars, Arrow or Dask, or files: CSV, JSON lines, Parquet.
        store: The store's path or address; by default a folder in `out/` that is named by the data.
        user: The column of listeners, whole numbers or text.
        item: The column of tracks, whole numbers or text.
        roles: Further columns by what they hold, as `listening-loop ingest --help` names them: `weight="seconds"`,
            `timestamp="played_at"`, `session="visit"`.

    Raises:
        Error: The data have no such column, no good row, mixed ids; or the store is another's, or damaged.
    """
    reading = Reading(Columns(user, item, **roles))
    if not is_frame(data):
        paths = [data] if isinstance(data, (str, Path)) else list(data)
        address = str(store or DEFAULT_FOLDER / f"store-{digest_of([str(path) for path in paths])[:12]}")
        ingest_interactions(paths, address, reading)
        return Store(address)
    with tempfile.TemporaryDirectory(prefix="listening-loop-") as folder:
        file = Path(folder, "frame.parquet")
        write_parquet(data, file)
        address = str(store or DEFAULT_FOLDER / f"store-{sha256_file(file)[:12]}")
        ingest_interactions([file], address, reading)
    return Store(address)


def open_store(address: str | Path) -> Store:
    """Open a store that was made before.

    Raises:
        Error: There is none, or it is damaged.
    """
    open_at(address)
    return Store(str(address))


def address_of(store: Any) -> str:  # noqa: ANN401  a store, or where one is
    """Return the address of a store, given as such or as a `Store`."""
    return store.address if isinstance(store, Store) else str(store)
