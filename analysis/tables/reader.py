"""Find tables of plays or interactions, and read them.

`check_files` reads CSV, JSON or Parquet once, with columns of any names, and writes the rows,
checked but for their ids, to a Parquet file. Small files of JSON are read together, as `in_batches`
puts them, since a statement of DuckDB takes as long as a thousand rows. Whether ids are numbers or
text depends on all files of an ingest together, and is decided later.
"""

import codecs
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs import files, sources
from analysis.logs.files import LogFile
from analysis.tables.columns import Columns, Reading, file_names
from analysis.tables.databases import DATABASES, copy_table

CSV = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter")
JSON_LINES = (".jsonl", ".json", ".ndjson")
PARQUET = (".parquet", ".pq")
_KNOWN = (
    f"{', '.join(CSV)} (CSV), {', '.join(JSON_LINES)} (JSON lines or an array), "
    f"both also with .gz, {', '.join(PARQUET)}, {', '.join(DATABASES)}; "
    "unpack others, and write a sheet of Excel as CSV"
)
_EMPTY = "empty; at least one row is expected"
# columns of numbers
AMOUNTS = ("weight", "share", "played", "duration")
# Forms of dates for `strptime`, read without `date_format` as dates with the year first are.
USUAL_DATES = [
    "%d %b %Y, %H:%M",
    "%d %b %Y %H:%M",
    "%d %b %Y %H:%M:%S",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
]
# DuckDB may use so much, and spills the rest to the disk: enough for a laptop beside other work
MEMORY = "1GB"
_LONGEST_LINE = 2**20  # bytes; a longer line is an object of JSON on many lines
# columns of `sql/interactions/json_documents.sql`
_OF_JSON = ("(source)", "(fault)", "(text)", "(user_kind)", "(track_kind)")


def find_tables(paths: Sequence[str | Path]) -> list[LogFile]:
    """Find the files of names, folders and glob patterns.

    A folder stands for its files of a known kind, at any depth.

    Raises:
        AnalysisError: No file is found, or a file is empty or of no known kind.
    """
    missing = f"no file of plays or interactions here; known are {_KNOWN}"
    suffixes = (*CSV, *JSON_LINES, *PARQUET, *DATABASES)
    logs = files.discover(paths, suffixes, missing)
    for file in logs:
        if file.suffix not in suffixes:
            problem = f"no file of interactions; known are {_KNOWN}"
            raise AnalysisError(f"{file.name}: {problem}")
        if not file.size_bytes:
            raise AnalysisError(f"{file.name}: {_EMPTY}")
    return logs


# A line of a CSV file that is no row: its number, the reason, and its text.
Malformed = tuple[int, str, str]


@dataclass(frozen=True)
class CheckedTable:
    """A file whose rows were read."""

    file: LogFile
    malformed: list[Malformed]  # lines that are no rows
    rows: int = 0
    left_out: int = 0  # rows for which the condition does not hold
    before: int = 0  # rows of the files before it, which are numbered first


def in_batches(files: Iterable[LogFile], reading: Reading) -> Iterator[list[LogFile]]:
    """Put consecutive small files of JSON that are written alike together, for `check_files`."""
    return sources.in_batches(
        files, lambda file: None if reading.encoding else _json_form(file)
    )


def attach_checked(
    connection: queries.Connection,
    files: Iterable[LogFile],
    reading: Reading,
    folder: Path,
    limit: int | None = None,
) -> list[CheckedTable]:
    """Make the rows of files, at most the first `limit`, readable as the table `checked`.

    They are written to Parquet files in the folder. `check_files` describes arguments and errors.
    """
    tables: list[CheckedTable] = []
    for number, batch in enumerate(in_batches(files, reading)):
        named = {file.name: file for file in batch}
        target = folder / f"{number:06}.parquet"
        read = check_files(named, reading, target, limit)
        tables += read
        if limit is not None:
            limit -= sum(table.rows + table.left_out for table in read)
            if limit <= 0:
                break
    queries.attach_parquet(connection, "checked", sorted(folder.glob("*.parquet")))
    return tables


