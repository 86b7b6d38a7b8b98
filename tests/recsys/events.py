"""Event logs for tests of the ingest, event by event, and the rows of stores."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from analysis.store import Store
from recsys.store.ids import originals
from recsys.store.reader import partition_files
from tests.analysis.ab.logs import write
from tests.analysis.logs import lines

COLLECTION = "collection.json"
EVENT = {**lines.EVENT, "recommendation": 5}
del EVENT["request"]  # by which it would count once


def event(**changes: object) -> dict[str, Any]:
    """Return an event, with some values replaced."""
    return EVENT | changes


def random_events(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Draw distinct events of a few users, some at the same millisecond."""
    generator = np.random.default_rng(seed)
    return [
        event(
            user=int(generator.integers(20)),
            timestamp=1_767_225_600_000 + int(generator.integers(count)),
            track=number,
            message="last" if generator.random() < 0.2 else "next",
            time=int(generator.integers(101)) / 100,
        )
        for number in range(count)
    ]


def write_log(
    file: Path,
    events: Iterable[dict[str, Any]],
    *,
    more: bytes = b"",
    tracks: int | None = None,
) -> Path:
    """Write events and then some more bytes.

    With `tracks`, the number of tracks in the catalogue, its description stands beside the log.
    """
    write(file, events, more=more)
    if tracks is not None:
        description = {
            "schema": 1,
            "catalogue": {"sha256": f"{tracks:064x}", "tracks": tracks},
            "users": 3,
        }
        (file.parent / COLLECTION).write_text(json.dumps(description))
    return file


def read_rows(store: Store) -> list[dict[str, Any]]:
    """Read all rows of a store, partition by partition."""
    return [
        row
        for files in partition_files(store)
        for file in files
        for row in pq.read_table(file, partitioning=None).to_pylist()
    ]


def rows_by_original_id(store: Store) -> list[dict[str, Any]]:
    """Read all rows of a store, by user, time and track, with the ids that came in."""
    rows = sorted(
        read_rows(store),
        key=lambda row: (row["user"], row["timestamp"] or 0, row["track"]),
    )
    users = originals(store, "users", np.array([row["user"] for row in rows])).tolist()
    numbers = [row["track"] for row in rows]
    tracks = originals(store, "items", np.array(numbers)).tolist()
    track_of = dict(zip(numbers, tracks, strict=True))
    return [
        row
        | {
            "user": user,
            "track": track_of[row["track"]],
            "recommendation": track_of.get(row.get("recommendation")),
        }
        for user, row in zip(users, rows, strict=True)
    ]
