"""Read the plays of a query into a session store.

Files are checked one by one and their ids together; then all rows go to the partitions in one pass.
DuckDB spills to the store's disk.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pyarrow as pa

from analysis import queries
from analysis.logs import sources
from analysis.logs.field_types import IdKinds
from analysis.logs.lines import KEPT_OF_A_REJECT, LineCounts, Reject
from analysis.logs.sources import NewFiles
from analysis.plays.check import CheckedFile, Malformed, check_files
from analysis.plays.query import PlaysQuery
from analysis.store import IdsOf, Manifest, Store
from looplib.progress import progress
from recsys.errors import IngestError
from recsys.store.ids import decide_kinds, write_ids
from recsys.store.partitions import ROWS_AT_ONCE, Batches, divide_plays


def add_plays(
    store: Store,
    files: NewFiles,
    connection: queries.Connection,
    query: PlaysQuery,
) -> tuple[Manifest, dict[IdsOf, Path], Batches]:
    """Read the plays of new files.

    Returns:
        The store's manifest with the new sources, the files of new text ids and titles, and the
        plays by partition.

    Raises:
        AnalysisError: The query fails, or a file is empty or damaged.
        IngestError: Rows contradict each other, or the store has rows with other columns.
    """
    manifest = store.manifest
    scratch = files.scratch
    checked = _check_files(files, query)
    if not checked:
        return manifest, {}, {}
    columns = next(iter(checked.values())).columns
    stored = next(iter(checked.values())).stored
    check_same_columns(store, stored)
    queries.attach_parquet(connection, "checked", sorted(scratch.glob("checked-*")))
    kinds = decide_kinds(connection, query.name)
    if manifest.parts:
        kinds = IdKinds(manifest.text_users, manifest.text_items)
    queries.attach_query(
        connection,
        "verified",
        "interactions/verified_rows",
        text_users=kinds.users,
        text_items=kinds.tracks,
    )
    rejected = _keep_rejects(connection, files, checked, query)
    added = []
    for digest, table in checked.items():
        read = table.rows + len(table.malformed)
        lines = LineCounts(read, read - rejected[digest], rejected[digest])
        added.append(replace(files.sources[table.file], lines=lines))
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
        queries=tuple(dict.fromkeys([*manifest.queries, query.sql])),
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
            f"{store}: its rows have {', '.join(stored)}, and these {', '.join(columns)}; "
            "return the same, or use a store of their own"
        )


def _check_files(files: NewFiles, query: PlaysQuery) -> dict[str, CheckedFile]:
    """Write the checked rows of each new file; return the files by digest."""
    checked: dict[str, CheckedFile] = {}
    with progress("ingest", files.megabytes, "MB") as report:
        for batch in sources.in_batches(files.all, lambda _: ""):
            with files.copied(batch) as copies:
                if not copies:
                    continue
                new = {files.sources[file].digest: file for file in copies}
                target = files.scratch / f"checked-{len(checked):06}.parquet"
                read = check_files(new, query, target)
            checked |= zip(new, read, strict=True)
            files.left_out += sum(file.left_out for file in read)
            report(files.megabytes_done, copies[-1].name)
    return checked


def _keep_rejects(
    connection: queries.Connection,
    files: NewFiles,
    checked: Mapping[str, CheckedFile],
    query: PlaysQuery,
) -> Counter[str]:
    """Keep lines that are no rows and refused rows, and count them by the digest of the file."""
    rejected: Counter[str] = Counter()

    def keep(digest: str, lines: list[Malformed]) -> None:
        rejected[digest] += len(lines)
        name = checked[digest].file.name
        rejects = (
            Reject(name, line, reason, len(text.encode()), text[:KEPT_OF_A_REJECT])
            for line, reason, text in lines
        )
        files.keep_rejects(digest, rejects)

    for digest, file in checked.items():
        if file.malformed:
            keep(digest, file.malformed)
    refused = queries.open_rows(connection, "interactions/rejected_rows")
    for batch in queries.batches(refused, ROWS_AT_ONCE):
        for digest, rows in groupby(batch.to_pylist(), itemgetter("source")):
            file = checked[digest]
            lines = [
                (_line_number(row["row"], file, query), row["reason"], row["text"])
                for row in rows
            ]
            keep(digest, lines)
    return rejected


def _line_number(row: int, file: CheckedFile, query: PlaysQuery) -> int:
    """Compute the line of a row of CSV, for a query without condition; else its number.

    Blank lines, and line breaks within values, are not counted.
    """
    if not query.is_csv:
        return row
    line = row + query.has_header
    for malformed_line, _, _ in file.malformed:
        if malformed_line > line:
            break
        line += 1
    return line