def check_files(
    files: Mapping[str, LogFile],
    reading: Reading,
    target: Path,
    limit: int | None = None,
) -> list[CheckedTable]:
    """Read a batch of files and write their rows, checked, to a Parquet file.

    `sql/interactions/checked_rows.sql` has the columns. Beyond `MEMORY`, DuckDB spills beside the
    target.

    Args:
        files: The files by their digests.
        reading: How they are read.
        target: The Parquet file.
        limit: Number of rows to read, the first.

    Raises:
        AnalysisError: A file is empty, of another kind than its name says, or lacks a column.
    """
    file = next(iter(files.values()))
    try:
        return _check_files(files, reading, target, limit)
    except AnalysisError as error:
        refusal = error
    except queries.DatabaseError as error:
        is_machine = isinstance(error, (queries.OutOfMemory, queries.DiskError))
        if is_machine and "GZIP" not in str(error):
            raise
        reason = queries.one_line(error)
        refusal = AnalysisError(
            f"{file.name}: cannot be read as {file.suffix} ({reason})"
        )
    if len(files) == 1:
        raise refusal
    # A single file is to blame.
    tables: list[CheckedTable] = []
    for source, file in files.items():
        alone = target.with_stem(f"{target.stem}-{len(tables)}")
        tables += check_files({source: file}, reading, alone, limit)
    return tables


def _check_files(
    files: Mapping[str, LogFile],
    reading: Reading,
    target: Path,
    limit: int | None,
) -> list[CheckedTable]:
    """Read files of the same form in one statement."""
    source, first = next(iter(files.items()))
    connected = queries.connect(
        memory_limit=MEMORY, temp_directory=target.parent / "spilled"
    )
    with decoded(first, reading, target.parent) as copy, connected as connection:
        copies = {**files, source: copy}
        # `--where` is SQL of the caller
        paths = [file.path for file in copies.values()]
        queries.confine(connection, paths, target.parent)
        rows = open_rows(connection, copies, reading)
        _attach_rows(copies, reading, rows.limit(limit) if limit else rows)
        written = queries.copy_to_parquet(
            connection,
            "interactions/checked_rows",
            target,
            has_share=reading.columns.has_share,
            full_share=100.0 if reading.percent else 1.0,
            has_order=reading.columns.orders_by_position,
            date_format=reading.date_format,
            usual_dates=USUAL_DATES,
            weight_scale=reading.weight_scale,
            known=[*reading.columns.stored],
        )
        malformed: list[Malformed] = []
        if first.suffix in CSV and not reading.lists:
            lines = queries.fetch_table(connection, "interactions/malformed_rows")
            malformed = [tuple(line.values()) for line in lines.to_pylist()]
        counts: list[dict[str, Any]] = [{"source": source, "rows": written}]
        if reading.where or reading.columns.event or len(files) > 1:
            queries.attach_parquet(connection, "checked", [target])
            counted = queries.fetch_table(connection, "interactions/file_rows")
            counts = counted.to_pylist()
    counted_rows = {row.pop("source"): row for row in counts}
    tables = [
        CheckedTable(file, malformed, **counted_rows.get(source, {}))
        for source, file in files.items()
    ]
    is_cut = limit is not None and len(files) > 1
    for table in tables:
        if not (table.rows or malformed or table.left_out or is_cut):
            raise AnalysisError(f"{table.file.name}: {_EMPTY}")
    return tables


@contextmanager
def decoded(file: LogFile, reading: Reading, folder: Path) -> Iterator[LogFile]:
    """Copy text that is not UTF-8, or a table of a database, to a file that is read.

    The copy is in the folder, until the block ends.

    Raises:
        AnalysisError: The text has another encoding, or the database lacks the table.
    """
    if file.suffix in DATABASES:
        table = copy_table(file, reading.table, folder)
        yield table
        table.path.unlink()
        return
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


