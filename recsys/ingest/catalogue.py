"""Find the catalogue that the track ids of a log refer to; all logs of a store agree on it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from analysis import queries
from analysis.logs.files import DESCRIPTION
from analysis.store import Catalogue, Manifest
from recsys.errors import IngestError
from recsys.store.remote import download_stored
from recsys.workspace import Workspace


@dataclass(frozen=True)
class _Collection:
    """What `collection.json`, which the simulator writes beside a log, says of the catalogue."""

    catalogue: Catalogue


def with_catalogue(before: Manifest, store: Workspace, folders: Iterable[Path]) -> Manifest:
    """Return a store's manifest with the catalogue that it and the logs in some folders name, if any.

    Raises:
        IngestError: Two of them differ, a description cannot be read, or the store has events of further tracks.
    """
    agreed, namer = before.catalogue, str(store)
    for folder in sorted(folders):
        file = folder / DESCRIPTION
        found = _read_catalogue(file) if file.is_file() else None
        if found and agreed and found != agreed:
            raise IngestError(f"two worlds: {namer} has {agreed}, and {file} has {found}; use a store for each world")
        if found and not agreed:
            agreed, namer = found, str(file)
    if agreed and not before.catalogue and before.parts:
        with queries.connect() as connection:
            queries.attach_parquet(connection, "events", download_stored(store, before.parts))
            largest = queries.fetch_row(connection, "events/largest_track")["track"]
        if largest >= agreed.tracks:
            found_track = f"{store} has events of track {largest}, and the logs' catalogue has {agreed}"
            raise IngestError(f"two worlds: {found_track}; use a store for each world")
    return replace(before, catalogue=agreed)


def _read_catalogue(file: Path) -> Catalogue:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Collection).catalogue
    except OSError as error:
        raise IngestError(f"{file}: cannot be read ({error.strerror})") from None
    except msgspec.DecodeError as error:
        raise IngestError(f"{file}: no description of a collection ({error})") from None
