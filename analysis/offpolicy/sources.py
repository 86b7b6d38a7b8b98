"""Logs and stores as the table `events`, and what is known of them beside their events."""

from pathlib import Path

import orjson

from analysis import queries
from analysis.ab.source import Places
from analysis.errors import AnalysisError
from analysis.logs import reader as event_log
from analysis.store import MANIFEST

COLLECTION = "collection.json"  # what the simulator writes beside its logs


def attach_events(connection: queries.Connection, places: Places, scratch: Path) -> None:
    """Makes all events readable as the table `events`; the scratch folder must live as long as the table.

    Raises:
        EventLogError: A log cannot be read.
        AnalysisError: Both logs and stores are given, or a store is empty.
    """
    if places.logs and places.stores:
        raise AnalysisError("event logs and session stores together; ingest the logs into the store, or name one kind")
    if places.logs:
        event_log.load(connection, places.logs, scratch=scratch)
        return
    files = [file for store in places.stores for file in store.files(store.manifest.parts)]
    if not files:
        raise AnalysisError("an empty session store")
    queries.attach_parquet(connection, "events", files)


def catalogue_size_of(places: Places) -> int | None:
    """How many tracks the catalogue has, by the stores' manifests or the `collection.json` beside the logs.

    Raises:
        AnalysisError: They disagree, or one cannot be read.
    """
    files = {store.path / MANIFEST for store in places.stores} | {log.path.parent / COLLECTION for log in places.logs}
    sizes = {file: size for file in sorted(files) if (size := _size_in(file)) is not None}
    if len(set(sizes.values())) > 1:
        raise AnalysisError(f"different catalogues: {', '.join(f'{file} has {size}' for file, size in sizes.items())}")
    return next(iter(sizes.values()), None)


def digests_of(places: Places) -> tuple[str, ...]:
    """The xxh3_128 of every log, or of every log that a store was made of."""
    of_stores = (source.digest for store in places.stores for source in store.manifest.sources)
    return (*of_stores, *(event_log.digest(log) for log in places.logs))


def _size_in(file: Path) -> int | None:
    if not file.is_file():
        return None
    try:
        size = (orjson.loads(file.read_bytes()).get("catalogue") or {}).get("tracks")
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise AnalysisError(f"{file}: no catalogue to be read here ({error})") from None
    if size is not None and not isinstance(size, int):
        raise AnalysisError(f"{file}: catalogue.tracks must be a whole number, found {size!r}")
    return size