def open_rows(
    connection: queries.Connection,
    files: Mapping[str, LogFile],
    reading: Reading,
) -> queries.Rows:
    """Return the rows of files of JSON by their digests, or of a single file.

    The columns of a file without header are numbers, from 1.
    """
    file = next(iter(files.values()))
    if reading.lists:
        if file.suffix not in CSV:
            raise AnalysisError(
                f"{file.name}: lists of items are lines of text, in a file such as train.txt; "
                "of JSON name the columns, as in --columns user=user,item=items[]"
            )
        queries.attach_texts(connection, "text_lines", [file.path])
        return queries.open_rows(connection, "interactions/list_rows")
    if file.suffix in JSON_LINES:
        # Labels tell the files apart, which are all written alike.
        places = [file_names(file.name) for file in files.values()]
        labels = {f"({name})": [place[name] for place in places] for name in places[0]}
        labels["(source)"] = [*files]
        paths = [file.path for file in files.values()]
        form = _json_form(file) or "lines"
        queries.attach_texts(connection, "text_lines", paths, form, labels)
        return _open_documents(connection, reading)
    if file.suffix in PARQUET:
        queries.attach_parquet(connection, "parquet_rows", [file.path])
        rows = connection.table("parquet_rows")
        if not _is_nested(rows, reading.columns):
            return rows
        queries.attach_query(connection, "text_lines", "interactions/nested_rows")
        return _open_documents(connection, reading)
    with file.open() as text:
        # Excel's way to name the delimiter
        mark = re.match(rb"(?:\xef\xbb\xbf)?sep=(.)\s*$", text.readline(10))
    return queries.open_csv(
        connection,
        file.path,
        header=reading.header,
        delimiter=mark[1].decode() if mark else reading.delimiter,
        quoted=reading.quoted,
        skip=int(mark is not None),
    )


def _is_nested(rows: queries.Rows, columns: Columns) -> bool:
    """Whether columns are fields of nested objects, or elements of lists."""
    types = dict(zip(rows.columns, map(str, rows.types), strict=True))
    nested = {name for name, kind in types.items() if kind.endswith((")", "[]"))}
    nested = {name for name in nested if not types[name].startswith(("DEC", "ENUM"))}
    names = columns.names or nested
    return bool(nested) and any(name in nested or name not in types for name in names)


def _json_form(file: LogFile) -> queries.TextForm | None:
    """Detect lines of JSON, an array of objects, or objects of several lines each."""
    if file.suffix not in JSON_LINES:
        return None
    with file.open() as text:
        first = text.readline(_LONGEST_LINE)
    if first.lstrip().startswith(b"["):
        return "array"
    is_long = first.strip() == b"{" or len(first) == _LONGEST_LINE
    return "unstructured" if is_long else "lines"


def _open_documents(connection: queries.Connection, reading: Reading) -> queries.Rows:
    """Return the rows of JSON documents with the columns asked for.

    They have all keys if SQL may ask for others.
    """
    columns = reading.columns
    names = columns.names - reading.computed.keys()
    rows = queries.open_rows(connection, "interactions/documents")
    lists = [name.split("[]") for name in sorted(names)]
    for depth in range(1, max(map(len, lists), default=1)):
        paths = {"".join(parts[:depth]) for parts in lists if len(parts) > depth}
        rows = queries.unnest_json(rows, sorted(paths))
    rows.create_view("documents", replace=True)
    typed = queries.open_rows(
        connection,
        "interactions/json_documents",
        user=queries.json_pointers(columns.user),
        track=queries.json_pointers(columns.item),
    )
    sql = " ".join(filter(None, [reading.where, *reading.computed.values()]))
    keys: list[str] = []
    if sql:
        every_key = queries.fetch_table(connection, "interactions/json_keys")
        listed = {name.replace("[]", ""): name for name in names}
        keys = [listed.get(key, key) for key in every_key["key"].to_pylist()]
    # A key that no object of the file has is NULL.
    keys += [*sorted(names), *re.findall('"([^"]+)"', sql)]
    return queries.open_json(typed, list(dict.fromkeys(keys)))


