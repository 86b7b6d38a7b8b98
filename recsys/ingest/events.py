"""Read event logs into a session store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from analysis import queries
from analysis.logs import reader
from analysis.logs.files import DESCRIPTION, LogFile, discover, kinds_of
from analysis.logs.interactions import PARQUET
from analysis.logs.lines import (
    LARGEST_ID,
    NUMBERS,
    IdKinds,
    OddLineError,
    canonical_assignments,
)
from analysis.logs.reader import FileLines
from analysis.store import LOGGED, Catalogue, Interactions
from looplib.progress import progress
from looplib.untrusted import read_untrusted
from recsys.errors import IngestError
from recsys.ingest.sources import Ingest
from recsys.store.buckets import ROWS_AT_ONCE
from recsys.store.ids import write_ids
from recsys.store.remote import download_stored
from recsys.store.writer import Additions


def find_logs(paths: Sequence[str | Path]) -> list[LogFile]:
    """Find event logs; a table among them is refused with an IngestError."""
    files = discover(paths)
    if table := next(
        (
            file
            for file in files
            if file.path.suffix.lower() in (".csv", ".tsv", *PARQUET)
        ),
        None,
    ):
        raise IngestError(
            f"{table.name}: a table, no event log; name its columns with --columns user=…,item=…, or a --preset, in "
            "Python user=, item= or preset="
        )
    return files


def add_events(work: Ingest) -> Additions:
    """Read event logs batch by batch into the buckets; the catalogue that they name becomes the store's."""
    connection, files, scratch, plays = (
        work.connection,
        work.files,
        work.scratch,
        work.before.plays,
    )
    catalogue = _agreed_catalogue(work)
    work.before = replace(work.before, catalogue=catalogue)
    kinds = NUMBERS if work.before.parts else kinds_of(files.all)
    if plays:
        kinds = IdKinds(plays.text_users, plays.text_items)
    largest_track = (
        catalogue.tracks - 1 if catalogue and not catalogue.own_ids else LARGEST_ID
    )

    def consume(number: int) -> int:
        if any(kinds):
            queries.copy_to_parquet(
                connection,
                "events/originals",
                scratch / f"originals-{number:06}.parquet",
            )
        rows = queries.stream(connection, "events/moments", ROWS_AT_ONCE)
        return work.bucketing.add(number, _canonical(rows, largest_track))

    read: list[FileLines] = []
    with progress("ingest", files.megabytes, "MB") as report:
        batches = reader.read(
            connection,
            files,
            consume,
            scratch=scratch,
            largest_track=largest_track,
            kinds=kinds,
        )
        for batch in batches:
            read += batch
            done = sum(
                file.size_bytes for file in (*files.known, *(log.file for log in read))
            )
            report(done / 1e6, f"{sum(log.lines.good for log in read):,} events")
    sources = [files.source(log.file, log.lines) for log in read]
    rejects = {files.digests[log.file]: log.rejects for log in read if log.rejects}
    if not (any(kinds) and read):
        return Additions(sources, rejects)
    queries.attach_parquet(connection, "verified", sorted(scratch.glob("originals-*")))
    earlier = plays.id_files if plays else ()
    known_ids = download_stored(work.workspace, earlier)
    ids = write_ids(connection, kinds, known_ids, scratch)
    return Additions(
        sources, rejects, ids=ids, table=Interactions(LOGGED, *kinds, earlier)
    )


@dataclass(frozen=True)
class _Collection:
    """What `collection.json` beside a log says of the catalogue."""

    catalogue: Catalogue


def _agreed_catalogue(work: Ingest) -> Catalogue | None:
    """Return the catalogue that the store and the logs name, if any; all name the same."""
    store, before, agreed, namer = (
        work.workspace,
        work.before,
        work.before.catalogue,
        str(work.workspace),
    )
    for file in sorted(
        folder / DESCRIPTION for folder in {file.path.parent for file in work.files.all}
    ):
        found = _read_catalogue(file) if file.is_file() else None
        if found and agreed and found != agreed:
            raise IngestError(
                f"two worlds: {namer} has {agreed}, and {file} has {found}; use a store for each world"
            )
        if found and not agreed:
            agreed, namer = found, str(file)
    if agreed and not agreed.own_ids and not before.catalogue and before.parts:
        with queries.connect() as connection:
            queries.attach_parquet(
                connection, "events", download_stored(store, before.parts)
            )
            largest = queries.fetch_row(connection, "events/largest_track")["track"]
        if largest >= agreed.tracks:
            found_track = f"{store} has events of track {largest}, and the logs' catalogue has {agreed}"
            raise IngestError(f"two worlds: {found_track}; use a store for each world")
    return agreed


def _read_catalogue(file: Path) -> Catalogue:
    try:
        return msgspec.json.decode(
            read_untrusted(file, 2**20, error=IngestError), type=_Collection
        ).catalogue
    except msgspec.DecodeError as error:
        raise IngestError(f"{file}: no description of a collection ({error})") from None


def _canonical(
    rows: Iterator[pa.RecordBatch], largest_track: int
) -> Iterator[pa.RecordBatch]:
    """Yield batches with experiments as canonical JSON, or raise an `OddLineError`."""
    for batch in rows:
        for key in ("track", "recommendation"):
            if (pc.max(batch[key]).as_py() or 0) > largest_track:
                raise OddLineError(f"a track beyond {largest_track} - at `$.{key}`")
        column = batch["experiments"].dictionary_encode()
        texts = column.dictionary.to_pylist()
        canonical = [canonical_assignments(text) for text in texts]
        if canonical != texts:
            values = pa.DictionaryArray.from_arrays(
                column.indices, pa.array(canonical, pa.string())
            )
            position = batch.schema.get_field_index("experiments")
            batch = batch.set_column(position, "experiments", values.cast(pa.string()))
        yield batch
