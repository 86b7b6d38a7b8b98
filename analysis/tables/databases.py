"""Copy a table of a DuckDB or SQLite file, or the rows of a query, to a file that is read."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.files import LogFile

DATABASES = (".duckdb", ".ddb", ".db", ".sqlite", ".sqlite3")
_SQLITE = b"SQLite format 3"


def merge_log(file: LogFile, target: Path) -> LogFile:
    """Copy a database with the rows of its write-ahead log, which its file does not have yet.

    Returns:
        The copy, or the file itself if there is no such log.

    Raises:
        AnalysisError: The database cannot be read, as when a process writes to it with DuckDB.
    """
    path = file.path.resolve()
    logs = [path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", ".wal")]
    logs = [log for log in logs if log.exists() and log.stat().st_size]
    if file.suffix not in DATABASES or not logs:
        return file
    with _reading(file.name):
        if _is_sqlite(path):
            with (
                _open_sqlite(path) as database,
                closing(sqlite3.connect(target)) as copy,
            ):
                database.backup(copy)
        else:
            with queries.open_database(path):  # nobody writes meanwhile
                shutil.copyfile(path, target)
                shutil.copyfile(logs[0], target.with_name(f"{target.name}.wal"))
            queries.merge_log(target)
    return replace(file, path=target)


def copy_table(database: Path, name: str, table: str | None, folder: Path) -> Path:
    """Copy a table of a database to a file of Parquet, or of JSON lines, in a folder.

    Args:
        database: The file.
        name: What messages call it.
        table: The table or view; None where the database has one alone.
        folder: Where the copy is written.

    Raises:
        AnalysisError: The database cannot be read, or has no such table, or several.
    """
    is_sqlite = _is_sqlite(database)
    target = folder / ("table.jsonl" if is_sqlite else "table.parquet")
    with _reading(name):
        if is_sqlite:
            with _open_sqlite(database) as connection:
                _write_lines(connection, name, table, target)
        else:
            with queries.open_database(database) as connection:
                listed = connection.execute("SHOW TABLES").fetchall()
                quoted = _find_table(listed, table, name)
                connection.table(quoted).to_parquet(str(target))
    return target


def _is_sqlite(database: Path) -> bool:
    with database.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _open_sqlite(database: Path) -> closing[sqlite3.Connection]:
    address = f"{database.resolve().as_uri()}?mode=ro"
    return closing(sqlite3.connect(address, uri=True))


def _reading(name: str) -> AbstractContextManager[None]:
    return queries.naming(name, queries.DatabaseError, sqlite3.Error)


def _write_lines(
    connection: sqlite3.Connection, name: str, table: str | None, target: Path
) -> None:
    """Write the rows of a table as JSON lines."""
    listed = connection.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    )
    quoted = _find_table(listed.fetchall(), table, name)
    rows = connection.execute(f"SELECT * FROM {quoted}")  # noqa: S608  # nosec B608
    columns = [column[0] for column in rows.description]
    encode = msgspec.json.Encoder().encode_lines
    with target.open("wb") as lines:
        lines.writelines(encode([dict(zip(columns, row, strict=True))]) for row in rows)


def _find_table(rows: Sequence[tuple[str]], table: str | None, name: str) -> str:
    """Find a table among the rows that name those of a database, and quote it for SQL."""
    tables = [listed for (listed,) in rows]
    matches = [listed for listed in tables if table in (listed, None)]
    if len(matches) != 1:
        raise AnalysisError(
            f"{name}: {f'no table {table}' if table else 'which table'}; it has "
            f"{', '.join(tables)[:200] or 'none'}; say --table NAME, in Python table="
        )
    return '"{}"'.format(matches[0].replace('"', '""'))


@contextmanager
def copied_query(sql: str | None) -> Iterator[list[Path]]:
    """Copy the rows of a query to a Parquet file, until the block ends.

    DuckDB runs it; statements before the last one, such as ATTACH, open databases.

    Yields:
        The file; nothing without a query.

    Raises:
        AnalysisError: The query fails, or returns no rows.
    """
    if sql is None:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="listening-loop-") as folder:
        target = Path(folder, "query.parquet")
        with (
            queries.connect(autoinstall_known_extensions="true") as connection,
            queries.naming("--sql", queries.DatabaseError),
        ):
            rows = connection.sql(sql)
            if rows is None:
                raise AnalysisError("--sql: returns no rows; a SELECT is expected last")
            rows.to_parquet(str(target))
        yield [target]
