"""A query of plays: SQL, the files that it reads, and the identity of its rows."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.files import LogFile
from analysis.plays.databases import copy_table
from analysis.plays.files import FUNCTIONS, find_tables, function_of

# A query with these nodes needs all files at once.
_WHOLE_NODES = re.compile("JOIN|PIVOT|SET_OPERATION.*|RECURSIVE.*|WINDOW.*|SUBQUERY_.*")
_WHOLE_CLASSES = {"WINDOW", "SUBQUERY"}
_OF_DATABASES = ("read_duckdb", "sqlite_scan")
_STANDARD = "STANDARD_HANDLING"  # else GROUP BY ALL
_WHOLE_PARTS = ("modifiers", "group_expressions", "sample", "qualify", "having")
# Views and macros of attached databases. A statement that runs a view has its name; after USE, a
# macro also stands for an operator, or for a function in a generated column.
_PROGRAMS = """
SELECT view_name, false FROM system.main.duckdb_views()
WHERE NOT internal AND database_name NOT IN ('memory', 'temp')
UNION ALL SELECT function_name, true FROM system.main.duckdb_functions()
WHERE NOT internal AND database_name NOT IN ('memory', 'temp')
"""
_SPACE = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|(?:--[^\n]*|\s)+""")
_PLACEHOLDER = "{path}"
_KEEPING_REJECTS = ", store_rejects = true, rejects_limit = 0"


@dataclass(frozen=True)
class Reader:
    """The call of a function that reads files, by its bytes in the query."""

    function: str
    paths: tuple[str, ...]
    start: int
    end: int  # after the paths, or after all arguments of a database
    options: Mapping[str, Mapping[str, Any]]  # syntax trees by name
    table: str | None = None
    is_call: bool = True  # else a name alone, such as FROM 'plays.csv'

    @property
    def is_of_database(self) -> bool:
        """Whether it reads a table of a database."""
        return self.function in _OF_DATABASES


