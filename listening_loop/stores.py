"""Ingest data frames and files into a session store."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from analysis.logs.interactions import Columns, Reading
from analysis.store import Manifest
from listening_loop.frames import Frame, is_frame, write_parquet
from looplib.errors import UserError
from looplib.files import digest_of, sha256_file
from recsys.ingest.events import ingest as ingest_events
from recsys.ingest.interactions import ingest_interactions
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

    def __repr__(self) -> str:
        """Return the address and the size."""
        manifest = self.manifest
        rows = "interactions" if manifest.interactions else "events"
        return f"<Store {self.address}: {manifest.events:,} {rows} of {len(manifest.sources)} sources>"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"


def ingest(
    data: Source,
    store: str | Path | None = None,
    *,
    user: str | None = None,
    item: str | None = None,
    weight: str | None = None,
    timestamp: str | None = None,
    session: str | None = None,
) -> Store:
    """Add plays to a session store, which is created if there is none; the same data twice add nothing.

    Args:
        data: A data frame of pandas, polars, Arrow or Dask; files (CSV, JSON lines, Parquet); or, without any column
            named, event logs and their folders.
        store: The store's path or address; by default a folder in `out/` that is named by the data.
        user: The column of listeners, whole numbers or text.
        item: The column of tracks, whole numbers or text.
        weight: The column of how much it counts; without it, each row counts 1.
        timestamp: The column of when: seconds or milliseconds since the epoch, dates, or ISO 8601.
        session: The column that names the session.

    Raises:
        Error: The data have no such column, no good row, mixed ids; or the store is another's, or damaged.
    """
    if user is None or item is None:
        if is_frame(data) or user or item or weight or timestamp or session:
            raise UserError("user and item are expected: the columns of listeners and of tracks")
        paths = _paths(data)
        address = str(store or DEFAULT_FOLDER / f"store-{digest_of([str(path) for path in paths])[:12]}")
        ingest_events(paths, address)
        return Store(address)
    reading = Reading(Columns(user, item, weight, timestamp, session))
    if not is_frame(data):
        paths = _paths(data)
        address = str(
            store or DEFAULT_FOLDER / f"store-{digest_of([[str(path) for path in paths], repr(reading)])[:12]}"
        )
        ingest_interactions(paths, address, reading)
        return Store(address)
    with tempfile.TemporaryDirectory(prefix="listening-loop-") as folder:
        file = Path(folder, "frame.parquet")
        write_parquet(data, file)
        address = str(store or DEFAULT_FOLDER / f"store-{digest_of([sha256_file(file), repr(reading)])[:12]}")
        try:
            ingest_interactions([file], address, reading)
        except UserError as error:
            raise type(error)(str(error).replace(str(file), "the data frame")) from None
    return Store(address)


def open_store(address: str | Path) -> Store:
    """Open a store that was made before.

    Raises:
        Error: There is none, or it is damaged.
    """
    open_at(address)
    return Store(str(address))


def address_of(store: Store | str | Path) -> str:
    """Return the address of a store, given as such or as a `Store`."""
    return store.address if isinstance(store, Store) else str(store)


def _paths(data: Source) -> Sequence[str | Path]:
    return [data] if isinstance(data, (str, Path)) else list(data)
