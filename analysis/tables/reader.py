"""Find tables of plays or interactions, and read them.

`check_file` reads CSV, JSON lines or Parquet once, with columns of any names, and writes the rows,
checked but for their ids, to a Parquet file of its own. Whether ids are numbers or text depends on
all files of an ingest together, and is decided later.
"""

import codecs
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs import files
from analysis.logs.files import LogFile
from analysis.tables.columns import Reading

CSV = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter")
JSON_LINES = (".jsonl", ".json", ".ndjson")
PARQUET = (".parquet", ".pq")
_KNOWN = (
    f"{', '.join(CSV)} (CSV), {', '.join(JSON_LINES)} (JSON lines or an array), "
    f"both also with .gz, {', '.join(PARQUET)}"
)
# columns of numbers
AMOUNTS = ("weight", "share", "played", "duration")
# columns of `sql/interactions/json_documents.sql`
_OF_JSON = ("(fault)", "(text)", "(user_kind)", "(track_kind)")


def find_tables(paths: Sequence[str | Path]) -> list[LogFile]:
    """Find the files that names, folders and glob patterns stand for.

    Of a folder, those of a known kind at any depth.

    Raises:
        AnalysisError: There is none, or it is of no known kind.
    """
    missing = f"no file of plays or interactions here; known are {_KNOWN}"
    suffixes = (*CSV, *JSON_LINES, *PARQUET)
    logs = files.discover(paths, suffixes, missing)
    for file in logs:
        if file.suffix not in suffixes:
            problem = f"no file of interactions; known are {_KNOWN}"
            raise AnalysisError(f"{file.name}: {problem}")
    return logs


# a line of a CSV file that is no row: its number, why, and its text
Malformed = tuple[int, str, str]


def check_file(
    file: LogFile,
    reading: Reading,
    source: str,
    target: Path,
    memory: str,
    limit: int | None = None,
) -> tuple[int, list[Malformed]]:
    """Read a file and write its rows, checked, to a Parquet file.

    The columns are those of `sql/interactions/checked_rows.sql`; the source is the file's digest.
    Beyond the allowed memory DuckDB spills beside the target. Of a file with more rows than the
    limit, the first are read.

    Returns:
        The number of rows, and the lines of a CSV file that are none.

    Raises:
        AnalysisError: The file is empty, not what its name says, or lacks a column.
    """
    if not file.size_bytes:
        raise AnalysisError(f"{file.name}: empty; at least one row is expected")
    suffix = file.suffix
    connected = queries.connect(
        memory_limit=memory, temp_directory=target.parent / "spilled"
    )
    with decoded(file, reading, target.parent) as file, connected as connection:
        # `--where` is SQL of the caller
        queries.confine(connection, file.path, target.parent)
        with _naming(f"{file.name}: cannot be read as {suffix}"):
            rows, names = open_rows(connection, file, reading)
            _attach_rows(file, reading, rows.limit(limit) if limit else rows, names)
            written = queries.copy_to_parquet(
                connection,
                "interactions/checked_rows",
                target,
                source=source,
                has_share=reading.columns.has_share,
                full_share=100.0 if reading.percent else 1.0,
                has_order=reading.columns.orders_by_position,
                date_formats=[reading.date_format] if reading.date_format else None,
                weight_scale=reading.weight_scale,
                known=[*reading.columns.known],
            )
            malformed: list[Malformed] = []
            if suffix in CSV and not reading.lists:
                lines = queries.fetch_table(connection, "interactions/malformed_rows")
                malformed = [tuple(line.values()) for line in lines.to_pylist()]
    if not written and not malformed:
        raise AnalysisError(f"{file.name}: empty; at least one row is expected")
    return written, malformed


@contextmanager
def decoded(file: LogFile, reading: Reading, folder: Path) -> Iterator[LogFile]:
    """Copy a file of text that is not UTF-8 to one in a folder that is, until the block ends.

    Raises:
        AnalysisError: It is not written in the encoding.
    """
    if not reading.encoding or file.suffix in PARQUET:
        yield file
        return
    copy = folder / f"decoded{file.suffix}"
    try:
        with (
            file.open() as packed,
            copy.open("w", encoding="utf-8", newline="") as text,
        ):
            reader = codecs.getreader(reading.encoding)(packed)
            shutil.copyfileobj(reader, text)
        yield replace(file, path=copy)
    except (LookupError, UnicodeError) as error:
        raise AnalysisError(
            f"{file.name}: encoding {reading.encoding}: {error}; "
            "allowed are Python's names, such as cp1252 or utf-16"
        ) from None
    finally:
        copy.unlink(missing_ok=True)


@contextmanager
def _naming(problem: str) -> Iterator[None]:
    """Raise errors that name the file where it is to blame, and not the machine."""
    try:
        yield
    except queries.DatabaseError as error:
        machine_errors = (queries.OutOfMemory, *queries.DiskErrors)
        if isinstance(error, machine_errors) and "GZIP" not in str(error):
            raise
        line = queries.one_line(error)
        raise AnalysisError(f"{problem} ({line})") from None


