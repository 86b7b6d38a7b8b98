"""Open DuckDB, run the SQL files of `analysis/sql`, and attach the tables that they read.

No other module opens DuckDB.

A SQL file has one statement and names in its header its parameters and the tables that it reads.
The tables are attached here from files or Arrow tables, so no value of a user ever stands in the
text of a statement.
"""

import copy
import glob
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import pyarrow as pa

from analysis.errors import AnalysisError

SQL_FOLDER = Path(__file__).parent / "sql"

Connection = duckdb.DuckDBPyConnection
Rows = duckdb.DuckDBPyRelation
Expression = duckdb.Expression
# an expression of rows: a column by its name, a value, SQL
Case = duckdb.CaseExpression
Column = duckdb.ColumnExpression
Constant = duckdb.ConstantExpression
Function = duckdb.FunctionExpression
Sql = duckdb.SQLExpression
Star = duckdb.StarExpression
DatabaseError = duckdb.Error
# A statement raises these errors for its rows: text that is not JSON, a cast that fails, SQL's
# error().
DataErrors = (
    duckdb.InvalidInputException,
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
)
# DuckDB raises these errors before a statement runs: it is no SQL, or a name is unknown.
StatementErrors = (
    duckdb.ParserException,
    duckdb.BinderException,
    duckdb.CatalogException,
)
# The machine causes these errors.
OutOfMemory = duckdb.OutOfMemoryException
DiskError = duckdb.IOException
_READING = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.EXPLAIN,
    duckdb.StatementType.MULTI,  # PIVOT
}
_BYTES_AT_ONCE = 4 * 2**20
_LONGEST_PROBLEM = 300  # characters of an error's message


def connect(
    database: str | Path = ":memory:", **settings: int | str | Path
) -> Connection:
    """Open a database, by default in memory, with DuckDB's own settings.

    A query that needs more than `memory_limit`, such as "1GB", spills to `temp_directory`, which
    should be on the disk that the result is written to. Without `preserve_insertion_order`, which
    saves memory, rows need not come in the order of their source.
    """
    config = {name: str(value) for name, value in settings.items()}
    defaults = {
        "autoinstall_known_extensions": "false",
        # a name that no table has never stands for a variable of Python
        "python_enable_replacements": "false",
    }
    connection = duckdb.connect(database, config={**defaults, **config})
    connection.execute("SET TimeZone = 'UTC'")  # Times without a time zone are UTC.
    # Jupyter without ipywidgets has no bar to switch off.
    with suppress(duckdb.InvalidInputException):
        connection.execute("SET enable_progress_bar = false")
    return connection


def open_database(file: Path, folder: Path) -> Connection:
    """Attach a DuckDB file as `brought`; SQL of the connection reaches only `folder`."""
    connection = connect(
        autoload_known_extensions="false",
        temp_directory=folder / "spilled",
        max_temp_directory_size="1GB",
    )
    attach = "ATTACH $file AS brought (TYPE duckdb, READ_ONLY)"
    connection.execute(attach, {"file": str(file)})
    confine(connection, [], folder)
    return connection


