"""Ingest event logs into a session store; a source that was read before adds nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from analysis import queries
from analysis.logs import reader
from analysis.logs.files import DESCRIPTION, LogFile, discover
from analysis.logs.lines import LARGEST_ID, OddLineError, canonical_assignments
from analysis.logs.reader import FileLines
from analysis.store import Catalogue, Manifest
from looplib.progress import progress
from looplib.untrusted import read_untrusted
from recsys.errors import IngestError
from recsys.ingest.pipeline import DEFAULT_MEMORY, NewFiles, ingest_files
from recsys.ingest.report import IngestReport
from recsys.store.buckets import ROWS_AT_ONCE, Bucketing
from recsys.store.columns import EVENTS
from recsys.store.remote import download_stored
from recsys.store.writer import Additions
from recsys.workspace import Workspace


def ingest(
    logs: Sequence[str | Path], store: str | Path, *, buckets: int | None = None, memory: str = DEFAULT_MEMORY
) -> IngestReport:
    """Add event logs (files, folders and glob patterns) to a session store, as `ingest_files` says.

    Raises:
        EventLogError: A log cannot be found or read.
        IngestError: The logs hold no event or are of another world, or the machine has too little disk or memory.
        StoreError: The store is damaged or has another number of buckets.
        StorageError: Another ingest is at work.
    """
    files = discover(logs)
    return ingest_files(files, store, _EventLogs(files), buckets=buckets, memory=memory)


@dataclass(frozen=True)
class _Collection:
    """What `collection.json`, which the simulator writes beside a log, says of the catalogue."""

    catalogue: Catalogue


class _EventLogs:
    """The format of event logs."""

    row, layout, reading = "event", EVENTS, ""

    def __init__(self, files: Sequence[LogFile]) -> None:
        self._folders = {file.path.parent for file in files}

    def prepare(self, store: Workspace, before: Manifest) -> Manifest:
        """Return the manifest with the catalogue that the store and the logs name, if any: all name the same.

        Raises:
            IngestError: The store holds tables, or catalogues differ, or the store has events of further tracks.
        """
        if before.table:
            held = "interactions" if before.interactions else "plays"
            raise IngestError(f"{store}: a store of {held}; event logs need a store of their own")
        agreed, namer = before.catalogue, str(store)
        for file in sorted(folder / DESCRIPTION for folder in self._folders):
            found = _read_catalogue(file) if file.is_file() else None
            if found and agreed and found != agreed:
                raise IngestError(
                    f"two worlds: {namer} has {agreed}, and {file} has {found}; use a store for each world"
                )
            if found and not agreed:
                agreed, namer = found, str(file)
        if agreed and not before.catalogue and before.parts:
            _check_tracks(store, before, agreed)
        return replace(before, catalogue=agreed)

    def load(
        self, connection: queries.Connection, files: NewFiles, manifest: Manifest, bucketing: Bucketing, scratch: Path
    ) -> Additions:
        """Read the logs batch by batch."""
        largest_track = manifest.catalogue.tracks - 1 if manifest.catalogue else LARGEST_ID

        def consume(number: int) -> int:
            rows = queries.stream(connection, "events/moments", ROWS_AT_ONCE)
            return bucketing.add(number, _canonical(rows, largest_track))

        read: list[FileLines] = []
        with progress("ingest", files.megabytes, "MB") as report:
            for batch in reader.read(connection, files, consume, scratch=scratch, largest_track=largest_track):
                read += batch
                done = sum(file.size_bytes for file in (*files.known, *(log.file for log in read)))
                report(done / 1e6, f"{sum(log.lines.good for log in read):,} events")
        sources = [files.source(log.file, log.lines) for log in read]
        return Additions(sources, {files.digests[log.file]: log.rejects for log in read if log.rejects})


def _read_catalogue(file: Path) -> Catalogue:
    try:
        return msgspec.json.decode(read_untrusted(file, 2**20, error=IngestError), type=_Collection).catalogue
    except msgspec.DecodeError as error:
        raise IngestError(f"{file}: no description of a collection ({error})") from None


def _check_tracks(store: Workspace, before: Manifest, catalogue: Catalogue) -> None:
    with queries.connect() as connection:
        queries.attach_parquet(connection, "events", download_stored(store, before.parts))
        largest = queries.fetch_row(connection, "events/largest_track")["track"]
    if largest >= catalogue.tracks:
        found_track = f"{store} has events of track {largest}, and the logs' catalogue has {catalogue}"
        raise IngestError(f"two worlds: {found_track}; use a store for each world")


def _canonical(rows: Iterator[pa.RecordBatch], largest_track: int) -> Iterator[pa.RecordBatch]:
    """Yield batches with experiments as canonical JSON.

    Raises:
        OddLineError: Experiments are not an object of strings, or a track is beyond the largest.
    """
    for batch in rows:
        for key in ("track", "recommendation"):
            if (pc.max(batch[key]).as_py() or 0) > largest_track:
                raise OddLineError(f"a track beyond {largest_track} - at `$.{key}`")
        texts = pc.unique(batch["experiments"]).drop_null().to_pylist()
        changed = {text: canonical for text in texts if (canonical := canonical_assignments(text)) != text}
        if changed:
            column = batch["experiments"].dictionary_encode()
            values = pa.array([changed.get(text, text) for text in column.dictionary.to_pylist()], pa.string())
            canonical_column = pa.DictionaryArray.from_arrays(column.indices, values).cast(pa.string())
            position = batch.schema.get_field_index("experiments")
            yield batch.set_column(position, "experiments", canonical_column)
        else:
            yield batch
