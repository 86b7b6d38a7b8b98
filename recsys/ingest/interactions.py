"""Ingest tables of your own into a session store: plays, which become events, or interactions (user, item, weight).

Files are checked one by one, then their ids looked at together, and then all rows go to the buckets in one pass. What
DuckDB cannot keep in memory it spills to the store's disk.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from analysis import queries
from analysis.logs.files import LogFile
from analysis.logs.interactions import CSV, Reading, discover
from analysis.logs.lines import LineCounts, Reject
from analysis.logs.tables import Malformed, check_file
from analysis.store import Interactions, Manifest
from looplib.progress import progress
from recsys.errors import IngestError
from recsys.ingest.pipeline import DEFAULT_MEMORY, NewFiles, ingest_files
from recsys.ingest.report import IngestReport
from recsys.store.buckets import ROWS_AT_ONCE, Bucketing
from recsys.store.columns import EVENTS, INTERACTIONS
from recsys.store.ids import decide_kinds, write_ids, write_titles
from recsys.store.remote import download_stored
from recsys.store.writer import Additions
from recsys.workspace import Workspace

_KEPT_OF_A_REJECT = 1000


@dataclass(frozen=True)
class _Checked:
    """A file that was read: its digest, its checked rows and their number, and the lines that are no rows."""

    file: LogFile
    digest: str
    rows: Path
    count: int
    malformed: list[Malformed]


def ingest_interactions(
    paths: Sequence[str | Path],
    store: str | Path,
    reading: Reading,
    *,
    buckets: int | None = None,
    memory: str = DEFAULT_MEMORY,
) -> IngestReport:
    """Add tables (files, folders and glob patterns, read as `reading` says) to a session store, as `ingest_files` says.

    Plays, rows with the share of a track that was heard, become events. Of interactions, rows of a file with the same
    user, item, timestamp and session become one with the sum of their weights.

    Raises:
        InteractionFileError: A file cannot be found or read, is empty, or lacks a column.
        IngestError: No row is good, ids are numbers here and text there, shares are percentages or not as said,
            timestamps are of several formats, the store holds something else, or the machine has too little disk or
            memory.
        StoreError: The store is damaged or has another number of buckets.
        StorageError: Another ingest is at work.
    """
    format_ = _InteractionFiles(reading, memory)
    return ingest_files(discover(paths), store, format_, buckets=buckets, memory=memory)


class _InteractionFiles:
    """The format of files of plays or interactions."""

    def __init__(self, reading: Reading, memory: str) -> None:
        self._settings, self._memory = reading, memory
        self._are_plays = reading.columns.has_share
        self.row, self.layout = ("play", EVENTS) if self._are_plays else ("interaction", INTERACTIONS)
        self.reading = reading.content
        self._known_ids: list[Path] = []

    def prepare(self, store: Workspace, before: Manifest) -> Manifest:
        """Download the text ids that the store has.

        Raises:
            IngestError: The store holds something else, or rows with other columns.
        """
        known, columns, rows = before.plays, self._settings.columns.stored, f"{self.row}s"
        if not self._are_plays:
            known = before.interactions
        if before.parts and (known is None or not before.has_tables):
            held = "interactions" if before.interactions else "plays" if before.has_tables else "events"
            raise IngestError(f"{store}: a store of {held}; {rows} need a store of their own")
        if known and known.columns != columns:
            raise IngestError(
                f"{store}: its {rows} have {', '.join(known.columns)}, and these {', '.join(columns)}; "
                "name the same, or use a store of their own"
            )
        self._known_ids = download_stored(store, known.id_files) if known else []
        return before

    def load(
        self, connection: queries.Connection, files: NewFiles, manifest: Manifest, bucketing: Bucketing, scratch: Path
    ) -> Additions:
        """Check the files, then their ids, and then add the good rows to the buckets."""
        checked = self._check_files(files, scratch)
        if not checked:
            return Additions((), {})
        queries.attach_parquet(connection, "checked", [file.rows for file in checked])
        self._check_written(connection, checked)
        kinds = decide_kinds(connection, manifest.table)
        queries.attach_query(
            connection, "verified", "interactions/verified_rows", text_users=kinds["users"], text_items=kinds["items"]
        )
        rejects, rejected = self._write_rejects(connection, checked, scratch)
        sources = []
        for file in checked:
            read = file.count + len(file.malformed)
            lines = LineCounts(read, read - rejected[file.digest], rejected[file.digest], blank=0)
            sources.append(files.source(file.file, lines))
        ids, untitled = write_ids(connection, kinds, self._known_ids, scratch), 0
        if self._settings.columns.title or self._settings.columns.artist:
            ids["titles"], untitled = write_titles(connection, scratch)
        statement = "interactions/plays" if self._are_plays else "interactions/summed_rows"
        rows = queries.stream(connection, statement, ROWS_AT_ONCE)
        repeats = sum(source.lines.good for source in sources) - bucketing.add(0, rows)
        earlier = manifest.table.id_files if manifest.table else ()
        facts = Interactions(self._settings.columns.stored, kinds["users"], kinds["items"], earlier)
        return Additions(sources, rejects, ids=ids, table=facts, repeats=repeats, untitled=untitled)

    def _check_written(self, connection: queries.Connection, checked: Sequence[_Checked]) -> None:
        """Refuse files with timestamps of several formats, and shares that are percentages where they should not be."""
        names = {file.digest: file.file.name for file in checked}
        for row in queries.fetch_table(connection, "interactions/written").to_pylist():
            file = names[row["source"]]
            if row["formats"] > 1:
                raise IngestError(f"{file}: timestamps in {row['formats']} formats, {row['clocks']}; write them in one")
            if not self._settings.columns.share:
                continue
            if not self._settings.percent and 2 * row["beyond"] > row["valued"]:
                raise IngestError(
                    f"{file}: {row['beyond']:,} of {row['valued']:,} shares are above 1, up to {row['largest']:g}; "
                    "where they are 0 to 100, say --scale percent"
                )
            if self._settings.percent and 0 < (row["largest"] or 0) <= 0.01:
                raise IngestError(f"{file}: no share is above 1; where they are 0 to 1, leave out --scale percent")

    def _check_files(self, files: NewFiles, scratch: Path) -> list[_Checked]:
        checked: list[_Checked] = []
        done_mb = 0.0
        with progress("ingest", files.megabytes, "MB") as report:
            for file in files:
                target = scratch / f"checked-{len(checked):06}.parquet"
                digest = files.digests[file]
                count, malformed = check_file(file, self._settings, digest, target, self._memory)
                checked.append(_Checked(file, digest, target, count, malformed))
                done_mb += file.size_bytes / 1e6
                report(done_mb, file.name)
        return checked

    def _write_rejects(
        self, connection: queries.Connection, checked: Sequence[_Checked], scratch: Path
    ) -> tuple[dict[str, Path], Counter[str]]:
        """Write the rejected lines of each file that has some; return those files and the lines' number by digest."""
        written: dict[str, Path] = {}
        rejected: Counter[str] = Counter()
        files = {file.digest: file for file in checked}
        encoder = msgspec.json.Encoder()

        def write(digest: str, line: int, reason: str, text: str) -> None:
            reject = Reject(files[digest].file.name, line, reason, len(text.encode()), text[:_KEPT_OF_A_REJECT], None)
            rejected[digest] += 1
            target = written.setdefault(digest, scratch / f"rejects-{digest}.jsonl")
            with target.open("ab") as lines:
                lines.write(encoder.encode(reject) + b"\n")

        for file in checked:
            for line in file.malformed:
                write(file.digest, line.line, line.reason, line.text)
        for batch in queries.stream(connection, "interactions/rejected_rows", ROWS_AT_ONCE):
            for row in batch.to_pylist():
                number = self._line_number(row["row"], files[row["source"]])
                write(row["source"], number, row["reason"], row["text"])
        return written, rejected

    def _line_number(self, row: int, file: _Checked) -> int:
        """Return the line of a row; in CSV with blank lines or line breaks within values, the line without those.

        A JSON line or a row of a Parquet file is its own number.
        """
        if not file.file.path.name.removesuffix(".gz").lower().endswith(CSV):
            return row
        line = row + self._settings.header
        for malformed in file.malformed:
            if malformed.line > line:
                break
            line += 1
        return line
