"""Ingest event logs into a session store; a source that was read before adds nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from analysis import queries
from analysis.logs import reader
from analysis.logs.files import DESCRIPTION, LogFile, discover, kinds_of
from analysis.logs.lines import LARGEST_ID, NUMBERS, IdKinds, OddLineError, canonical_assignments
from analysis.logs.reader import FileLines
from analysis.store import LOGGED, Catalogue, Interactions, Manifest
from looplib.progress import progress
from looplib.untrusted import read_untrusted
from recsys.errors import IngestError
from recsys.ingest.pipeline import DEFAULT_MEMORY, NewFiles, ingest_files
from recsys.ingest.report import IngestReport
from recsys.store.buckets import ROWS_AT_ONCE, Bucketing
from recsys.store.columns import EVENTS
from recsys.store.ids import write_ids
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


_ORIGINALS = "originals-"


@dataclass(frozen=True)
class _Collection:
    """What `collection.json`, which the simulator writes beside a log, says of the catalogue."""

    catalogue: Catalogue


class _EventLogs:
    """The format of event logs."""

    row, layout, reading = "event", EVENTS, ""

    def __init__(self, files: Sequence[LogFile]) -> None:
        self._files, self._folders = files, {file.path.parent for file in files}
        self._known_ids: list[Path] = []

    def prepare(self, store: Workspace, before: Manifest) -> Manifest:
        """Return the manifest with the catalogue that the store and the logs name, if any: all name the same.

        The text ids that the store has are downloaded.

        Raises:
            IngestError: The store holds tables, or catalogues differ, or the store has events of further tracks.
        """
        if before.has_tables:
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
        self._known_ids = download_stored(store, before.plays.id_files) if before.plays else []
        return replace(before, catalogue=agreed)

    def load(
        self, connection: queries.Connection, files: NewFiles, manifest: Manifest, bucketing: Bucketing, scratch: Path
    ) -> Additions:
        """Read the logs batch by batch."""
        catalogue = manifest.catalogue
        largest_track = catalogue.tracks - 1 if catalogue and not catalogue.own_ids else LARGEST_ID
        kinds = self._kinds(manifest)

        def consume(number: int) -> int:
            if any(kinds):
                queries.copy_to_parquet(connection, "events/originals", scratch / f"{_ORIGINALS}{number:06}.parquet")
            rows = queries.stream(connection, "events/moments", ROWS_AT_ONCE)
            return bucketing.add(number, _canonical(rows, largest_track))

        read: list[FileLines] = []
        with progress("ingest", files.megabytes, "MB") as report:
            batches = reader.read(connection, files, consume, scratch=scratch, largest_track=largest_track, kinds=kinds)
            for batch in batches:
                read += batch
                done = sum(file.size_bytes for file in (*files.known, *(log.file for log in read)))
                report(done / 1e6, f"{sum(log.lines.good for log in read):,} events")
        sources = [files.source(log.file, log.lines) for log in read]
        rejects = {files.digests[log.file]: log.rejects for log in read if log.rejects}
        if not (any(kinds) and read):
            return Additions(sources, rejects)
        queries.attach_parquet(connection, "verified", sorted(scratch.glob(f"{_ORIGINALS}*")))
        ids = write_ids(connection, {"users": kinds.users, "items": kinds.tracks}, self._known_ids, scratch)
        earlier = manifest.plays.id_files if manifest.plays else ()
        return Additions(sources, rejects, ids=ids, table=Interactions(LOGGED, *kinds, earlier))

    def _kinds(self, manifest: Manifest) -> IdKinds:
        """Return which ids are text: as in the store, or in the first log."""
        if manifest.plays:
            return IdKinds(manifest.plays.text_users, manifest.plays.text_items)
        return NUMBERS if manifest.parts else kinds_of(self._files)


def _read_catalogue(file: Path) -> Catalogue:
    try:
        return msgspec.json.decode(read_untrusted(file, 2**20, error=IngestError), type=_Collection).catalogue
    except msgspec.DecodeError as error:
        raise IngestError(f"{file}: no description of a collection ({error})") from None


def _check_tracks(store: Workspace, before: Manifest, catalogue: Catalogue) -> None:
    with queries.connect() as connection:
        queries.attach_parquet(connection, "events", download_stored(store, before.parts))
        largest = queries.fetch_row(connection, "events/largest_track")["track"]
    if largest >= catalogue.tracks and not catalogue.own_ids:
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
