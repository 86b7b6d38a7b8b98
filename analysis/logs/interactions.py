"""Find tables of plays or interactions, and read them.

`check_file` reads CSV, JSON lines or Parquet once, with columns of any names, and writes the rows,
checked but for their ids, to a Parquet file of its own. Whether ids are numbers or text depends on
all files of an ingest together, and is decided later.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from analysis import queries
from analysis.errors import InteractionFileError
from analysis.logs import files
from analysis.logs.columns import Reading
from analysis.logs.files import LogFile

CSV = (".csv", ".tsv", ".txt", ".dat", ".data")
JSON_LINES = (".jsonl", ".json", ".ndjson")
PARQUET = (".parquet", ".pq")
_KNOWN = (
    f"{', '.join(CSV)} (CSV), {', '.join(JSON_LINES)} (JSON lines), both also with .gz, "
    f"{', '.join(PARQUET)}"
)
_WHOLE_NUMBERS = {
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
}


def discover(paths: Sequence[str | Path]) -> list[LogFile]:
    """Find the files that names, folders and glob patterns stand for.

    Of a folder, those of a known kind at any depth.

    Raises:
        InteractionFileError: There is none, or it is of no known kind.
    """
    missing = f"no file of plays or interactions here; known are {_KNOWN}"
    logs = files.discover(
        paths, (*CSV, *JSON_LINES, *PARQUET), missing, InteractionFileError
    )
    for file in logs:
        suffix_of(file)
    return logs


def suffix_of(file: LogFile) -> str:
    """Return the suffix that says how a file is to be read.

    Raises:
        InteractionFileError: It is not known.
    """
    suffix = (
        file.path.with_suffix("") if file.is_gzipped else file.path
    ).suffix.lower()
    if (
        suffix not in (*CSV, *JSON_LINES, *(() if file.is_gzipped else PARQUET))
        or not file.path.is_file()
    ):
        raise InteractionFileError(
            f"{file.name}: no file of interactions; known are {_KNOWN}"
        )
    return suffix


class Malformed(NamedTuple):
    """A line of a CSV file that is no row."""

    line: int
    reason: str
    text: str


def check_file(
    file: LogFile, reading: Reading, source: str, target: Path, memory: str
) -> tuple[int, list[Malformed]]:
    """Read a file and write its rows to a Parquet file.

    They have the columns of `sql/interactions/checked_rows.sql`.

    The rows carry the source, which is the file's digest. Beyond the allowed memory DuckDB spills
    beside the target.

    Returns:
        The number of rows, and the lines of a CSV file that are none.

    Raises:
        InteractionFileError: The file is empty, not what its name says, or lacks a column.
    """
    if not file.size_bytes:
        raise InteractionFileError(f"{file.name}: empty; at least one row is expected")
    suffix = suffix_of(file)
    with queries.connect(
        memory_limit=memory, temp_directory=target.parent / "spilled"
    ) as connection:
        try:
            _attach_rows(file, reading, *open_rows(connection, file, reading))
            written = queries.copy_to_parquet(
                connection,
                "interactions/checked_rows",
                target,
                source=source,
                has_share=reading.columns.has_share,
                full_share=100.0 if reading.percent else 1.0,
                has_order=reading.columns.orders_by_position,
                **{
                    f"has_{name}": name in reading.columns.known
                    for name in ("weight", "timestamp", "session")
                },
            )
            malformed = []
            if suffix in CSV and not reading.lists:
                rows = queries.fetch_table(
                    connection, "interactions/malformed_rows"
                ).to_pylist()
                malformed = [Malformed(**row) for row in rows]
        except queries.OutOfMemory:
            raise
        except queries.DatabaseError as error:
            if isinstance(error, queries.DiskErrors) and "GZIP" not in str(error):
                raise
            line = str(error).splitlines()[0]
            raise InteractionFileError(
                f"{file.name}: cannot be read as {suffix} ({line})"
            ) from None
    if not written and not malformed:
        raise InteractionFileError(f"{file.name}: empty; at least one row is expected")
    return written, malformed


def open_rows(
    connection: queries.Connection, file: LogFile, reading: Reading
) -> tuple[queries.Rows, Sequence[str]]:
    """Return the rows of a file, and the names that its columns have in it."""
    if reading.lists:
        queries.attach_lines(
            connection, "text_lines", file.path, gzipped=file.is_gzipped
        )
        rows = queries.open_rows(
            connection, "interactions/list_rows", has_users=reading.lists == "named"
        )
    elif suffix_of(file) in JSON_LINES:
        rows = _open_json(connection, file, reading)
    elif suffix_of(file) in PARQUET:
        queries.attach_parquet(connection, "parquet_rows", [file.path])
        rows = connection.table("parquet_rows")
    else:
        rows = queries.open_csv(
            connection,
            file.path,
            gzipped=file.is_gzipped,
            header=reading.header,
            delimiter=reading.delimiter,
            quoted=reading.quoted,
        )
        if not reading.header:
            return rows, [str(number + 1) for number in range(len(rows.columns))]
    return rows, rows.columns


def _open_json(
    connection: queries.Connection, file: LogFile, reading: Reading
) -> queries.Rows:
    """Return the rows of JSON lines with the columns asked for.

    They have all keys where SQL may ask for others.
    """
    queries.attach_lines(connection, "text_lines", file.path, gzipped=file.is_gzipped)
    columns = reading.columns
    user, track = (
        f"/{name.replace('~', '~0').replace('/', '~1')}"
        for name in (columns.user, columns.item)
    )
    rows = queries.open_rows(
        connection, "interactions/json_documents", user=user, track=track
    )
    keys = sorted({getattr(columns, role) for role in columns.known})
    if reading.where or reading.computed:
        keys = sorted(
            queries.fetch_table(connection, "interactions/json_keys")["key"].to_pylist()
        )
    return queries.open_json(rows, "(document)", keys)


def _attach_rows(
    file: LogFile, reading: Reading, rows: queries.Rows, names: Sequence[str]
) -> None:
    """Make the table `raw_rows` of what `open_rows` returns."""
    found = dict(zip(names, rows.columns, strict=True))
    types = (
        dict(zip(names, map(str, rows.types), strict=True))
        if suffix_of(file) in PARQUET
        else {}
    )
    computed, named = reading.computed, asdict(reading.columns)
    roles = {"user": named.pop("user"), "track": named.pop("item"), **named}
    wanted = {role: column for role, column in roles.items() if column is not None}
    if missing := [
        column
        for column in wanted.values()
        if column not in found and column not in computed
    ]:
        shown = ", ".join(name for name in found if not name.startswith("("))
        raise InteractionFileError(
            f"{file.name}: no column {', '.join(missing)}; found are {shown[:200]}"
        )
    chosen = {
        role: found[column] for role, column in wanted.items() if column not in computed
    }
    expressions = {
        role: computed[column] for role, column in wanted.items() if column in computed
    }
    # of JSON lines
    known = [
        name
        for name in ("fault", "text", "user_kind", "track_kind")
        if f"({name})" in found
    ]
    chosen |= {name: f"({name})" for name in known}
    constants = dict.fromkeys(
        {*roles, "fault", "text"} - chosen.keys() - expressions.keys()
    )
    for role in ("user", "track"):
        if f"{role}_kind" not in known:
            column = wanted[role]
            constants[f"{role}_kind"] = (
                _kind(file, column, types[column]) if column in types else "untyped"
            )
    try:
        queries.attach_columns(
            "raw_rows", rows, chosen, constants, expressions, reading.where
        )
    except queries.DatabaseError as error:
        hint = (
            ""
            if types
            else "; values of CSV and JSON lines are text, compare CAST(column AS DOUBLE)"
        )
        what = "--where" if reading.where else "the preset"
        raise InteractionFileError(
            f"{file.name}: {what}: {str(error).splitlines()[0]}{hint}"
        ) from None


def _kind(file: LogFile, column: str, database_type: str) -> str:
    if database_type in _WHOLE_NUMBERS:
        return "whole number"
    if database_type == "VARCHAR" or database_type.startswith("ENUM"):
        return "text"
    raise InteractionFileError(
        f"{file.name}: column {column} is of type {database_type}; ids are whole numbers or text "
        "(in pandas, a gap makes whole numbers DOUBLE)"
    )
