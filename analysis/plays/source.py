"""Open files as the FROM clause of a query: find their dialect, and profile their columns."""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.files import LogFile
from analysis.plays.check import open_copies
from analysis.plays.files import find_tables, function_of
from analysis.plays.query import PlaysQuery, bind, quoted
from analysis.queries import identifier

_GUESSED_FROM = 20_000  # rows of the first file
_DECODED = 16 * 2**20  # bytes from which the encoding is guessed
_LONGEST_LINE = 2**20  # bytes; a longer line is an object of JSON on many lines
_LARGEST_OBJECT = 2**27  # bytes of JSON
_DEEPEST = 3  # lists in lists
# a value that stands where a name is expected: a number, a date, a long id, an address
_VALUE = re.compile(r"[-\d.,:/ ]*\d|.*\d{4}.*\d\d:\d\d.*|[0-9a-f-]{32,}|\w+://.*")
_UNREADABLE = "no row can be read; UTF-8, objects of JSON or Parquet are expected, as its name says"
# `strptime` forms of dates, the likelier first, and of times behind them
_DATES = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%Y", "%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
    *("%Y%m%d", "%Y%m%dT%H%M%SZ", "%a, %d %b %Y %H:%M:%S GMT"),
)
_TIMES = ("", "%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
_BETWEEN = (" ", ", ", " at ")
_FORMS = [
    date + (between + time if time else "")
    for date in _DATES
    for time in (_TIMES if "%H" not in date else ("",))
    for between in (_BETWEEN if time else ("",))
]
_FIRST_YEAR = 1980
_NEARLY_ALL = 0.95


@dataclass(frozen=True)
class Column:
    """A column of a file; most fields are columns of `sql/interactions/column_values.sql`."""

    name: str
    sql: str
    path: tuple[str, ...]  # of nested objects and lists
    kind: str  # its type
    filled: float = 0.0
    is_number: bool = False
    is_whole: bool = False
    is_time: bool = False
    decimal: str | None = None
    is_clock: bool = False
    smallest: float | None = None
    largest: float | None = None
    kinds: int = 0
    example: str = ""
    forms: tuple[str, ...] = ()  # of dates that DuckDB does not read as they are

    @property
    def is_typed_time(self) -> bool:
        """Whether it has a type of times."""
        return self.kind.startswith(("TIMESTAMP", "DATE"))


@dataclass(frozen=True)
class Source:
    """Files as the FROM clause of a query, and the columns of the first one."""

    paths: tuple[str, ...]  # as they stand in the query
    function: str
    table: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    lists: tuple[Mapping[str, Column], ...] = ()  # by the names of their elements
    types: Mapping[str, Any] = field(
        default_factory=dict
    )  # of the rows as they are read
    columns: tuple[Column, ...] = ()

    def sql(self, between: str = " ") -> str:
        """Return the FROM clause."""
        paths = [*map(quoted, self.paths)]
        arguments = [paths[0] if len(paths) == 1 else f"[{', '.join(paths)}]"]
        if self.table:
            is_named = "table_name = " if self.function == "read_duckdb" else ""
            arguments.append(is_named + quoted(self.table))
        arguments += (f"{name} = {value}" for name, value in self.options.items())
        call = f"{self.function}({', '.join(arguments)})"
        for level in self.lists:
            pairs = ((identifier(name), column.sql) for name, column in level.items())
            elements = ", ".join(f"unnest({sql}) AS {name}" for name, sql in pairs)
            call = f"({between}SELECT *, {elements} FROM {call}{between})"
        return call

    def column(self, name: str) -> Column | None:
        """Return a column by its name."""
        return next((column for column in self.columns if column.name == name), None)

    def typed(self, types: Mapping[str, str]) -> "Source":
        """Give columns of CSV and JSON types, by name; JSON is read for these alone."""
        options = dict(self.options)
        if self.function == "read_csv":
            options.pop("all_varchar", None)
            pairs = (f"{quoted(name)}: {quoted(kind)}" for name, kind in types.items())
            options["types"] = f"{{{', '.join(pairs)}}}"
        elif self.function == "read_json":
            by_path = {c.path: types[c.name] for c in self.columns if c.name in types}
            fields = (
                f"{quoted(name)}: {quoted(_json_type(kind, (name,), by_path))}"
                for name, kind in self.types.items()
                if any(path[0] == name for path in by_path)
            )
            options["columns"] = f"{{{', '.join(fields)}}}"
        return replace(self, options=options)


class Sample:
    """The first rows of files, with all values as text."""

    def __init__(
        self,
        stack: ExitStack,
        paths: Sequence[str | Path],
        names: Sequence[str],
        table: str | None,
        folder: Path,
    ) -> None:
        """Open the first file, until a stack ends.

        Args:
            stack: Closes what is opened.
            paths: Files, folders or patterns.
            names: The paths as the query will name them.
            table: The table of a database.
            folder: For temporary files.
        """
        self.connection = stack.enter_context(queries.connect())
        self.logs = find_tables(paths)
        self.log = self.logs[0]
        source = Source(tuple(names), _function(self.log), table, _options(self.log))
        query = PlaysQuery(f"SELECT * FROM {source.sql()}")
        (self._copy,) = open_copies(stack, {"": self.log}, query, folder).values()
        try:
            self.source = self._open(source)
        except queries.DatabaseError as error:
            reason = queries.one_line(error)
            raise AnalysisError(f"{self.log.name}: {_UNREADABLE} ({reason})") from None

    def _open(self, source: Source) -> Source:
        try:
            source = self._describe(source)
        except queries.DataErrors:  # such as lines with several kinds of ends
            source = self._describe(_with(source, strict_mode="false"))
        names = [column.name for column in source.columns]
        if source.function == "read_csv":
            if len(names) == 1 and "::" in names[0]:
                source = self._describe(_with(source, delim="'::'"))
                names = [column.name for column in source.columns]
            if any(map(_VALUE.fullmatch, names)) or names[0] == "column0":
                source = self._describe(_with(source, header="false"))
        elif source.function == "read_json":
            # times stay text, which has their forms
            source = self._describe(source.typed({c.name: "" for c in source.columns}))
        if not source.columns or "\0" in "".join(names):
            raise AnalysisError(f"{self.log.name}: {_UNREADABLE}")
        return source

    @property
    def first_line(self) -> str:
        """The first line of the first file."""
        with self.log.open() as file:
            return file.readline(_LONGEST_LINE).decode(errors="replace").rstrip("\r\n")

    def is_like(self, log: LogFile) -> bool:
        """Whether another file has the same columns."""
        query = PlaysQuery(f"SELECT * FROM {self.source.sql()}")
        try:
            rows = bind(self.connection, query.text_for([log.path]))
        except queries.DatabaseError:
            return False
        return rows.columns == [*self.source.types]

    def shown(self, source: Source, count: int) -> str:
        """Write the first rows as they stand in the file, a line each."""
        self.attach(source, {c.name: c for c in source.columns})
        rows = self.connection.table("first_rows").limit(count).to_arrow_table()
        return "\n".join(
            "  " + ", ".join(f"{name} {value}" for name, value in row.items() if value)
            for row in rows.to_pylist()
        )

    def unnest(self, source: Source) -> Source:
        """Make a row of each element of the lists in a source; the same source without lists."""
        walked = [column.path for level in source.lists for column in level.values()]
        lists = {
            _singular(column.path[-1]): column
            for column in source.columns
            if column.kind.endswith("[]") and column.path not in walked
        }
        if not lists or len(source.lists) == _DEEPEST:
            return source
        return self._describe(replace(source, lists=(*source.lists, lists)))

    def _rows(self, source: Source) -> queries.Rows:
        query = PlaysQuery(f"SELECT * FROM {source.sql()}")
        return bind(self.connection, query.text_for([self._copy]))

    def _describe(self, source: Source) -> Source:
        """Find the columns of a source."""
        rows = self._rows(source)
        types = dict(zip(rows.columns, rows.types, strict=True))
        parents = {
            name: column.path
            for level in source.lists
            for name, column in level.items()
        }
        columns = [
            column
            for name, kind in types.items()
            for column in _leaves((name,), parents.get(name, (name,)), kind)
        ]
        return replace(
            source,
            columns=tuple(columns),
            types=source.types if source.lists else types,
        )

    def profile(self, source: Source, where: str = "true") -> Source:
        """Profile the values of the columns; a column without a value stays as it is."""
        self.attach(source, {c.name: c for c in source.columns}, where)
        rows = self.fetch("interactions/column_values")
        looks = {row.pop("name"): row for row in rows}
        columns = []
        for column in source.columns:
            look = looks.get(column.name)
            examples = look.pop("examples") if look else ()
            column = replace(column, **look) if look else column
            if not column.is_time:
                column = replace(column, forms=_date_forms(examples))
            columns.append(column)
        return replace(source, columns=tuple(columns))

    def attach(
        self, source: Source, columns: Mapping[str, Column], where: str = "true"
    ) -> None:
        """Make columns of the first rows readable as the table `first_rows`, as text."""
        texts = (text(column).alias(name) for name, column in columns.items())
        rows = self._rows(source).limit(_GUESSED_FROM).filter(queries.Sql(where))
        rows.select(*texts).create_view("first_rows", replace=True)

    def fetch(self, name: str, **values: object) -> list[dict[str, Any]]:
        """Run a SQL file on them."""
        return list(queries.fetch_table(self.connection, name, **values).to_pylist())


def text(column: Column) -> queries.Expression:
    """Express the values of a column as text."""
    value = queries.Sql(column.sql)
    if column.kind == "JSON":
        return queries.Function("json_extract_string", value, queries.Constant("$"))
    return value.cast("VARCHAR")


def _with(source: Source, **options: str) -> Source:
    return replace(source, options={**source.options, **options})


def _function(log: LogFile) -> str:
    """Name the function that reads a file."""
    function = function_of(log.path.name)
    if function == "read_duckdb":
        with log.open() as file:
            function = "sqlite_scan" if file.read(6) == b"SQLite" else function
    return function


def _options(log: LogFile) -> dict[str, str]:
    """Find the options of a file of text that DuckDB does not detect."""
    function = function_of(log.path.name)
    if function not in ("read_csv", "read_json"):
        return {}
    with log.open() as file:
        first = file.read(_DECODED)
    options = {}
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        options["encoding"] = "'utf-16'"
    else:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(first)
        except UnicodeDecodeError:
            options["encoding"] = "'cp1252'"
    line = first.partition(b"\n")[0].strip()
    if function == "read_csv":
        options["all_varchar"] = "true"
        # Excel's way to name the delimiter
        if mark := re.match(rb"(?:\xef\xbb\xbf)?sep=(.)$", line):
            options |= {"delim": quoted(mark[1].decode()), "skip": "1"}
        return options
    if line.startswith(b"{") and len(line) > 1 and len(line) < _LONGEST_LINE:
        return {**options, "format": "'newline_delimited'", "ignore_errors": "true"}
    return {**options, "maximum_object_size": str(_LARGEST_OBJECT)}


def _leaves(
    name: tuple[str, ...],
    path: tuple[str, ...],
    kind: Any,  # noqa: ANN401  a type of DuckDB's
) -> Iterator[Column]:
    """Yield a column, or those of the objects that it has."""
    if kind.id == "struct":
        for child, child_kind in kind.children:
            yield from _leaves((*name, child), (*path, child), child_kind)
        return
    sql = ".".join(map(identifier, name))
    mark = "[]" if kind.id == "list" else ""
    yield Column(".".join(name) + mark, sql, path, str(kind))


def _json_type(
    kind: Any, path: tuple[str, ...], types: Mapping[tuple[str, ...], str]
) -> str:
    """Write a type with the fields of some paths alone, each of a type of its own."""
    if kind.id == "list" and path not in types:
        return f"{_json_type(kind.children[0][1], path, types)}[]"
    if kind.id == "struct":
        fields = (
            f'"{name}" {_json_type(child, (*path, name), types)}'
            for name, child in kind.children
            if any(known[: len(path) + 1] == (*path, name) for known in types)
        )
        return f"STRUCT({', '.join(fields)})"
    detected = str(kind)
    is_time = detected.startswith(("TIMESTAMP", "DATE", "TIME"))
    return types.get(path) or ("VARCHAR" if is_time else detected)


def _singular(name: str) -> str:
    """Name an element of a list.

    >>> _singular("tracks")
    'track'
    """
    short = name.rstrip("s")
    return short if short not in ("", name) else f"{name}_element"


def _date_forms(examples: Iterable[str]) -> tuple[str, ...]:
    """List the forms in which nearly all examples of a column are dates, each another date."""
    examples = [*examples]
    forms: dict[tuple[datetime | None, ...], str] = {}
    for form in _FORMS:
        if examples and _date(examples[0], form):
            dates = tuple(_date(text, form) for text in examples)
            if sum(map(bool, dates)) >= _NEARLY_ALL * len(examples):
                forms.setdefault(dates, form)  # other forms may read the same
    return tuple(forms.values())


def _date(text: str, form: str) -> datetime | None:
    try:
        date = datetime.strptime(text, form)  # noqa: DTZ007
    except ValueError:
        return None
    return date if date.year > _FIRST_YEAR else None
