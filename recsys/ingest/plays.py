"""Read the plays of a query into a session store.

Files are checked one by one and their ids together; then all rows go to the partitions in one pass.
DuckDB spills to the store's disk.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pyarrow as pa

from analysis import queries
from analysis.logs.field_types import IdKinds
from analysis.logs.lines import KEPT_OF_A_REJECT, LineCounts, Reject
from analysis.logs.sources import NewFiles, in_batches
from analysis.plays.check import Malformed, check_files
from analysis.plays.columns import stored_columns
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
    columns, malformed = _check_files(files, query)
    new = {source.digest: source for source in files.sources.values()}
    if not new:
        return manifest, {}, {}
    stored = stored_columns(columns)
    check_same_columns(store, stored)
    queries.attach_parquet(connection, "checked", sorted(scratch.glob("checked-*")))
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
            f"{store}: it has the columns {', '.join(stored)}, and the new rows have "
            f"{', '.join(columns)}; return the same columns, or use a new store"
        )


def _check_files(
    files: NewFiles, query: PlaysQuery
) -> tuple[tuple[str, ...], dict[str, list[Malformed]]]:
    """Write the checked rows of new files.

    Returns:
        The columns of the query, and lines that are no rows by the digest of their file.
    """
    columns: tuple[str, ...] = ()
    malformed: dict[str, list[Malformed]] = {}
    with progress("ingest", files.megabytes, "MB") as report:
        for number, batch in enumerate(in_batches(files.all)):
            with files.copied(batch) as copies:
                if not copies:
                    continue
                new = {files.sources[file].digest: file for file in copies}
                target = files.scratch / f"checked-{number:06}.parquet"
                checked = check_files(new, query, target)
            columns = checked.columns
            malformed |= checked.malformed
            files.left_out += checked.left_out
            report(files.megabytes_done, copies[-1].name)
    return columns, malformed


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
