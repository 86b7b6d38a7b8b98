"""Read tables of plays, which become events, or of interactions into a session store.

Files are checked one by one and their ids together; then all rows go to the buckets in one pass.
What DuckDB cannot keep in memory it spills to the store's disk.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from analysis import queries
from analysis.logs.files import LogFile
from analysis.logs.lines import KEPT_OF_A_REJECT, LineCounts, Reject
from analysis.store import Interactions
from analysis.tables.columns import Reading
from analysis.tables.reader import CSV, Malformed, check_file
from looplib.progress import progress
from recsys.errors import IngestError
from recsys.ingest.sources import Ingest, NewFiles
from recsys.store.buckets import ROWS_AT_ONCE
from recsys.store.ids import decide_kinds
from recsys.store.writer import Additions


@dataclass(frozen=True)
class _Checked:
    """A file that was read: the number of its rows, and the lines that are no rows."""

    file: LogFile
    count: int
    malformed: list[Malformed]


def add_tables(work: Ingest, reading: Reading, memory: str) -> Additions:
    """Read tables of plays or interactions into the buckets.

    Raises:
        AnalysisError: A table cannot be read, is empty, or lacks a column.
        IngestError: Rows contradict each other.
    """
    checked = _check_files(work.files, reading, memory, work.scratch)
    if not checked:
        return Additions(work.scratch, ())
    connection = work.connection
    scratch = work.scratch
    queries.attach_parquet(connection, "checked", sorted(scratch.glob("checked-*")))
    _check_written(connection, checked, reading)
    kinds = decide_kinds(connection, work.before.table)
    queries.attach_query(
        connection,
        "verified",
        "interactions/verified_rows",
        text_users=kinds.users,
        text_items=kinds.tracks,
    )
    rejected = _keep_rejects(work, checked, reading)
    sources = []
    for digest, file in checked.items():
        read = file.count + len(file.malformed)
        lines = LineCounts(read, read - rejected[digest], rejected[digest])
        sources.append(work.files.source(file.file, lines))
    ids = work.write_ids(kinds)
    if reading.columns.title or reading.columns.artist:
        ids["titles"] = scratch / "titles.parquet"
        queries.copy_to_parquet(connection, "interactions/titles", ids["titles"])
    has_share = reading.columns.has_share
    result = "interactions/plays" if has_share else "interactions/summed_rows"
    rows = queries.open_rows(connection, result)
    for batch in queries.batches(rows, ROWS_AT_ONCE):
        work.bucketing.add(pa.Table.from_batches([batch]))
    table = Interactions(reading.columns.stored, *kinds)
    return Additions(scratch, sources, ids=ids, table=table)


def _check_files(
    files: NewFiles,
    reading: Reading,
    memory: str,
    scratch: Path,
) -> dict[str, _Checked]:
    """Write the checked rows of each new file; return the files by digest."""
    checked: dict[str, _Checked] = {}
    done_mb = 0.0
    with progress("ingest", files.megabytes, "MB") as report:
        for file in files:
            target = scratch / f"checked-{len(checked):06}.parquet"
            digest = files.digests[file]
            count, malformed = check_file(file, reading, digest, target, memory)
            checked[digest] = _Checked(file, count, malformed)
            done_mb += file.size_bytes / 1e6
            report(done_mb, file.name)
    return checked


def _check_written(
    connection: queries.Connection,
    checked: Mapping[str, _Checked],
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
        is_share = reading.columns.share and not reading.percent
        if is_share and 2 * row["beyond"] > row["valued"]:
            raise IngestError(
                f"{file}: {row['beyond']:,} of {row['valued']:,} shares are above 1, "
                f"up to {row['largest']:g}; "
                "where they are 0 to 100, say --set percent=true, in Python percent=True"
            )


def _keep_rejects(
    work: Ingest,
    checked: Mapping[str, _Checked],
    reading: Reading,
) -> Counter[str]:
    """Keep the rejected lines of each file, and return their number by digest."""
    rejected: Counter[str] = Counter()

    def keep(digest: str, lines: Sequence[Malformed]) -> None:
        name = checked[digest].file.name
        rejected[digest] += len(lines)
        rejects = (
            Reject(name, line, reason, len(text.encode()), text[:KEPT_OF_A_REJECT])
            for line, reason, text in lines
        )
        work.keep_rejects(digest, rejects)

    for digest, file in checked.items():
        keep(digest, file.malformed)
    refused = queries.open_rows(work.connection, "interactions/rejected_rows")
    for batch in queries.batches(refused, ROWS_AT_ONCE):
        found: defaultdict[str, list[Malformed]] = defaultdict(list)
        for row in batch.to_pylist():
            source = row["source"]
            number = _line_number(row["row"], checked[source], reading)
            found[source].append(Malformed(number, row["reason"], row["text"]))
        for source, lines in found.items():
            keep(source, lines)
    return rejected


def _line_number(row: int, file: _Checked, reading: Reading) -> int:
    """Return the line of a row.

    Blank lines of CSV, and line breaks within its values, are not counted.
    """
    if not file.file.path.name.removesuffix(".gz").lower().endswith(CSV):
        return row
    line = row + reading.header
    for malformed in file.malformed:
        if malformed.line > line:
            break
        line += 1
    return line
