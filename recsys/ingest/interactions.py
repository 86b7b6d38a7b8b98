"""Interactions of your own (who, what, how much) to the session store: `recsys.ingest --format interactions`.

A run's files are checked one by one, then their ids looked at together, and then all rows go to the buckets in one
sorted pass. What DuckDB cannot keep in memory it spills to the store's disk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis import queries
from analysis.logs import interactions as interaction_files
from analysis.logs.interactions import Malformed, Reading
from analysis.logs.reader import LineCounts, LogFile, Reject
from looplib.progress import progress
from recsys.errors import IngestError
from recsys.ingest.files import NewFiles, check_memory, machine_errors_explained
from recsys.ingest.report import AddedSource, IngestReport
from recsys.lock import Lock
from recsys.store.ids import decide_kinds, write_ids
from recsys.store.manifest import (
    IdFile,
    Interactions,
    Manifest,
    Part,
    Source,
    download_stored,
    extend_manifest,
    open_store,
)
from recsys.store.writer import (
    NewFile,
    commit,
    ids_name,
    locked,
    manifest_to_extend,
    part_name,
    rejects_name,
    scratch_folder,
)
from recsys.workspace import Workspace, open_workspace

ROWS_AT_ONCE = 200_000
SCHEMA = pa.schema(
    {
        "user": pa.int64(),
        "timestamp": pa.int64(),
        "track": pa.int64(),
        "time": pa.float64(),
        "session": pa.string(),
        "source": pa.string(),
    }
)
_KEPT_OF_A_REJECT = 1000


@dataclass(frozen=True)
class _Part:
    """A finished part of one bucket."""

    bucket: int
    file: Path
    rows: int


@dataclass(frozen=True)
class _Sorted:
    """The parts of a run, and what was seen while they were written; timestamps in ms, None without."""

    parts: tuple[_Part, ...]
    repeats: int
    first_timestamp: int | None
    last_timestamp: int | None


@dataclass(frozen=True)
class _Checked:
    """A file that was read: its digest, its checked rows, and the lines that are no rows."""

    file: LogFile
    digest: str
    rows: Path
    malformed: list[Malformed]


def ingest_interactions(
    places: Sequence[str | Path], store: str | Path, reading: Reading, *, buckets: int | None = None, memory: str
) -> IngestReport:
    """Adds files of interactions to a session store, which is created if there is none: all of them, or nothing.

    Rows of a file with the same user, item, timestamp and session become one with the sum of their weights. A file
    whose content the store has is left out, whatever its name.

    Args:
        places: Files and glob patterns.
        store: The store's path or address.
        reading: Where the interactions are in the files.
        buckets: Number of user buckets of a new store; the default of `store_writer` if None.
        memory: What DuckDB may use, such as "1GB"; it spills to the store's disk beyond that.

    Raises:
        InteractionFileError: A file cannot be found or read, is empty, or lacks a column.
        IngestError: No row is good, ids are numbers here and text there, the store holds something else, or the
            machine has too little disk or memory.
        StoreError: Another ingest is at work, or the store is damaged or has another number of buckets.
    """
    check_memory(memory)
    files = interaction_files.discover(places)
    workspace = open_workspace(store)
    with machine_errors_explained(workspace), locked(workspace) as lock:
        before = manifest_to_extend(workspace, buckets)
        _check_same_columns(workspace, before, reading)
        with scratch_folder(workspace.folder) as scratch:
            new = NewFiles(files, before, repr(reading.columns))
            checked = _check_files(files, new, reading, Path(scratch), memory)
            added: tuple[AddedSource, ...] = ()
            repeats = 0
            if checked:
                added, repeats = _add(lock, before, checked, reading, Path(scratch), memory)
    return IngestReport(open_store(store), added, tuple(new.known), repeats)


def _check_same_columns(store: Workspace, before: Manifest, reading: Reading) -> None:
    if before.parts and before.interactions is None:
        raise IngestError(f"{store}: a store of events; interactions need a store of their own")
    if before.interactions and before.interactions.columns != reading.columns.known:
        raise IngestError(
            f"{store}: its interactions have {', '.join(before.interactions.columns)}, and these "
            f"{', '.join(reading.columns.known)}; name the same, or use a store of their own"
        )


def _check_files(
    files: Sequence[LogFile], new: NewFiles, reading: Reading, scratch: Path, memory: str
) -> list[_Checked]:
    checked: list[_Checked] = []
    done_mb = 0.0
    with progress("ingest", sum(file.size_bytes for file in files) / 1e6, "MB") as report:
        for file in new:
            target = scratch / f"checked-{len(checked):06}.parquet"
            malformed = interaction_files.check_file(file, reading, new.digests[file], target, memory)
            checked.append(_Checked(file, new.digests[file], target, malformed))
            done_mb += file.size_bytes / 1e6
            report(done_mb, file.name)
    new.check_unchanged()
    return checked


def _add(
    lock: Lock, before: Manifest, checked: Sequence[_Checked], reading: Reading, scratch: Path, memory: str
) -> tuple[tuple[AddedSource, ...], int]:
    """Sorts, and commits; returns the sources and how many rows were added to others."""
    with queries.connect(memory_limit=memory, temp_directory=scratch / "spilled", keep_order=False) as connection:
        queries.attach_parquet(connection, "checked", [one.rows for one in checked])
        kinds = decide_kinds(connection, before.interactions)
        queries.attach_query(
            connection, "judged", "interactions/judged_rows", text_users=kinds.text_users, text_items=kinds.text_items
        )
        rejects = _write_rejects(connection, checked, reading, scratch)
        sources = _sources(connection, checked)
        _check_useful(sources, rejects)
        known = download_stored(lock.workspace, _id_files(before))
        ids = write_ids(connection, kinds, known, scratch)
        outcome = _write_parts(connection, before.buckets, scratch)
    run = extend_manifest(before, sources=sources, parts=()).digest[:16]
    moved = [NewFile(part.file, part_name(part.bucket, run)) for part in outcome.parts]
    parts = [
        Part(new.name, part.bucket, part.rows, new.file.stat().st_size)
        for new, part in zip(moved, outcome.parts, strict=True)
    ]
    named_ids = [(file, replace(entry, path=ids_name(entry.of, run))) for file, entry in ids]
    moved += [NewFile(file, entry.path) for file, entry in named_ids]
    moved += [NewFile(file, rejects_name(digest)) for digest, file in rejects.items()]
    id_files = sorted((*_id_files(before), *(entry for _, entry in named_ids)), key=lambda file: file.path)
    facts = Interactions(reading.columns.known, kinds.text_users, kinds.text_items, tuple(id_files))
    after = replace(extend_manifest(before, sources=sources, parts=parts), interactions=facts)
    commit(lock, moved, _with_timestamps(after, outcome))
    return tuple(
        AddedSource(source, lock.workspace.folder / rejects_name(source.digest) if source.digest in rejects else None)
        for source in sources
    ), outcome.repeats


def _id_files(manifest: Manifest) -> tuple[IdFile, ...]:
    return manifest.interactions.id_files if manifest.interactions else ()


def _with_timestamps(manifest: Manifest, outcome: _Sorted) -> Manifest:
    firsts = [one for one in (manifest.first_timestamp, outcome.first_timestamp) if one is not None]
    lasts = [one for one in (manifest.last_timestamp, outcome.last_timestamp) if one is not None]
    return replace(manifest, first_timestamp=min(firsts, default=None), last_timestamp=max(lasts, default=None))


def _sources(connection: queries.Connection, checked: Sequence[_Checked]) -> list[Source]:
    rows = {row["source"]: row for row in queries.fetch_table(connection, "interactions/row_counts").to_pylist()}
    nothing = {"good": 0, "rejected": 0}
    sources = []
    for one in checked:
        counts = rows.get(one.digest, nothing)
        good, rejected = counts["good"], counts["rejected"] + len(one.malformed)
        lines = LineCounts(good + rejected, good, rejected, 0)
        sources.append(Source(one.file.name, one.digest, one.file.size_bytes, lines))
    return sources


def _check_useful(sources: Sequence[Source], rejects: dict[str, Path]) -> None:
    if any(source.lines.good for source in sources):
        return
    with next(iter(rejects.values())).open("rb") as lines:
        first = msgspec.json.decode(next(lines), type=Reject)
    raise IngestError(
        f"no interaction in {len(sources)} files; the first row refused is {first.file}:{first.line}: {first.reason}"
    )


def _write_rejects(
    connection: queries.Connection, checked: Sequence[_Checked], reading: Reading, scratch: Path
) -> dict[str, Path]:
    """Writes the refused rows of each file that has some; digest → file."""
    files = {one.digest: scratch / f"rejects-{one.digest}.jsonl" for one in checked}
    of_digest = {one.digest: one for one in checked}
    encoder = msgspec.json.Encoder()
    for one in checked:
        with files[one.digest].open("wb") as lines:
            for line in one.malformed:
                lines.write(encoder.encode(_reject(one.file, line.line, line.reason, line.text)) + b"\n")
    for batch in queries.stream(connection, "interactions/rejected_rows", ROWS_AT_ONCE):
        for digest, rows in groupby(batch.to_pylist(), key=lambda row: row["source"]):
            one = of_digest[digest]
            with files[digest].open("ab") as lines:
                for row in rows:
                    number = _line_number(row["row"], one, reading)
                    lines.write(encoder.encode(_reject(one.file, number, row["reason"], row["text"])) + b"\n")
    return {digest: file for digest, file in files.items() if file.stat().st_size}


def _reject(file: LogFile, line: int, reason: str, text: str) -> Reject:
    return Reject(file.name, line, reason, len(text.encode()), text[:_KEPT_OF_A_REJECT], None)


def _line_number(row: int, one: _Checked, reading: Reading) -> int:
    """The line of a row; in a CSV file with blank lines or line breaks within values, the line it would have without.

    A JSON line or a row of a Parquet file is its own number.
    """
    if not one.file.path.name.removesuffix(".gz").lower().endswith(interaction_files.CSV):
        return row
    line = row + reading.header
    for malformed in one.malformed:
        if malformed.line > line:
            break
        line += 1
    return line


def _write_parts(connection: queries.Connection, buckets: int, scratch: Path) -> _Sorted:
    """Writes the good rows, which come by bucket, to a Parquet file for each bucket."""
    parts: list[_Part] = []
    repeats = 0
    timestamps: list[int] = []
    with progress("sort", buckets, "buckets") as report:
        report(0)
        for bucket, batches in groupby(_by_bucket(connection, buckets), key=lambda pair: pair[0]):
            file = scratch / f"bucket-{bucket:03}.parquet"
            rows = 0
            with pq.ParquetWriter(file, SCHEMA, compression="zstd", store_schema=False) as parquet:
                for _, batch in batches:
                    repeats += pc.sum(batch["repeats"]).as_py()
                    timestamps += _ends(batch["timestamp"])
                    rows += batch.num_rows
                    parquet.write_batch(batch.select(SCHEMA.names).cast(SCHEMA))
            parts.append(_Part(bucket, file, rows))
            report(bucket + 1)
        report(buckets)
    return _Sorted(tuple(parts), repeats, min(timestamps, default=None), max(timestamps, default=None))


def _by_bucket(connection: queries.Connection, buckets: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The sorted rows, each batch of one bucket."""
    for batch in queries.stream(connection, "interactions/bucketed_rows", ROWS_AT_ONCE, buckets=buckets):
        numbers = batch["bucket"].to_numpy()
        start = 0
        while start < len(numbers):
            end = int(numbers.searchsorted(numbers[start], side="right"))
            yield int(numbers[start]), batch.slice(start, end - start)
            start = end


def _ends(timestamps: pa.Array) -> list[int]:
    ends = pc.min_max(timestamps).as_py()
    return [] if ends["min"] is None else [ends["min"], ends["max"]]
