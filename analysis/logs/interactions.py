"""Read interactions from CSV, JSON lines or Parquet, with columns of any names.

`check_file` reads a file once and writes its rows, checked but for their ids, to a Parquet file of its own. Whether ids
are numbers or text depends on all files of an ingest together, and is decided later.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from analysis import queries
from analysis.errors import InteractionFileError
from analysis.logs.files import LogFile, distinct, matching

CSV = (".csv", ".tsv", ".txt", ".dat", ".data")
JSON_LINES = (".jsonl", ".json", ".ndjson")
PARQUET = (".parquet", ".pq")
_WHOLE_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}


@dataclass(frozen=True)
class Columns:
    """The columns of a file that hold interactions; of a file without header their positions, from "1"."""

    user: str
    item: str
    weight: str | None = None
    timestamp: str | None = None
    session: str | None = None

    @property
    def known(self) -> tuple[str, ...]:
        """The names of those that are there."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)


@dataclass(frozen=True)
class Reading:
    """Settings for reading files."""

    columns: Columns
    header: bool = True  # the first line of a CSV file names its columns
    delimiter: str | None = None  # between the values of a CSV file; None to detect it


@dataclass(frozen=True)
class Malformed:
    """A line of a CSV file that is no row."""

    line: int
    reason: str
    text: str


def parse_columns(text: str) -> Columns:
    """Parse "user=uid,item=song,weight=seconds".

    Raises:
        InteractionFileError: A name is unknown, given twice or missing.
    """
    known = [field.name for field in fields(Columns)]
    found: dict[str, str] = {}
    for pair in text.split(","):
        name, separator, column = (part.strip() for part in pair.partition("="))
        if not separator or not column:
            raise InteractionFileError(f"--columns {pair.strip()!r}: expected name=column, such as user=uid")
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
            raise InteractionFileError(
                f"--columns {name}: unknown; the nearest is {nearest}, known are {', '.join(known)}"
            )
        if name in found:
            raise InteractionFileError(f"--columns {name}: given twice")
        found[name] = column
    if missing := [name for name in ("user", "item") if name not in found]:
        raise InteractionFileError(f"--columns {text}: {' and '.join(missing)} not given")
    return Columns(**found)


def discover(paths: Sequence[str | Path]) -> list[LogFile]:
    """Find the files that names and glob patterns stand for.

    Returns:
        Each file once, sorted by name.

    Raises:
        InteractionFileError: There is none, or it is of no known kind.
    """
    found: list[Path] = []
    for path in map(str, paths):
        matches = matching(path)
        if not matches:
            raise InteractionFileError(f"{path}: no such file")
        found += matches
    files = distinct(found)
    for file in files:
        _suffix(file)
    return files


def check_file(file: LogFile, reading: Reading, source: str, target: Path, memory: str) -> tuple[int, list[Malformed]]:
    """Read a file and write its rows as `sql/interactions/checked_rows.sql` describes them to a Parquet file.

    The rows carry the source, which is the file's digest. Beyond the allowed memory DuckDB spills beside the target.

    Returns:
        The number of rows, and the lines of a CSV file that are none.

    Raises:
        InteractionFileError: The file is empty, not what its name says, or lacks a column.
    """
    if not file.size_bytes:
        raise InteractionFileError(f"{file.name}: empty; at least one row is expected")
    suffix = _suffix(file)
    with queries.connect(memory_limit=memory, temp_directory=target.parent / "spilled") as connection:
        try:
            _ATTACH[suffix](connection, file, reading)
            written = queries.copy_to_parquet(
                connection,
                "interactions/checked_rows",
                target,
                source=source,
                **{f"has_{name}": name in reading.columns.known for name in ("weight", "timestamp", "session")},
            )
            malformed = []
            if suffix in CSV:
                rows = queries.fetch_table(connection, "interactions/malformed_rows").to_pylist()
                malformed = [Malformed(row["line"], row["reason"], row["text"] or "") for row in rows]
        except queries.OutOfMemory:
            raise
        except queries.DatabaseError as error:
            if isinstance(error, queries.DiskErrors) and "GZIP" not in str(error):
                raise
            line = str(error).splitlines()[0]
            raise InteractionFileError(f"{file.name}: cannot be read as {suffix} ({line})") from None
    if not written and not malformed:
        raise InteractionFileError(f"{file.name}: empty; at least one row is expected")
    return written, malformed


