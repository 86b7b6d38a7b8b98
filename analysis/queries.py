"""Open DuckDB, run the SQL files of `analysis/sql`, and attach the tables that they read.

This is the only module that opens DuckDB.

A SQL file has one statement. Its header names its parameters and the tables that it reads. This
module attaches these tables from files or Arrow tables, so a value of a user is never part of the
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
    """Open a DuckDB database, by default in memory, with settings of DuckDB as keywords.

    A query that needs more than `memory_limit`, such as "1GB", spills to `temp_directory`, which
    should be on the same disk as the result. Without `preserve_insertion_order`, which saves
    memory, rows may come in another order than in their source.
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
    """Attach a user's DuckDB file as `brought`; from then on SQL can only reach `folder`."""
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
    """Turn exceptions of some types into an AnalysisError of one line that begins with `what`.

    Raises:
        AnalysisError: An exception of these types was raised inside the block.
    """
    try:
        yield
    except kinds as problem:
        raise AnalysisError(f"{what}: {one_line(problem)}") from None


def one_line(problem: Exception) -> str:
    """Shorten an exception to one line: its message, without the SQL text."""
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
    """Open an empty in-memory database, which answers questions about SQL itself."""
    return connect()


@cache
def parse(sql: str) -> tuple[list[str], dict[str, Any]]:
    """Parse SQL statements, of which the last must be a SELECT.

    Returns:
        The text of each statement, and the syntax tree of the last, with positions in bytes. The
        tree is cached: do not modify it.

    Raises:
        DatabaseError: The text is not valid SQL, or the last statement is not a SELECT.
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
    """Yield all objects of a JSON syntax tree, parents before children."""
    if isinstance(tree, dict):
        yield tree
    for part in tree.values() if isinstance(tree, dict) else tree:  # type: ignore[attr-defined]
        if isinstance(part, (dict, list)):
            yield from nodes(part)


def negate(sql: str) -> str:
    """Return a SELECT of exactly the rows that a query's WHERE clause filters out."""
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
    """List the names of DuckDB's aggregate functions."""
    return _names(
        "SELECT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"
    )


def identifier(name: str) -> str:
    """Quote a column name if SQL requires quotes.

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
    """Read the text of the SQL file `analysis/sql/<name>.sql`, or of a file given by its path.

    An example of a name is "validation/listener_metrics".
    """
    file = Path(name) if name.endswith(".sql") else SQL_FOLDER / f"{name}.sql"
    return file.read_text(encoding="utf-8")


def open_rows(connection: Connection, name: str, **values: object) -> Rows:
    """Prepare the rows of a SQL file; the query runs when the rows are read.

    Columns that are never read are not computed.
    """
    return connection.sql(statement(name), params=values)


def fetch_table(connection: Connection, name: str, **values: object) -> pa.Table:
    """Run a SQL file with keywords as named parameters; return its rows as an Arrow table.

    Raises:
        DatabaseError: The statement fails, or the keywords do not match its parameters exactly.
    """
    return open_rows(connection, name, **values).to_arrow_table()


def batches(table: Rows, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a relation in Arrow batches.

    Raises:
        DatabaseError: The query fails; this may happen at any batch.
    """
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
    """Prepare the rows of a SQL query written by the owner of the data; it runs when they are read.

    Raises:
        AnalysisError: The query is invalid, returns no rows, or does more than read.
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
    """Write the rows of a SQL file to a Parquet file, and return the number of rows."""
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
    """Create a view with the rows of a SQL file, which runs whenever the view is read."""
    open_rows(connection, name, **values).create_view(table, replace=True)


def materialize(
    connection: Connection,
    table: str,
    name: str,
    **values: object,
) -> None:
    """Run a SQL file and store its rows in a table, replacing a table of that name."""
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
    """Append rows to a table; create the table if it does not exist."""
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
    """Create a view of Parquet files; a query reads only the columns that it needs.

    A column has the widest type that it has in any file. `columns` maps further names to types; a
    column that all files lack is NULL.
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
    """Read files of JSON lines: one row for each line that is not blank, in file order.

    A missing value, or text that is not a whole number, is NULL. With `skip_errors`, a value that
    does not fit the type of its column is NULL, as are all values of a line that is not a JSON
    object; if a key occurs twice in a line, either value is taken. Without `skip_errors`, such
    lines raise a DatabaseError while rows are fetched. Two columns are added: `is_event` says
    whether `condition` holds for the line (whole numbers are text inside the condition), and
    `file_index` is the number of the line's file.
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
    """List the JSON pointers (RFC 6901) that a key may mean; dots may lead into nested objects."""
    pointer = "/" + key.replace("[]", "").replace("~", "~0").replace("/", "~1")
    return [pointer, pointer.replace(".", "/")] if "." in pointer else [pointer]
