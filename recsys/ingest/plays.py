"""Read the plays of a query into a session store.

Files are checked one by one and their ids together; then all rows go to the partitions in one pass.
DuckDB spills to the store's disk.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pyarrow as pa

from analysis import queries
from analysis.logs.field_types import IdKinds
from analysis.logs.files import LogFile
from analysis.logs.lines import KEPT_OF_A_REJECT, LineCounts, Reject
from analysis.logs.sources import NewFiles, in_batches
from analysis.plays.check import Checked, Malformed, check_files
from analysis.plays.columns import stored_columns
from analysis.plays.query import PlaysQuery
from analysis.store import IdsOf, Manifest, Source, Store
from looplib.progress import progress
from recsys.errors import IngestError
from recsys.store.ids import decide_kinds, write_ids
from recsys.store.partitions import ROWS_AT_ONCE, Batches, divide_plays


@dataclass(frozen=True)
class CheckedFiles:
    """Files of a query whose checked rows are in a folder."""

    folder: Path
    columns: tuple[str, ...]  # of the query; none without a new file
    malformed: dict[str, list[Malformed]]  # by the digest of their file
    sources: dict[LogFile, Source]
    repeated: list[LogFile]
    left_out: int


def add_plays(
    store: Store,
    files: NewFiles,
    connection: queries.Connection,
    query: PlaysQuery,
    sql: str,
    checked: CheckedFiles | None = None,
) -> tuple[Manifest, dict[IdsOf, Path], Batches]:
    """Read the plays of new files, unless they are checked already, and divide them.

    Returns:
        The store's manifest with the new sources, the files of new text ids and titles, and the
        plays by partition.

    Raises:
        AnalysisError: The query fails, or a file is empty or damaged.
        IngestError: Rows contradict each other, or the store has rows with other columns.
    """
    manifest = store.manifest
    scratch = files.scratch
    checked = checked or _check_files(files, query)
    columns, malformed = checked.columns, checked.malformed
    files.sources, files.repeated = checked.sources, checked.repeated
    files.left_out = checked.left_out
    new = {source.digest: source for source in files.sources.values()}
    if not new:
        return manifest, {}, {}
    stored = stored_columns(columns)
    check_same_columns(store, stored)
    queries.attach_parquet(
        connection, "checked", sorted(checked.folder.glob("checked-*"))
    )
    groups = queries.fetch_table(connection, "interactions/id_kinds").to_pylist()
    kinds = decide_kinds(groups, query.name)
    if manifest.parts:
        kinds = IdKinds(manifest.text_users, manifest.text_items)
    queries.attach_query(
        connection,
        "verified",
        "interactions/verified_rows",
        text_users=kinds.users,
        text_items=kinds.tracks,
    )
    rejected = _keep_rejects(connection, files, malformed, query)
    rows_of: Counter[str] = Counter()
    for group in groups:
        rows_of[group["source"]] += group["rows"]
    added = []
    for digest, source in new.items():
        read = rows_of[digest] + len(malformed.get(digest, ()))
        lines = LineCounts(read, read - rejected[digest], rejected[digest])
        added.append(replace(source, lines=lines))
    ids = write_ids(connection, kinds, store, scratch)
    if {"title", "artist"} & {*columns}:
        ids["titles"] = scratch / "titles.parquet"
        queries.copy_to_parquet(connection, "interactions/titles", ids["titles"])
    result = "interactions/plays" if "share" in stored else "interactions/summed_rows"
    rows = queries.batches(queries.open_rows(connection, result), ROWS_AT_ONCE)
    tables = (pa.Table.from_batches([batch]) for batch in rows)
    batches = divide_plays(tables, scratch, manifest.partitions)
    manifest = replace(
        manifest,
        columns=stored,
        text_users=kinds.users,
        text_items=kinds.tracks,
        sources=(*manifest.sources, *added),
        queries=tuple(dict.fromkeys([*manifest.queries, sql])),
    )
    return manifest, ids, batches


def check_same_columns(store: Store, columns: tuple[str, ...]) -> None:
    """Refuse a store whose rows have other columns.

    Raises:
        IngestError: It has.
    """
    stored = store.manifest.columns
    if store.manifest.parts and stored != columns:
        raise IngestError(
            f"{store}: it has the columns {', '.join(stored)}, and the new rows have "
            f"{', '.join(columns)}; return the same columns, or use a new store"
        )


def _check_files(files: NewFiles, query: PlaysQuery) -> CheckedFiles:
    """Write the checked rows of new files into their scratch folder."""
    columns: tuple[str, ...] = ()
    malformed: dict[str, list[Malformed]] = {}
    with progress("ingest", files.megabytes, "MB") as report:
        for number, batch in enumerate(in_batches(files.all)):
            target = files.scratch / f"checked-{number:06}.parquet"
            if checked := check_batch(files, batch, query, target):
                columns = checked.columns
                malformed |= checked.malformed
                report(files.megabytes_done, batch[-1].name)
    return CheckedFiles(
        files.scratch,
        columns,
        malformed,
        files.sources,
        files.repeated,
        files.left_out,
    )


def check_batch(
    files: NewFiles, batch: Sequence[LogFile], query: PlaysQuery, target: Path
) -> Checked | None:
    """Write the checked rows of the new files of a batch to a Parquet file, if there are any."""
    with files.copied(batch) as copies:
        if not copies:
            return None
        new = {files.sources[file].digest: file for file in copies}
        checked = check_files(new, query, target)
    files.left_out += checked.left_out
    return checked


def _keep_rejects(
    connection: queries.Connection,
    files: NewFiles,
    malformed: Mapping[str, list[Malformed]],
    query: PlaysQuery,
) -> Counter[str]:
    """Keep lines that are no rows and refused rows, and count them by the digest of the file."""
    rejected: Counter[str] = Counter()
    names = {source.digest: source.name for source in files.sources.values()}

    def keep(digest: str, lines: list[Malformed]) -> None:
        rejected[digest] += len(lines)
        rejects = (
            Reject(
                names[digest], line, reason, len(text.encode()), text[:KEPT_OF_A_REJECT]
            )
            for line, reason, text in lines
        )
        files.keep_rejects(digest, rejects)

    for digest, lines in malformed.items():
        keep(digest, lines)
    refused = queries.open_rows(connection, "interactions/rejected_rows")
    for batch in queries.batches(refused, ROWS_AT_ONCE):
        for digest, rows in groupby(batch.to_pylist(), itemgetter("source")):
            lines_before = [line for line, _, _ in malformed.get(digest, ())]
            lines = [
                (
                    _line_number(row["row"], lines_before, query),
                    row["reason"],
                    row["text"],
                )
                for row in rows
            ]
            keep(digest, lines)
    return rejected


def _line_number(row: int, malformed: Iterable[int], query: PlaysQuery) -> int:
    """Compute the line of a row of CSV, for a query without condition; else its number.

    Blank lines, and line breaks within values, are not counted.
    """
    if not query.is_csv:
        return row
    line = row + (query.option("header") != "false")
    for malformed_line in malformed:
        if malformed_line > line:
            break
        line += 1
    return line
