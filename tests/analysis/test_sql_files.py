"""Every SQL file: one statement, a complete, truthful header, and a module that runs it."""

import re
from dataclasses import dataclass
from functools import cache
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analysis import queries
from analysis.ab.metrics import METRICS

ROOT = Path(__file__).parents[2]
NAMES = sorted(
    file.relative_to(queries.SQL_FOLDER).with_suffix("").as_posix()
    for file in queries.SQL_FOLDER.rglob("*.sql")
)
every_file = pytest.mark.parametrize("name", NAMES)

# A value of each type, to plan a statement with; what it is does not matter, as the tables are
# empty.
VALUES = {
    "BIGINT": 1,
    "DOUBLE": 0.5,
    "BOOLEAN": True,
    "VARCHAR": "text",
    "INTEGER[]": [1],
    "VARCHAR[]": ["text"],
}


@dataclass(frozen=True)
class Header:
    """The leading comments of a SQL file."""

    rows: str
    parameters: dict[str, str]  # name → type
    tables: list[str]  # name(column TYPE, …)
    columns: list[str]  # names, in order


@cache
def header(name: str) -> Header:
    """Read the leading comments: `$parameter TYPE, meaning`, `FROM table(columns)`, "Columns:".

    An entry of a column stands three spaces in, its continuation further; it may stand for several.
    """
    lines = [*takewhile(re.compile("--").match, queries.statement(name).splitlines())]
    head, _, columns = "\n".join(lines).partition("\n-- Columns:\n")
    entries = re.findall(r"^-- {3}(\S.*)$", columns, re.MULTILINE)
    return Header(
        lines[0],
        dict(re.findall(r"^-- \$(\w+) +([A-Z]+(?:\[\])?), \S", head, re.MULTILINE)),
        re.findall(r"^-- FROM (\w+\(.*\))$", head, re.MULTILINE),
        [name for entry in entries for name in re.split(r"  +", entry)[0].split(", ")],
    )


@every_file
def test_the_header_of_one_statement_says_one_row_per_what_parameters_tables_and_columns(
    name: str,
) -> None:
    assert header(name).rows.startswith(("-- One row per ", "-- One row: "))
    assert header(name).columns
    (parsed,) = duckdb.extract_statements(queries.statement(name))
    assert set(header(name).parameters) == set(parsed.named_parameters)
    statement = re.sub(r"--[^\n]*", "", queries.statement(name))
    reads = re.search(r"\bFROM (?!unnest)", statement)
    assert bool(header(name).tables) == bool(reads)
    for table in header(name).tables:
        named = table.partition("(")[0]
        files = rf"read_parquet\(\${named}_file\)|query_table\(\${named}_table\)"
        read = rf"\b(FROM|JOIN|UNPIVOT) ({named}\b|{files})"
        assert re.search(read, statement), table
    assert name in _names_in_modules(), "no module runs it"


@every_file
def test_runs_on_empty_tables_and_returns_the_columns_of_its_header(
    name: str, tmp_path: Path
) -> None:
    connection = queries.connect(threads=1)
    for table in header(name).tables:
        connection.execute(f"CREATE TABLE {table}")
        named = table.partition("(")[0]
        if f"{named}_file" in header(name).parameters:
            file = str(tmp_path / f"{named}.parquet")
            connection.table(named).write_parquet(file)
            connection.execute(f"DROP TABLE {named}")
    values = {
        parameter: _value(parameter, kind, tmp_path)
        for parameter, kind in header(name).parameters.items()
    }
    table = queries.fetch_table(connection, name, **values)
    assert table.column_names == header(name).columns


@cache
def _names_in_modules() -> frozenset[str]:
    """Every text of the form "topic/result" in the modules, and of the built-in metrics."""
    modules = (
        file
        for folder in ("analysis", "recsys", "listening_loop")
        for file in (ROOT / folder).rglob("*.py")
    )
    texts = (
        re.findall(r'"(\w+/\w+)"', file.read_text(encoding="utf-8")) for file in modules
    )
    return frozenset(chain(*texts, (f"metrics/{name}" for name in METRICS)))


def _value(parameter: str, kind: str, folder: Path) -> Any:  # noqa: ANN401  a value of any SQL type
    """A value of a parameter's type; of a parameter named for a file or a table, its name."""
    if parameter.endswith("_table"):
        return parameter.removesuffix("_table")
    if parameter.endswith("_file"):
        return str(folder / f"{parameter.removesuffix('_file')}.parquet")
    return VALUES[kind]