@dataclass(frozen=True)
class PlaysQuery:
    """A query of which each row is a play.

    A query that scans, filters and projects the rows of one reader runs for each of its files;
    others run as a whole.

    >>> query = PlaysQuery("SELECT uid AS listener, song AS track FROM 'plays.parquet'")
    >>> query.text_for([Path("copy.parquet")])
    "SELECT uid AS listener, song AS track FROM read_parquet('copy.parquet')"
    """

    sql: str
    folder: Path = field(default_factory=Path)  # to which its paths are relative
    name: str = "the query"  # in messages
    is_untyped: bool = False  # the texts of its file were read from CSV

    @classmethod
    def read(cls, file: Path) -> "PlaysQuery":
        """Read a file of SQL.

        Raises:
            AnalysisError: It cannot be read, or is no query.
        """
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise AnalysisError(f"{file}: cannot be read ({error})") from None
        return cls(text, file.parent, str(file))

    @cached_property
    def _parsed(self) -> tuple[list[str], list[Reader], bool, int]:
        """The statements, the readers of the last, whether they are all, and its conditions."""
        with explained(self.name):
            texts, tree = queries.parse(self.sql)
        parts = [*queries.nodes(tree)]
        conditions = sum(node.get("where_clause") is not None for node in parts)
        tables = [_read_call(node) for node in _find_tables(parts)]
        readers = [reader for reader in tables if reader]
        is_plain = len(texts) == len(tables) == len(readers) == 1
        return texts, readers, is_plain and not _is_whole(parts), conditions

    @property
    def reader(self) -> Reader | None:
        """The reader whose files are read one by one; None if the query runs as a whole."""
        _, readers, is_by_file, _ = self._parsed
        return readers[0] if is_by_file else None

    @property
    def is_csv(self) -> bool:
        """Whether it reads CSV files alone, whose ids have no types."""
        return self.reader is not None and self.reader.function.startswith("read_csv")

    @property
    def reads_database(self) -> bool:
        """Whether it reads a table of a database."""
        return self.reader is not None and self.reader.is_of_database

    @property
    def keeps_rejects(self) -> bool:
        """Whether lines of CSV that are no rows are kept."""
        unsupported = {"ignore_errors", "store_rejects", "union_by_name"}
        options = self.reader.options if self.reader else {}
        return self.is_csv and not unsupported & {*options}

    def option(self, name: str) -> str | None:
        """Return the value of an option of its reader; None if it is not there."""
        value = self.reader.options.get(name) if self.reader else None
        return value["literal"]["text"] if value else None

    def files(self, folder: Path) -> list[LogFile]:
        """Find its files; tables of databases are copied to a folder.

        Raises:
            AnalysisError: There are none, or a file is empty or of no known kind, or a database
                cannot be read.
        """
        return self._files(self.reader, folder) if self.reader else []

    def _files(self, reader: Reader, folder: Path) -> list[LogFile]:
        paths = (os.path.normpath(self.folder / path) for path in reader.paths)
        return [
            copy_table(file, reader.table, folder) if reader.is_of_database else file
            for file in find_tables([*paths])
        ]

    def text_for(self, paths: Sequence[Path]) -> str:
        """Return its SQL for other files: copies of its own."""
        return self._replace([(self.reader, paths)] if self.reader else [])

    def _replace(self, copies: Iterable[tuple[Reader, Sequence[Path]]]) -> str:
        """Return the SQL of the last statement, in which readers read copies of their files."""
        edits = []
        for reader, paths in copies:
            function, extra = reader.function, ""
            if reader.is_of_database:
                function = "read_parquet"
                if paths[0].suffix == ".jsonl":
                    function, extra = "read_json", ", sample_size = -1"
            if self.keeps_rejects:
                extra = _KEEPING_REJECTS
            call = f"{function}({listed(paths)}{extra}" + ")" * (not reader.is_call)
            edits.append((reader.start, reader.end, call))
            if "encoding" in reader.options:
                edits.append((*_span(reader.options["encoding"]), "'utf-8'"))
        text = self._parsed[0][-1].encode()
        for start, end, new in sorted(edits, reverse=True):
            text = text[:start] + new.encode() + text[end:]
        return text.decode()

    def left_out(self, paths: Sequence[Path]) -> str | None:
        """Return the SQL of the rows that its condition leaves out; None without one condition."""
        if self._parsed[-1] != 1:
            return None
        return queries.negate(self.text_for(paths))

    def content(self, file: str) -> str:
        """Name the settings that decide the plays of a file.

        Comments and the paths of files do not; the name of a file and its folder do if the query
        reads them.
        """
        text = self.text_for([Path(_PLACEHOLDER)]) if self.reader else self.sql
        text = text.replace(_KEEPING_REJECTS, "")
        text = _SPACE.sub(lambda match: match[1] or " ", text).strip(" ;")
        path = Path(file)
        reads_names = re.search(r"\bfilename\b", text) is not None
        names = [path.parent.name, path.name.partition(".")[0]] if reads_names else []
        return json.dumps([text, *names])

    def run(self, folder: Path) -> "PlaysQuery":
        """Run it as a whole, and write its rows to a file in a folder.

        Returns:
            The query that reads the file.

        Raises:
            AnalysisError: It fails, or reads a view of a database, or attaches a database with
                macros: their SQL comes with the database, and could read other files or never end.
        """
        folder = folder.resolve()
        target = folder / "query.parquet"
        texts, readers, *_ = self._parsed
        copies = [
            (reader, [file.path for file in self._files(reader, folder)])
            for reader in readers
            if reader.is_of_database
        ]
        with (
            queries.connect(autoinstall_known_extensions="true") as connection,
            chdir(self.folder),
            explained(self.name),
        ):
            for statement in [*texts[:-1], self._replace(copies)]:
                programs = connection.execute(_PROGRAMS).fetchall()
                for name, is_macro in programs:
                    word = re.escape(name.replace('"', '""'))
                    word = rf"(?<!\w){word}(?!\w)"
                    if is_macro or re.search(word, statement, re.IGNORECASE):
                        raise AnalysisError(
                            f"{self.name}: an attached database has the view or macro {name}, "
                            "and only its tables are read; write its SELECT into the query, and "
                            "drop macros"
                        )
                rows = bind(connection, statement)
            rows.to_parquet(str(target))
        is_untyped = "read_csv" in self.sql
        return PlaysQuery(f"FROM {quoted(target)}", folder, self.name, is_untyped)