def _find_columns(
    file: LogFile,
    reading: Reading,
    rows: queries.Rows,
) -> dict[str, queries.Expression]:
    """Express each of `Columns` in the rows that `open_rows` returns, NULL if it is not named.

    Raises:
        AnalysisError: The file lacks a column.
    """
    columns = set(rows.columns)
    places = file_names(file.name)
    values = {}
    missing = []
    for role, column in asdict(reading.columns).items():
        if column is None or column in places:
            label = f"({column})"
            place = queries.Constant(places.get(column or ""))
            values[role] = queries.Column(label) if label in columns else place
        elif column in reading.computed:
            values[role] = queries.Sql(reading.computed[column])
        elif column in columns:
            values[role] = queries.Column(column)
        elif role == "event" and reading.columns.event_column in columns:
            values["weight"] = _weigh(reading.columns)
        elif columns >= set(column.split("+")):
            parts = [queries.Column(part) for part in column.split("+")]
            join = queries.Constant(" " if role == "timestamp" else " - ")
            values[role] = queries.Function("concat_ws", join, *parts)
            if role == "item":  # an artist alone is no track
                is_whole = parts[-1].cast("VARCHAR") != queries.Constant("")
                values[role] = queries.Case(is_whole, values[role])
        else:
            missing.append(column)
    if missing:
        shown = ", ".join(name for name in rows.columns if name[0] != "(")
        raise AnalysisError(
            f"{file.name}: no column {', '.join(missing)}; found are {shown[:200]}"
        )
    return values


def _weigh(columns: Columns) -> queries.Expression:
    """Express the weight of a row by its event; NULL for an event without a weight."""
    kinds, weights = zip(*columns.event_weights.items(), strict=True)
    event = queries.Column(columns.event_column).cast("VARCHAR")
    number = queries.Function("list_position", queries.Constant([*kinds]), event)
    return queries.Function("list_extract", queries.Constant([*weights]), number)


def _attach_rows(
    files: Mapping[str, LogFile],
    reading: Reading,
    rows: queries.Rows,
) -> None:
    """Make the table `raw_rows` of the rows of `open_rows`."""
    source, file = next(iter(files.items()))
    columns = reading.columns
    names = rows.columns
    is_typed = file.suffix in PARQUET and not set(_OF_JSON) & set(names)
    types = dict(zip(names, rows.types, strict=True)) if is_typed else {}
    values = _find_columns(file, reading, rows)
    values.pop("event", None)
    if reading.decimal:
        swapped = (",.", ".") if reading.decimal == "comma" else (",", "")
        marks = [queries.Constant(mark) for mark in swapped]
        values |= {
            role: queries.Function("translate", values[role], *marks)
            for role in AMOUNTS
        }
    values["track"] = values.pop("item")
    values["source"] = queries.Constant(source)
    values["fault"] = values["text"] = queries.Constant(None)
    from_json = [name for name in names if name in _OF_JSON]
    values |= {name.strip("()"): queries.Column(name) for name in from_json}
    for role, column in (("user_kind", columns.user), ("track_kind", columns.item)):
        kind = "untyped"
        if column in types:
            kind = _kind(file, column, str(types[column]))
        elif column not in names and {"+", "@"} & set(column):
            kind = "text"
        if role not in values or kind != "untyped":
            values[role] = queries.Constant(kind)
    try:
        where = queries.Sql(reading.where or "true")
        if columns.event:
            where &= values["weight"].isnotnull()
        values["kept"] = where.cast("BOOLEAN") | values["fault"].isnotnull()
        queries.attach_columns("raw_rows", rows, values)
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
        "(in pandas, a gap makes whole numbers DOUBLE, and astype('Int64') INTEGER)"
    )
