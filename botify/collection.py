"""What is said beside the event log: which catalogue its track ids refer to, as the simulator says it of its logs."""

from pathlib import Path

import orjson

from botify.errors import StartError
from botify.model.catalogue import Catalogue
from looplib.files import atomic_write_text

COLLECTION_FILE = "collection.json"
SCHEMA = 1


def describe_log(folder: Path, catalogue: Catalogue) -> None:
    """Writes `collection.json` into the folder of an event log, unless it is there.

    Raises:
        StartError: The log in this folder is of another catalogue, or its description cannot be read.
        OSError: The folder cannot be written.
    """
    path = folder / COLLECTION_FILE
    facts = {"sha256": catalogue.sha256, "tracks": len(catalogue)}
    try:
        found = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        description = {"schema": SCHEMA, "catalogue": facts}
        atomic_write_text(path, orjson.dumps(description, option=orjson.OPT_APPEND_NEWLINE).decode())
        return
    except ValueError as error:
        raise StartError(f"{path}: not JSON ({error})") from None
    known = found.get("catalogue") if isinstance(found, dict) else None
    if known != facts:
        raise StartError(
            f"{path}: the event log here is of another catalogue, {known}; the service has {facts}; "
            "name another folder in log_dir"
        )