def quoted(value: object) -> str:
    """Quote a text for SQL."""
    return "'{}'".format(str(value).replace("'", "''"))


def listed(paths: Sequence[object]) -> str:
    """Write paths for SQL, several as a list."""
    texts = ", ".join(map(quoted, paths))
    return texts if len(paths) == 1 else f"[{texts}]"


def bind(connection: queries.Connection, sql: str) -> queries.Rows:
    """Return the rows of a query; its error names the line."""
    try:
        return connection.sql(sql)
    except queries.DatabaseError:
        connection.execute(sql)
        raise


@contextmanager
def explained(name: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn an error of DuckDB into one line with the query's line.

    Raises:
        AnalysisError: The query failed.
    """
    try:
        yield
    except queries.DatabaseError as error:
        if kinds and not isinstance(error, kinds):
            raise
        line = re.search(r"^LINE (\d+):", str(error), re.MULTILINE)
        place = f"{name}, line {line[1]}" if line else name
        raise AnalysisError(f"{place}: {queries.one_line(error)}") from None


def _span(node: Mapping[str, Any]) -> tuple[int, int]:
    start = node["query_location"]
    return start, start + node["query_location_length"]


def _is_whole(nodes: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a query does more than scan, filter and project rows."""
    aggregates = queries.aggregates()
    return any(
        _WHOLE_NODES.fullmatch(str(node.get("type")))
        or node.get("class") in _WHOLE_CLASSES
        or any(node.get(part) for part in _WHOLE_PARTS)
        or node.get("aggregate_handling", _STANDARD) != _STANDARD
        or node.get("function_name") in aggregates
        for node in nodes
    )


def _find_tables(nodes: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Find the tables and table functions of a query, but for subqueries with names."""
    named = {node.get("key") for node in nodes if "value" in node}
    for node in nodes:
        kind = node.get("type")
        is_table = kind == "BASE_TABLE" and node["table_name"] not in named
        if is_table or kind == "TABLE_FUNCTION":
            yield node


def _read_call(node: Mapping[str, Any]) -> Reader | None:
    """Return the reader that a table of a query is, if its files are named in it."""
    start, _ = _span(node)
    if node["type"] == "BASE_TABLE":
        path = node["table_name"]
        end = start + len(quoted(path).encode())
        function = function_of(path)
        is_file = function and not node["schema_name"]
        return (
            Reader(function, (path,), start, end, {}, None, False) if is_file else None
        )
    function = node["function"]["function_name"]
    positional, options = [], {}
    for argument in node["function"]["arguments"]:
        value = argument["expression"]
        if value.get("type") == "COMPARE_EQUAL":
            options[value["left"]["column_names"][0]] = value["right"]
        elif argument["name"]:
            options[argument["name"]] = value
        else:
            positional.append(value)
    if function not in FUNCTIONS or not positional:
        return None
    first, *rest = positional
    items = [item["expression"] for item in first.get("arguments", ())] or [first]
    paths = tuple(item.get("literal", {}).get("text", "") for item in items)
    if not all(paths) or any("://" in path for path in paths):
        return None
    _, end = _span(first)
    table = None
    if function in _OF_DATABASES:
        tables = [*rest, *(options[n] for n in ("table_name",) if n in options)]
        table = tables[-1]["literal"]["text"] if tables else None
        end = max(_span(value)[1] for value in [first, *tables])
    return Reader(function, paths, start, end, options, table)
