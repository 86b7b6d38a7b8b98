"""Which catalogue the track ids of a log refer to, and that all logs of a store agree on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from recsys.errors import IngestError
from recsys.store.manifest import Catalogue
from recsys.workspace import Workspace

DESCRIPTION = "collection.json"


@dataclass(frozen=True)
class _Collection:
    """What `collection.json`, which the simulator writes beside a log, says of the catalogue."""

    catalogue: Catalogue


def agreed_catalogue(known: Catalogue | None, store: Workspace, folders: Iterable[Path]) -> Catalogue | None:
    """The one catalogue of a store and of the logs in some folders; None where nobody names one.

    Raises:
        IngestError: Two of them differ, or a description cannot be read.
    """
    agreed, namer = known, str(store)
    for folder in sorted(set(folders)):
        file = folder / DESCRIPTION
        found = _read_catalogue(file) if file.is_file() else None
        if found and agreed and found != agreed:
            raise IngestError(f"two worlds: {namer} has {agreed}, and {file} has {found}; use a store for each world")
        if found and not agreed:
            agreed, namer = found, str(file)
    return agreed


def _read_catalogue(file: Path) -> Catalogue:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Collection).catalogue
    except OSError as error:
        raise IngestError(f"{file}: cannot be read ({error.strerror})") from None
    except msgspec.DecodeError as error:
        raise IngestError(f"{file}: no description of a collection ({error})") from None
