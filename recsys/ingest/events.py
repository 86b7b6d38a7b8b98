"""Read event logs into a session store."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import queries
from analysis.logs.field_types import LARGEST_ID, NUMBERS, IdKinds
from analysis.logs.files import DESCRIPTION, LogFile, discover
from analysis.logs.lines import LineCounts
from analysis.logs.reader import ahead, gather, kinds_of, read
from analysis.store import LOGGED, Catalogue, Interactions
from analysis.tables.reader import PARQUET, suffix_of
from looplib.checksums import unseal
from looplib.progress import progress
from looplib.untrusted import read_untrusted
from recsys.errors import IngestError
from recsys.ingest.sources import Ingest
from recsys.store.buckets import ROWS_AT_ONCE
from recsys.store.writer import Additions

_TABLES = (".csv", ".tsv", *PARQUET)


def find_logs(paths: Sequence[str | Path]) -> list[LogFile]:
    """Find event logs.

    Raises:
        IngestError: A file is a table.
    """
    files = discover(paths)
    for file in files:
        if suffix_of(file) in _TABLES:
            raise IngestError(
                f"{file.name}: a table, no event log; name its columns with "
                "--columns user=…,item=…, or a --preset, in Python user=, item= or preset="
            )
    return files


def add_events(work: Ingest) -> Additions:
    """Read event logs into the buckets; the store takes over the catalogue that they name."""
    plays = work.before.plays
    work.before = replace(work.before, catalogue=_agreed_catalogue(work))
    kinds = NUMBERS if work.before.parts else kinds_of(work.files.all)
    if plays:
        kinds = IdKinds(plays.text_users, plays.text_items)
    lines: dict[LogFile, LineCounts] = defaultdict(LineCounts)
    tables = gather(_read_events(work, kinds, lines), ROWS_AT_ONCE)
    for rows in ahead(tables):
        work.bucketing.add(rows)
    sources = [work.files.source(file, counts) for file, counts in lines.items()]
    table = Interactions(LOGGED, *kinds) if any(kinds) else None
    additions = Additions(work.scratch, sources, table=table)
    text_ids = sorted(work.scratch.glob("text-ids-*"))
    if not text_ids:
        return additions
    queries.attach_parquet(work.connection, "verified", text_ids)
    return replace(additions, ids=work.write_ids(kinds))


def _read_events(
    work: Ingest,
    kinds: IdKinds,
    lines: dict[LogFile, LineCounts],
) -> Iterator[pa.Table]:
    """Yield the events of the new logs, count their lines, and write rejects and text ids."""
    files = work.files
    catalogue = work.before.catalogue
    done = 0.0
    largest_track = LARGEST_ID
    if catalogue and not catalogue.own_ids:
        largest_track = catalogue.tracks - 1
    with progress("ingest", files.megabytes, "MB") as report:
        for number, found in enumerate(read(files, kinds, largest_track)):
            if found.file not in lines:
                done += found.file.size_bytes / 1e6
            lines[found.file] += found.lines
            if found.rejects:
                work.keep_rejects(files.digests[found.file], found.rejects)
            if any(kinds):
                target = work.scratch / f"text-ids-{number:06}.parquet"
                pq.write_table(found.text_ids, target)
            events = sum(counts.good for counts in lines.values())
            report(done, f"{events:,} events")
            yield found.events
    for file in files.digests:
        lines[file] += LineCounts()  # an empty file has no line


def _agreed_catalogue(work: Ingest) -> Catalogue | None:
    """Return the catalogue that the store and the logs name, if any.

    Raises:
        IngestError: They name different ones, or the store has events of none.
    """
    agreed = work.before.catalogue
    namer = str(work.workspace)
    for file in sorted({log.path.parent / DESCRIPTION for log in work.files.all}):
        if not file.is_file():
            continue
        found = _read_catalogue(file)
        has_own_ids = found.own_ids and (agreed is None or agreed.own_ids)
        if agreed is None and (has_own_ids or not work.before.parts):
            agreed = found
            namer = str(file)
        elif agreed and has_own_ids:
            # ids mean the same in a catalogue that has grown
            agreed = max(agreed, found, key=lambda catalogue: catalogue.tracks)
        elif found != agreed:
            raise IngestError(
                f"two worlds: {namer} has {agreed or 'events of no catalogue'}, and {file} has "
                f"{found}; use a store for each world"
            )
    return agreed


def _read_catalogue(file: Path) -> Catalogue:
    content = read_untrusted(file, 2**20, error=IngestError)
    try:
        return msgspec.convert(unseal(content)["catalogue"], Catalogue)
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise IngestError(f"{file}: no description of a collection ({error})") from None