@contextmanager
def naming(what: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn errors of some kinds into an error of one line that begins with their subject.

    Raises:
        AnalysisError: An error of these kinds was raised.
    """
    try:
        yield
    except kinds as problem:
        raise AnalysisError(f"{what}: {one_line(problem)}") from None


def one_line(problem: Exception) -> str:
    """Shorten an error to its message, without the SQL."""
    text = str(problem).partition("\n\n")[0]
    return " ".join(text.split())[:_LONGEST_PROBLEM]


def confine(connection: Connection, files: Iterable[Path], folder: Path) -> None:
    """Restrict a connection to some files and a folder from now on, whatever SQL it runs."""
    # readers ask for the escaped name
    names = [name for file in files for name in (str(file), glob.escape(str(file)))]
    connection.execute("SET allowed_paths = $names", {"names": names})
    connection.execute("SET allowed_directories = $folders", {"folders": [str(folder)]})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


@cache
def _library() -> Connection:
    """Open a database without tables, which is asked about SQL itself."""
    return connect()


@cache
def parse(sql: str) -> tuple[list[str], dict[str, Any]]:
    """Parse statements, the last of which is a SELECT.

    Returns:
        The texts of the statements, and the syntax tree of the last one, with positions in bytes;
        it is shared.

    Raises:
        DatabaseError: The text is no SQL, or the last statement is no SELECT.
    """
    with _library().cursor() as connection:
        texts = [statement.query for statement in connection.extract_statements(sql)]
        last = "SELECT json_serialize_sql($sql)"
        values = {"sql": texts[-1] if texts else ""}
        ((text,),) = connection.execute(last, values).fetchall()
    tree = json.loads(text)
    if tree["error"] or not tree["statements"]:
        raise duckdb.ParserException(tree.get("error_message", "a SELECT is expected"))
    return texts, tree


def nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Yield the objects of a syntax tree, outer objects first."""
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree:  # type: ignore[attr-defined]
        if isinstance(part, (dict, list)):
            yield from nodes(part)


def negate(sql: str) -> str:
    """Return the SELECT of the rows that its WHERE clause leaves out."""
    tree = copy.deepcopy(parse(sql)[1])
    node = next(node for node in nodes(tree) if node.get("where_clause"))
    true = {"class": "CONSTANT", "type": "VALUE_CONSTANT"}
    node["where_clause"] = {
        "class": "COMPARISON",
        "type": "COMPARE_DISTINCT_FROM",
        "left": node["where_clause"],
        "right": {**true, "literal": {"kind": "BOOLEAN", "text": "true"}},
    }
    made = "SELECT json_deserialize_sql($tree)"
    with _library().cursor() as connection:
        values = {"tree": json.dumps(tree)}
        ((text,),) = connection.execute(made, values).fetchall()
    return str(text)


@cache
def _names(sql: str) -> set[str]:
    with _library().cursor() as connection:
        return {name for (name,) in connection.execute(sql).fetchall()}


def aggregates() -> set[str]:
    """Name the functions that make a value of many rows."""
    return _names(
        "SELECT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"
    )


def identifier(name: str) -> str:
    """Quote the name of a column if SQL needs quotes.

    >>> identifier("song"), identifier("order"), identifier("User ID")
    ('song', '"order"', '"User ID"')
    """
    reserved = _names(
        "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    )
    is_plain = (
        re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) and name.lower() not in reserved
    )
    return name if is_plain else '"{}"'.format(name.replace('"', '""'))


def statement(name: str) -> str:
    """Return the text of `analysis/sql/<name>.sql`, or of a path to a file.

    A name is such as "validation/listener_metrics".
    """
    file = Path(name) if name.endswith(".sql") else SQL_FOLDER / f"{name}.sql"
    return file.read_text(encoding="utf-8")


def open_rows(connection: Connection, name: str, **values: object) -> Rows:
    """Return the rows of a SQL file, which runs when they are read.

    Columns that nobody reads are not computed.
    """
    return connection.sql(statement(name), params=values)


def fetch_table(connection: Connection, name: str, **values: object) -> pa.Table:
    """Run a SQL file and return its rows as an Arrow table; its named parameters are the keywords.

    Raises:
        DatabaseError: The statement fails, or the keywords are not exactly its parameters.
    """
    return open_rows(connection, name, **values).to_arrow_table()


def batches(table: Rows, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield rows in Arrow batches; a DatabaseError may come at any of them."""
    try:
        yield from table.to_arrow_reader(rows)
    except OSError as error:
        # through Arrow comes the text alone, which starts with the error's name
        name = str(error).partition(" Error:")[0].replace(" ", "").lower()
        for kind in (*DataErrors, OutOfMemory, DiskError):
            if kind.__name__.lower() == f"{name}exception":
                raise kind(str(error)) from None
        raise


def ask(connection: Connection, query: str) -> Rows:
    """Return the rows of a query of the owner's, which runs when they are read.

    Raises:
        AnalysisError: The query is wrong, returns no rows, or does more than read.
    """
    with naming("the query", DatabaseError):
        kinds = {statement.type for statement in connection.extract_statements(query)}
        rows = None if kinds - _READING else connection.sql(query)
    if rows is None:
        raise AnalysisError(
            "the query: only statements that read are allowed, such as SELECT"
        )
    return rows


def copy_to_parquet(
    connection: Connection,
    name: str,
    file: Path,
    **values: object,
) -> int:
    """Write the rows of a SQL file to a Parquet file, and return their number."""
    values["copy_target"] = str(file)
    copy = (
        f"COPY ({statement(name)}) TO $copy_target (FORMAT parquet, COMPRESSION zstd)"
    )
    ((written,),) = connection.execute(copy, values).fetchall()
    return int(written)


def attach_query(
    connection: Connection,
    table: str,
    name: str,
    **values: object,
) -> None:
    """Make the rows of a SQL file readable under a table's name; it runs when they are read."""
    open_rows(connection, name, **values).create_view(table, replace=True)


def materialize(
    connection: Connection,
    table: str,
    name: str,
    **values: object,
) -> None:
    """Run a SQL file and keep its rows as a table, which replaces a table of that name."""
    made = f"CREATE OR REPLACE TABLE {table} AS {statement(name)}"
    connection.execute(made, values)


def use_threads(connection: Connection, count: int | None = None) -> None:
    """Set the number of threads (default: all cores). One thread makes sums reproducible."""
    connection.execute(f"SET threads = {count}" if count else "RESET threads")


def drop(connection: Connection, tables: Iterable[str]) -> None:
    """Delete tables, if they exist."""
    for table in tables:
        connection.execute(f"DROP TABLE IF EXISTS {table}")


def append(table: str, rows: Rows) -> None:
    """Add rows to a table, which is made if there is none."""
    try:
        rows.insert_into(table)
    except duckdb.CatalogException:
        rows.create(table)


def attach_parquet(
    connection: Connection,
    table: str,
    files: Sequence[Path],
    where: Expression | None = None,
    columns: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Make Parquet files readable under a table's name; a query reads the columns that it needs.

    A column has the widest type of all files. `columns` maps names to types; the columns that the
    files lack are NULL.
    """
    # DuckDB takes every name for a pattern
    names = [glob.escape(str(file)) for file in files]
    rows = connection.read_parquet(names, hive_partitioning=False, union_by_name=True)
    lacking = [
        Constant(None).cast(kind).alias(name)
        for name, kind in columns.items()
        if name not in rows.columns
    ]
    rows = rows.select(Star(), *lacking)
    if where is not None:
        rows = rows.filter(where)
    rows.create_view(table, replace=True)


def open_log(
    connection: Connection,
    files: Sequence[Path],
    columns: Mapping[str, str],
    condition: str,
    *,
    skip_errors: bool,
) -> Rows:
    """Return a row for each line of files of JSON lines that is not blank, in their order.

    A missing value, or text that is no whole number, is NULL. If errors are skipped, a value that
    does not fit its column's type is NULL, and so are all values of a line that is no JSON object;
    a key with two values has either. Otherwise a DatabaseError is raised while rows are fetched.
    The further column `is_event` says whether the condition, to which whole numbers are text,
    holds, and `file_index` is the number of the line's file.
    """
    types = {name: kind.replace("BIGINT", "VARCHAR") for name, kind in columns.items()}
    rows = connection.read_json(
        [glob.escape(str(file)) for file in files],
        columns=types,
        format="newline_delimited",
        ignore_errors=skip_errors,
        # several threads read a log in pieces of this size
        maximum_object_size=_BYTES_AT_ONCE,
        hive_partitioning=False,
    )
    is_event = Sql(condition).alias("is_event")
    values = (
        Sql(f'TRY_CAST("{name}" AS {kind})').alias(name)
        for name, kind in columns.items()
    )
    return rows.select(*values, is_event, Column("file_index"))


def json_pointers(key: str) -> list[str]:
    """List the JSON pointers of a key (RFC 6901); dots may lead into nested objects."""
    pointer = "/" + key.replace("[]", "").replace("~", "~0").replace("/", "~1")
    return [pointer, pointer.replace(".", "/")] if "." in pointer else [pointer]
