"""Read tables of plays into a session store.

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
from analysis.logs.field_types import IdKinds
from analysis.logs.lines import KEPT_OF_A_REJECT, LineCounts, Reject
from analysis.logs.sources import NewFiles
from analysis.store import IdsOf, Manifest, Store
from analysis.tables.columns import Reading
from analysis.tables.reader import (
    CSV,
    CheckedTable,
    Malformed,
    check_files,
    in_batches,
)
from looplib.progress import progress
from recsys.errors import IngestError
from recsys.store.ids import decide_kinds, write_ids
from recsys.store.partitions import ROWS_AT_ONCE, Batches, divide_plays


def add_tables(
    store: Store,
    files: NewFiles,
    connection: queries.Connection,
    reading: Reading,
) -> tuple[Manifest, dict[IdsOf, Path], Batches]:
    """Read new tables of plays.

    Returns:
        The store's manifest with the new sources, the files of new text ids and titles, and the
        plays by partition.

    Raises:
        AnalysisError: A table cannot be read, is empty, or lacks a column.
        IngestError: Rows contradict each other.
    """
    manifest = store.manifest
    scratch = files.scratch
    checked = _check_files(files, reading)
    if not checked:
        return manifest, {}, {}
    queries.attach_parquet(connection, "checked", sorted(scratch.glob("checked-*")))
    _check_written(connection, checked, reading)
    kinds = IdKinds(manifest.text_users, manifest.text_items)
    if not manifest.parts:
        kinds = decide_kinds(connection)
    queries.attach_query(
        connection,
        "verified",
        "interactions/verified_rows",
        text_users=kinds.users,
        text_items=kinds.tracks,
    )
    rejected = _keep_rejects(connection, files, checked, reading)
    sources = []
    for digest, table in checked.items():
        read = table.rows + len(table.malformed)
        lines = LineCounts(read, read - rejected[digest], rejected[digest])
        sources.append(replace(files.sources[table.file], lines=lines))
    ids = write_ids(connection, kinds, store, scratch)
    if reading.columns.title or reading.columns.artist:
        ids["titles"] = scratch / "titles.parquet"
        queries.copy_to_parquet(connection, "interactions/titles", ids["titles"])
    has_share = "share" in reading.columns.stored
    result = "interactions/plays" if has_share else "interactions/summed_rows"
    rows = queries.batches(queries.open_rows(connection, result), ROWS_AT_ONCE)
    tables = (pa.Table.from_batches([batch]) for batch in rows)
    batches = divide_plays(tables, scratch, manifest.partitions)
    manifest = replace(
        manifest,
        columns=reading.columns.stored,
        text_users=kinds.users,
        text_items=kinds.tracks,
        sources=(*manifest.sources, *sources),
    )
    return manifest, ids, batches


def _check_files(
    files: NewFiles,
    reading: Reading,
) -> dict[str, CheckedTable]:
    """Write the checked rows of each new file; return the files by digest."""
    checked: dict[str, CheckedTable] = {}
    with progress("ingest", files.megabytes, "MB") as report:
        for batch in in_batches(files.all, reading):
            with files.copied(batch) as copies:
                if not copies:
                    continue
                new = {files.sources[file].digest: file for file in copies}
                target = files.scratch / f"checked-{len(checked):06}.parquet"
                tables = check_files(new, reading, target)
            checked |= zip(new, tables, strict=True)
            files.left_out += sum(table.left_out for table in tables)
            report(files.megabytes_done, copies[-1].name)
    return checked


def _check_written(
    connection: queries.Connection,
    checked: Mapping[str, CheckedTable],
    reading: Reading,
) -> None:
    """Refuse files with timestamps of several formats, or shares that look like percentages."""
    for row in queries.fetch_table(connection, "interactions/written").to_pylist():
        file = checked[row["source"]].file.name
        if row["formats"] > 1:
            raise IngestError(
                f"{file}: timestamps in {row['formats']} formats, {row['clocks']}; "
                "write them in one"
            )
        if row["are_dates"]:
            raise IngestError(
                f"{file}: its timestamps would be seconds of August 1970; of dates such as "
                "20231114 say --set date_format=%Y%m%d, in Python date_format='%Y%m%d'"
            )
        is_share = reading.columns.share and not reading.percent
        if is_share and 2 * row["beyond"] > row["valued"]:
            raise IngestError(
                f"{file}: {row['beyond']:,} of {row['valued']:,} shares are above 1, "
                f"up to {row['largest']:g}; "
                "where they are 0 to 100, say --set percent=true, in Python percent=True"
            )


def _keep_rejects(
    connection: queries.Connection,
    files: NewFiles,
    checked: Mapping[str, CheckedTable],
    reading: Reading,
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
                (_line_number(row["row"], file, reading), row["reason"], row["text"])
                for row in rows
            ]
            keep(digest, lines)
    return rejected


def _line_number(row: int, file: CheckedTable, reading: Reading) -> int:
    """Compute the line of a row.

    Blank lines of CSV, and line breaks within its values, are not counted.
    """
    if file.file.suffix not in CSV:
        return row - file.before
    line = row + reading.header
    for malformed_line, _, _ in file.malformed:
        if malformed_line > line:
            break
        line += 1
    return line
