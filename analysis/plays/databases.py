"""Copy a table of a DuckDB or SQLite file to a file that is read."""

import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.files import LogFile

_SQLITE = b"SQLite format 3"
_TABLES_OF_DUCKDB = """
SELECT table_name FROM duckdb_tables()
WHERE database_name = 'brought' AND schema_name = 'main'
"""
# virtual tables are programs
_TABLES_OF_SQLITE = """
SELECT name FROM sqlite_master
WHERE type = 'table' AND sql LIKE 'CREATE TABLE%' AND name NOT GLOB 'sqlite_*'
"""


def copy_table(database: LogFile, table: str | None, folder: Path) -> LogFile:
    """Copy a table of a database, with the rows of its write-ahead log, to a file in a folder.

    Views are not read: their SQL comes with the file, and could read other files or never end.

    Args:
        database: The file.
        table: The table; None if the database has a single table.
        folder: Where the copy is written.

    Returns:
        The copy, of Parquet or of JSON lines.

    Raises:
        AnalysisError: The database cannot be read, as when a process writes to it with DuckDB, or
            has no such table, or several.
    """
    path, name = database.path.resolve(), database.name
    with queries.naming(name, queries.DatabaseError, sqlite3.Error):
        with path.open("rb") as file:
            is_sqlite = file.read(len(_SQLITE)) == _SQLITE
        name_of_copy = "table.jsonl" if is_sqlite else "table.parquet"
        target = Path(tempfile.mkdtemp(dir=folder), name_of_copy)
        if is_sqlite:
            address = f"{path.as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True)) as connection:
                _write_lines(connection, name, table, target)
        else:
            with queries.open_database(path, target.parent) as connection:
                listed = connection.execute(_TABLES_OF_DUCKDB).fetchall()
                quoted = _find_table(listed, table, name)
                connection.table(f"brought.main.{quoted}").to_parquet(str(target))
    return replace(database, path=target)


def _write_lines(
    connection: sqlite3.Connection, name: str, table: str | None, target: Path
) -> None:
    """Write the rows of a table as JSON lines."""
    listed = connection.execute(_TABLES_OF_SQLITE).fetchall()
    quoted = _find_table(listed, table, name)
    rows = connection.execute(f"SELECT * FROM {quoted}")  # noqa: S608  # nosec B608
    columns = [column[0] for column in rows.description]
    encode = msgspec.json.Encoder().encode_lines
    with target.open("wb") as lines:
        lines.writelines(encode([dict(zip(columns, row, strict=True))]) for row in rows)


def _find_table(rows: Sequence[tuple[str]], table: str | None, name: str) -> str:
    """Find a table among the rows that name a database's tables, and quote it for SQL."""
    tables = [listed for (listed,) in rows]
    matches = [listed for listed in tables if table in (listed, None)]
    if len(matches) != 1:
        raise AnalysisError(
            f"{name}: {f'no table {table}' if table else 'which table'}; it has "
            f"{', '.join(tables)[:200] or 'none'}; name it: init FILE --table "
            "NAME, or read_duckdb('shop.duckdb', table_name = 'plays') in a query; views "
            "are not read"
        )
    return '"{}"'.format(matches[0].replace('"', '""'))