def open_rows(
    connection: queries.Connection,
    file: LogFile,
    reading: Reading,
) -> tuple[queries.Rows, Sequence[str]]:
    """Return the rows of a file, and the names that its columns have in it."""
    if reading.lists:
        if file.suffix not in CSV:
            raise AnalysisError(
                f"{file.name}: lists of items are lines of text, in a file such as train.txt"
            )
        queries.attach_lines(connection, "text_lines", file.path)
        rows = queries.open_rows(
            connection, "interactions/list_rows", has_users=reading.lists == "named"
        )
    elif file.suffix in JSON_LINES:
        rows = _open_json(connection, file, reading)
    elif file.suffix in PARQUET:
        queries.attach_parquet(connection, "parquet_rows", [file.path])
        rows = connection.table("parquet_rows")
    else:
        rows = queries.open_csv(
            connection,
            file.path,
            header=reading.header,
            delimiter=reading.delimiter,
            quoted=reading.quoted,
        )
        if not reading.header:
            return rows, [str(number + 1) for number in range(len(rows.columns))]
    return rows, rows.columns


def _open_json(
    connection: queries.Connection,
    file: LogFile,
    reading: Reading,
) -> queries.Rows:
    """Return the rows of JSON lines with the columns asked for.

    They have all keys where SQL may ask for others.
    """
    with file.open() as text:
        is_array = text.read(100).lstrip().startswith(b"[")
    attach = queries.attach_array if is_array else queries.attach_lines
    attach(connection, "text_lines", file.path)
    columns = reading.columns
    rows = queries.open_rows(
        connection,
        "interactions/json_documents",
        user=queries.json_pointer(columns.user),
        track=queries.json_pointer(columns.item),
    )
    named = (getattr(columns, role) for role in columns.known)
    keys = sorted({part for column in named for part in column.split("+")})
    if reading.where or reading.computed:
        every_key = queries.fetch_table(connection, "interactions/json_keys")
        keys = sorted(every_key["key"].to_pylist())
    return queries.open_json(rows, keys)


def find_columns(
    file: LogFile,
    reading: Reading,
    rows: queries.Rows,
    names: Sequence[str],
) -> dict[str, queries.Expression]:
    """Express each of `Columns` in the rows that `open_rows` returns, NULL without one.

    Raises:
        AnalysisError: The file lacks a column.
    """
    columns = dict(zip(names, rows.columns, strict=True))
    path = Path(file.name)
    places = {"@file": path.name.partition(".")[0], "@folder": path.parent.name}
    values = {}
    missing = []
    for role, column in asdict(reading.columns).items():
        if column is None or column in places:
            values[role] = queries.Constant(places.get(column or ""))
        elif column in reading.computed:
            values[role] = queries.Sql(reading.computed[column])
        elif column in columns:
            values[role] = queries.Column(columns[column])
        elif columns.keys() >= set(column.split("+")):
            parts = [queries.Column(columns[part]) for part in column.split("+")]
            join = queries.Constant(" - ")
            values[role] = queries.Function("concat_ws", join, *parts)
            if role == "item":  # an artist alone is no track
                is_whole = parts[-1].cast("VARCHAR") != queries.Constant("")
                values[role] = queries.Case(is_whole, values[role])
        else:
            missing.append(column)
        if reading.decimal and role in AMOUNTS:
            swapped = (",.", ".") if reading.decimal == "comma" else (",", "")
            replacing = map(queries.Constant, swapped)
            values[role] = queries.Function("translate", values[role], *replacing)
    if missing:
        shown = ", ".join(name for name in names if not name.startswith("("))
        raise AnalysisError(
            f"{file.name}: no column {', '.join(missing)}; found are {shown[:200]}"
        )
    return values


def _attach_rows(
    file: LogFile,
    reading: Reading,
    rows: queries.Rows,
    names: Sequence[str],
) -> None:
    """Make the table `raw_rows` of what `open_rows` returns."""
    columns = reading.columns
    is_typed = file.suffix in PARQUET
    types = dict(zip(names, rows.types, strict=True)) if is_typed else {}
    values = find_columns(file, reading, rows, names)
    values["track"] = values.pop("item")
    values["fault"] = values["text"] = queries.Constant(None)
    for name in _OF_JSON:
        if name in names:
            values[name.strip("()")] = queries.Column(name)
    for role, column in (("user_kind", columns.user), ("track_kind", columns.item)):
        if column in types:
            kind = _kind(file, column, str(types[column]))
            values[role] = queries.Constant(kind)
        elif column not in names and {"+", "@"} & set(column):
            values[role] = queries.Constant("text")
        else:
            values.setdefault(role, queries.Constant("untyped"))
    try:
        queries.attach_columns("raw_rows", rows, values, reading.where)
    except queries.DatabaseError as error:
        hint = "; values of CSV and JSON lines are text, compare CAST(column AS DOUBLE)"
        if is_typed:
            hint = ""
        what = "--where" if reading.where else "the preset"
        raise AnalysisError(
            f"{file.name}: {what}: {queries.one_line(error)}{hint}"
        ) from None


def _kind(file: LogFile, column: str, database_type: str) -> str:
    """Name the kind of a column's ids by its type in a Parquet file."""
    if database_type.endswith(("INT", "INTEGER")):
        return "whole number"
    if database_type in ("VARCHAR", "UUID") or database_type.startswith("ENUM"):
        return "text"
    raise AnalysisError(
        f"{file.name}: column {column} is of type {database_type}; ids are whole numbers or text "
        "(in pandas, a gap makes whole numbers DOUBLE)"
    )
