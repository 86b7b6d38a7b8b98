"""Read event logs into a session store."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.logs.field_types import LARGEST_ID, IdKinds
from analysis.logs.files import DESCRIPTION, LogFile, discover
from analysis.logs.lines import LineCounts
from analysis.logs.reader import ahead, gather, kinds_of, read
from analysis.logs.sources import NewFiles
from analysis.plays.files import PARQUET
from analysis.store import EVENT_COLUMNS, CatalogueSummary, IdsOf, Manifest, Store
from looplib.checksums import unseal
from looplib.progress import progress
from looplib.untrusted import read_untrusted
from recsys.errors import IngestError
from recsys.store.ids import write_ids
from recsys.store.partitions import ROWS_AT_ONCE, Batches, divide_plays

_TABLES = (".csv", ".tsv", *PARQUET)


def find_logs(paths: Sequence[str | Path]) -> list[LogFile]:
    """Find event logs.

    Raises:
        IngestError: A file is a table.
    """
    files = discover(paths)
    for file in files:
        if file.suffix in _TABLES:
            raise IngestError(
                f"{file.name}: a table, not an event log; name its columns, "
                "--columns listener=…,track=…, or write a query with listening-loop init"
            )
    return files


def add_events(
    store: Store,
    files: NewFiles,
    connection: queries.Connection,
) -> tuple[Manifest, dict[IdsOf, Path], Batches]:
    """Read the events of new logs.

    Returns:
        The store's manifest with the new sources and the catalogue that they name, the files of new
        text ids, and the plays by partition.

    Raises:
        AnalysisError: A log cannot be read.
        IngestError: The logs are of another catalogue than the store.
    """
    manifest = store.manifest
    catalogue = _agreed_catalogue(store, files.all)
    kinds = kinds_of(files.all)
    if manifest.parts:
        kinds = IdKinds(manifest.text_users, manifest.text_items)
    lines: dict[LogFile, LineCounts] = defaultdict(LineCounts)
    tables = gather(_read_events(files, catalogue, kinds, lines), ROWS_AT_ONCE)
    columns = {field: column for column, field in EVENT_COLUMNS.items()}
    plays = (events.rename_columns(columns) for events in ahead(tables))
    batches = divide_plays(plays, files.scratch, manifest.partitions)
    # an empty file has no line
    sources = [
        replace(source, lines=lines[file]) for file, source in files.sources.items()
    ]
    manifest = replace(
        manifest,
        text_users=kinds.users,
        text_items=kinds.tracks,
        catalogue=catalogue,
        sources=(*manifest.sources, *sources),
    )
    text_ids = sorted(files.scratch.glob("text-ids-*"))
    if not text_ids:
        return manifest, {}, batches
    queries.attach_parquet(connection, "verified", text_ids)
    return manifest, write_ids(connection, kinds, store, files.scratch), batches


def _read_events(
    files: NewFiles,
    catalogue: CatalogueSummary | None,
    kinds: IdKinds,
    lines: dict[LogFile, LineCounts],
) -> Iterator[pa.Table]:
    """Yield the events of the new logs, count their lines, and write rejects and text ids."""
    largest_track = LARGEST_ID
    if catalogue and not catalogue.own_ids:
        largest_track = catalogue.tracks - 1
    with progress("ingest", files.megabytes, "MB") as report:
        for number, part in enumerate(read(files, kinds, largest_track)):
            lines[part.file] += part.lines
            files.compare(part.file, part.events)
            if part.rejects:
                files.keep_rejects(files.sources[part.file].digest, part.rejects)
            if any(kinds):
                target = files.scratch / f"text-ids-{number:06}.parquet"
                pq.write_table(part.text_ids, target)
            events = sum(counts.good for counts in lines.values())
            report(files.megabytes_done, f"{events:,} events")
            yield part.events


def _agreed_catalogue(
    store: Store,
    logs: Sequence[LogFile],
) -> CatalogueSummary | None:
    """Compare the catalogues that the store and the logs name.

    Returns:
        Their common catalogue, if any.

    Raises:
        IngestError: Catalogues differ, or the store has events of no catalogue.
    """
    agreed = store.manifest.catalogue
    namer = str(store)
    for file in sorted({log.path.parent / DESCRIPTION for log in logs}):
        if not file.is_file():
            continue
        catalogue = _read_catalogue(file)
        has_own_ids = catalogue.own_ids and (agreed is None or agreed.own_ids)
        if agreed is None and (has_own_ids or not store.manifest.parts):
            agreed = catalogue
            namer = str(file)
        elif agreed and has_own_ids:
            # ids mean the same in a catalogue that has grown
            agreed = max(agreed, catalogue, key=lambda summary: summary.tracks)
        elif catalogue != agreed:
            raise IngestError(
                f"two catalogues: {namer} has {agreed or 'events of no catalogue'}, and {file} "
                f"has {catalogue}; use a store for each catalogue"
            )
    return agreed


def _read_catalogue(file: Path) -> CatalogueSummary:
    content = read_untrusted(file, 2**20, error=IngestError)
    try:
        return msgspec.convert(unseal(content)["catalogue"], CatalogueSummary)
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise IngestError(f"{file}: no description of a collection ({error})") from None