def _suffix(file: LogFile) -> str:
    name = file.path.with_suffix("") if file.is_gzipped else file.path
    allowed = (*CSV, *JSON_LINES) if file.is_gzipped else (*CSV, *JSON_LINES, *PARQUET)
    suffix = name.suffix.lower()
    if suffix not in allowed or not file.path.is_file():
        text = f"{', '.join(CSV)} (CSV), {', '.join(JSON_LINES)} (JSON lines), both also with .gz"
        raise InteractionFileError(f"{file.name}: no file of interactions; known are {text}, {', '.join(PARQUET)}")
    return suffix


def _attach_csv(connection: queries.Connection, file: LogFile, reading: Reading) -> None:
    rows = queries.open_csv(
        connection, file.path, gzipped=file.is_gzipped, header=reading.header, delimiter=reading.delimiter
    )
    found = rows.columns
    names = found if reading.header else [str(position) for position in range(1, len(found) + 1)]
    columns = _chosen(file, reading.columns, dict(zip(names, found, strict=True)))
    _attach_rows(rows, columns, {"user_kind": "untyped", "track_kind": "untyped"})


def _attach_parquet(connection: queries.Connection, file: LogFile, reading: Reading) -> None:
    rows = queries.open_parquet(connection, file.path)
    columns = _chosen(file, reading.columns, {name: name for name in rows.columns})
    types = {name: str(kind) for name, kind in zip(rows.columns, rows.types, strict=True)}
    kinds = {f"{role}_kind": _kind(file, columns[role], types[columns[role]]) for role in ("user", "track")}
    _attach_rows(rows, columns, kinds)


def _attach_json(connection: queries.Connection, file: LogFile, reading: Reading) -> None:
    queries.attach_lines(connection, "text_lines", file.path, gzipped=file.is_gzipped)
    keys = {("track" if name == "item" else name): key for name, key in asdict(reading.columns).items()}
    pointers = {
        name: None if key is None else "/" + key.replace("~", "~0").replace("/", "~1") for name, key in keys.items()
    }
    queries.attach_query(connection, "raw_rows", "interactions/json_rows", **pointers)


_ATTACH = {
    **dict.fromkeys(CSV, _attach_csv),
    **dict.fromkeys(JSON_LINES, _attach_json),
    **dict.fromkeys(PARQUET, _attach_parquet),
}


def _chosen(file: LogFile, columns: Columns, found: Mapping[str, str]) -> dict[str, str]:
    """Return the file's column by its name in the tables."""
    wanted = {name: getattr(columns, name) for name in columns.known}
    missing = [column for column in wanted.values() if column not in found]
    if missing:
        shown = ", ".join(found)
        raise InteractionFileError(f"{file.name}: no column {', '.join(missing)}; found are {shown[:200]}")
    return {("track" if name == "item" else name): found[column] for name, column in wanted.items()}


def _kind(file: LogFile, column: str, database_type: str) -> str:
    if database_type in _WHOLE_NUMBERS:
        return "whole number"
    if database_type == "VARCHAR" or database_type.startswith("ENUM"):
        return "text"
    raise InteractionFileError(
        f"{file.name}: column {column} is of type {database_type}; ids are whole numbers or text"
    )


def _attach_rows(rows: queries.Rows, columns: Mapping[str, str], kinds: Mapping[str, str]) -> None:
    absent = {role: None for role in ("weight", "timestamp", "session") if role not in columns}
    constants = {**absent, **kinds, "fault": None, "text": None}
    queries.attach_columns("raw_rows", rows, columns, constants)
