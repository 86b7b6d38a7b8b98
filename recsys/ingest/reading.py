"""Read new plays and divide them by partition, the first half of an ingest."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from analysis import queries
from analysis.logs.files import LogFile
from analysis.logs.sources import NewFiles
from analysis.plays.check import MEMORY
from analysis.plays.query import PlaysQuery
from analysis.store import LOGGED, IdsOf, Manifest, Store
from recsys.errors import IngestError
from recsys.ingest.events import add_events
from recsys.ingest.plays import CheckedFiles, add_plays, check_same_columns
from recsys.store.partitions import Batches


@dataclass(frozen=True)
class Reading:
    """New plays that are not sorted yet."""

    manifest: Manifest  # the store's with the new sources
    ids: dict[IdsOf, Path]  # files of new text ids, and titles
    batches: Batches
    whole: bool  # the source may have grown
    repeated: tuple[LogFile, ...]
    left_out: int
    scratch: Path  # has the rejected lines


def read_plays(
    before: Store,
    data: Sequence[LogFile] | PlaysQuery,
    scratch: Path,
    *,
    whole: bool = False,
    checked: CheckedFiles | None = None,
) -> Reading:
    """Read the new plays of event logs or of a query, and divide them by partition.

    Args:
        before: The store.
        data: The logs, or the query.
        scratch: An empty folder.
        whole: The query reads a source that may have grown.
        checked: The files of the query, if they are checked already.
    """
    query = data if isinstance(data, PlaysQuery) else None
    files: Sequence[LogFile] = []
    if not isinstance(data, PlaysQuery):
        check_same_columns(before, LOGGED)
        files = data
    elif checked is None:
        if not data.reader:
            query, whole = data.run(scratch), True
            files = query.files(scratch)
        else:
            files = data.files(scratch)
        if whole:  # the file of a data frame or of a result is temporary
            files = [replace(file, name=data.name) for file in files]
        whole |= data.reads_database
    content = query.content if query else None
    new = NewFiles(files, scratch, before.manifest.sources, content, whole=whole)
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own has more page faults
    with queries.connect(
        memory_limit=MEMORY,
        temp_directory=scratch / "spilled",
        preserve_insertion_order=False,
    ) as connection:
        if query and isinstance(data, PlaysQuery):
            manifest, ids, batches = add_plays(
                before, new, connection, query, data.sql, checked
            )
        else:
            manifest, ids, batches = add_events(before, new, connection)
    # The connection is closed: sorting needs the memory.
    if whole and before.manifest.parts and new.sources:
        _check_times(before, manifest.columns)
    repeated = tuple(new.repeated)
    return Reading(manifest, ids, batches, whole, repeated, new.left_out, scratch)


def _check_times(store: Store, columns: Sequence[str]) -> None:
    """Refuse rows of a source that may have grown if nothing tells them from the store's rows."""
    if "timestamp" not in columns:
        raise IngestError(
            f"{store}: it has rows already, and rows without times cannot be told from them; "
            "return played_at, or use a new store"
        )
