"""Look at the first rows of files: the FROM clause that reads them, and how values look."""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from analysis import queries
from analysis.errors import AnalysisError
from analysis.logs.files import LogFile
from analysis.plays.databases import copy_table
from analysis.plays.files import (
    CSV,
    DATABASES,
    EMPTY,
    decoded,
    find_tables,
    function_of,
    table_paths,
)
from analysis.plays.query import PlaysQuery, bind, listed, quoted
from analysis.queries import identifier

_LOOKED_AT = 20_000  # rows
_DECODED = 16 * 2**20  # bytes from which the encoding is guessed
_LONGEST_LINE = 2**20  # bytes; a longer line is an object of JSON on many lines
_LARGEST_OBJECT = 2**27  # bytes of JSON
# a value that stands where a name is expected: a number, a date, a long id, an address
_VALUE = re.compile(r"[-\d.,:/ ]*\d|.*\d{4}.*\d\d:\d\d.*|[0-9a-f-]{32,}|\w+://.*")
_NAMELESS = re.compile(r"column\d+")  # as DuckDB names a column without a name
_NULLS = ("\\N", "NULL", "null", "NaN", "nan")
_UNREADABLE = "no row can be read; UTF-8, objects of JSON or Parquet are expected, as its name says"
# `strptime` forms of dates, the likelier first, and of times behind them
_DATES = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d-%m-%Y"),
    "%m-%d-%Y",
    *("%d.%m.%Y", "%d-%b-%Y", "%d %b %Y", "%a, %d %b %Y", "%d %B %Y", "%b %d, %Y"),
    *("%B %d, %Y", "%Y%m%d", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%SZ"),
    *("%a, %d %b %Y %H:%M:%S GMT", "%Y-%m-%d %H:%M:%S,%f"),
)
_CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
_FORMS = [
    *_DATES,
    *(
        date + between + clock
        for date in _DATES
        for clock in _CLOCKS
        for between in (" ", ", ", " at ")
        if "%H" not in date
    ),
]
_FIRST_YEAR = 1980
_LONG_SPAN = timedelta(days=3653)
# units of numbers since 1970, and the functions that make times of them
_UNITS = {
    "seconds": (1, "to_timestamp"),
    "milliseconds": (1e3, "epoch_ms"),
    "microseconds": (1e6, "make_timestamp"),
    "nanoseconds": (1e9, "make_timestamp_ns"),
}
_SECONDS = (3.2e8, 4e9)  # since 1970: 1980 to 2096
_DAYS = (29_221, 71_589)  # the same since 1899-12-30, as Excel counts
_MOST_DISTINCT = 0.9  # share of the rows, beyond which too few values repeat
_NEARLY = 1.02


@dataclass(frozen=True)
class Column:
    """A column, or a field of nested objects; its looks are of `column_values.sql`."""

    name: str  # fields of objects and first elements of lists are such as a.b[].c
    sql: str
    type: str
    filled: float
    is_number: bool
    is_date: bool
    decimal: str | None
    is_percent: bool
    is_clock: bool
    is_float: bool
    smallest: float | None
    largest: float | None
    middle: float | None
    kinds: int
    examples: Sequence[str]

    @property
    def is_text(self) -> bool:
        """Whether the values have no type, as in CSV."""
        return self.type in ("VARCHAR", "JSON")

    @property
    def number(self) -> str:
        """The SQL of the values as numbers; minutes and seconds are seconds."""
        sql = f"rtrim({self.sql}, ' %')" if self.is_percent else self.sql
        if self.decimal:
            marks = "',.', '.'" if self.decimal == "comma" else "',', ''"
            sql = f"translate({sql}, {marks})"
        if self.is_clock:
            parts = f"TRY_CAST(string_split({sql}, ':') AS DOUBLE[])"
            return f"list_reduce({parts}, lambda total, part : 60 * total + part)"
        return f"TRY_CAST({sql} AS DOUBLE)" if self.is_text else sql

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as DuckDB reads them."""
        return not (self.is_percent or self.decimal or self.is_clock)

    @property
    def id(self) -> str:
        """The SQL of the values as ids, which are whole if all are such as 12.0."""
        if any(text != text.strip() for text in self.examples):
            return f"trim({self.sql})"
        return f"CAST({self.sql} AS BIGINT)" if self.is_float else self.sql

    @cached_property
    def forms(self) -> list[str]:
        """The `strptime` forms in which all examples are dates.

        A day that is read as a year makes a span of decades: if other forms make a far shorter
        span, the form is left out.
        """
        spans = {}
        for form in _FORMS:
            with suppress(ValueError):
                dates = [datetime.strptime(text, form) for text in self.examples]  # noqa: DTZ007
                if min(dates).year > _FIRST_YEAR:
                    spans[form] = max(dates) - min(dates)
        longest = max(_LONG_SPAN, 10 * min(spans.values(), default=_LONG_SPAN))
        return [form for form, span in spans.items() if span <= longest]

    @cached_property
    def time(self) -> tuple[str, str] | None:
        """The SQL of the values as times, and a comment; None if they are none."""
        if self.is_date:
            return self.sql, ""
        if self.forms:
            return f"try_strptime({self.sql}, {quoted(self.forms[0])})", ""
        if not self.is_number or self.is_clock:
            return None
        middle = self.middle or 0
        for unit, (scale, function) in _UNITS.items():
            if _SECONDS[0] <= middle / scale <= _SECONDS[1]:
                whole = f"TRY_CAST({self.sql} AS BIGINT)"
                sql = self.number if scale == 1 else whole
                return f"{function}({sql})", f"{unit} since 1970"
        if _DAYS[0] <= (self.smallest or 0) and (self.largest or 0) <= _DAYS[1]:
            seconds = f"to_seconds(round({self.number} * 86400))"
            return f"TIMESTAMP '1899-12-30' + {seconds}", "days, as Excel counts"
        return None

    @property
    def is_moment(self) -> bool:
        """Whether the values are numbers of a unit since 1970."""
        return self.time is not None and self.time[1].endswith("1970")


class FirstRows:
    """The first rows of files, with all values as text in the table `first_rows`."""

    def __init__(
        self,
        stack: ExitStack,
        paths: Sequence[str | Path],
        table: str | None,
        folder: Path,
        scratch: Path,
    ) -> None:
        """Open the first file, until a stack ends.

        Args:
            stack: Closes opened files.
            paths: Files, folders or patterns.
            table: The table of a database.
            folder: The folder of the query, to which its paths are relative.
            scratch: For temporary files.

        Raises:
            AnalysisError: The first file cannot be read.
        """
        self.connection = stack.enter_context(queries.connect())
        self.logs = find_tables(paths)
        self.log = self.logs[0]
        self.columns: list[Column] = []
        self.empty: dict[str, str] = {}  # SQL of columns without a value, by name
        self.row_count = 0
        self._unnested: list[str] = []
        function = function_of(self.log.path.name)
        if function == "read_duckdb":
            with self.log.open() as file:
                is_sqlite = file.read(6) == b"SQLite"
            function = "sqlite_scan" if is_sqlite else function
        arguments = [listed(table_paths(paths, folder))]
        if table:
            is_named = "table_name = " if function == "read_duckdb" else ""
            arguments.append(is_named + quoted(table))
        arguments += _options(self.log, function)
        self.source = f"{function}({', '.join(arguments)})"
        copy = self.log
        if copy.suffix in DATABASES:
            copy = copy_table(copy, table, scratch)
        encoding = self._query.option("encoding")
        self._copy = stack.enter_context(decoded(copy, encoding, scratch)).path
        try:
            self._open(function)
        except queries.DatabaseError as error:
            reason = queries.one_line(error)
            raise AnalysisError(f"{self.log.name}: {_UNREADABLE} ({reason})") from None

    def _open(self, function: str) -> None:
        try:
            self.load()
        except queries.DataErrors:  # such as lines with several kinds of ends
            self._set("strict_mode = false")
        names = [column.name for column in self.columns]
        if function == "read_csv":
            texts = {text for column in self.columns for text in column.examples}
            options = {
                "delim = '::'": len(names) == 1 and "::" in names[0],
                "header = false": any(map(_VALUE.fullmatch, names))
                or (names and all(map(_NAMELESS.fullmatch, names))),
                f"nullstr = ['', {', '.join(map(quoted, _NULLS))}]": texts & {*_NULLS},
            }
            self._set(*(option for option, is_needed in options.items() if is_needed))
        if not self.row_count:
            raise AnalysisError(f"{self.log.name}: {EMPTY}")
        if not self.columns or "\0" in "".join(names):
            raise AnalysisError(f"{self.log.name}: {_UNREADABLE}")

    def _set(self, *options: str) -> None:
        """Load the rows with more options of the function that reads the files."""
        if options:
            self.source = f"{self.source[:-1]}, {', '.join(options)})"
            self.load()

    def load(self, where: str = "true") -> None:
        """Read the first rows for which a condition holds, and profile their columns."""
        rows = self._bind(self._copy)
        leaves = [
            leaf
            for name, kind in zip(rows.columns, rows.types, strict=True)
            for leaf in _leaves(name, identifier(name), kind)
            if not any(leaf[0].startswith(f"{path}[]") for path in self._unnested)
        ]
        values = (_text(sql, kind).alias(name) for name, sql, kind in leaves)
        first = rows.filter(queries.Sql(where)).limit(_LOOKED_AT).select(*values)
        table = first.to_arrow_table()
        self.connection.register("first_rows", table)
        self.row_count = table.num_rows
        looks = queries.fetch_table(self.connection, "interactions/column_values")
        by_name = {look["name"]: look for look in looks.to_pylist()}
        self.columns = [
            Column(**by_name[name], sql=sql, type=kind)
            for name, sql, kind in leaves
            if name in by_name
        ]
        self.empty = {name: sql for name, sql, _ in leaves if name not in by_name}

    def unnest(self, paths: Iterable[str]) -> None:
        """Make a row of each element of lists, side by side; "tracks[].id" becomes "track.id"."""
        inside = {
            path: next(c.sql for c in self.columns if c.name.startswith(f"{path}[]"))
            for path in paths
        }
        elements = ", ".join(
            f"unnest({sql.partition('[1]')[0]}) AS {identifier(element_name(path))}"
            for path, sql in inside.items()
        )
        whole = ", ".join(identifier(path) for path in inside if "." not in path)
        selected = f"* EXCLUDE ({whole})" if whole else "*"
        if self.logs[1:] and not self._unnested:
            selected = f"filename, {selected}"
        self.source = f"(\n    SELECT {selected}, {elements}\n    FROM {self.source}\n)"  # noqa: S608  # nosec B608
        self._unnested += inside
        self.load()

    @property
    def first_line(self) -> str:
        """The first line of the first file, if it is text."""
        with self.log.open() as file:
            return file.readline(_LONGEST_LINE).decode(errors="replace").rstrip("\r\n")

    @property
    def place(self) -> str | None:
        """Where the listener's id is, "@file" or "@folder"; None for a file or several tables."""
        if len(self.logs) == 1:
            return None
        if self.log.suffix in CSV and "encoding" not in self.source:
            first, last = map(self._bind, (self._copy, self.logs[-1].path))
            if first.columns != last.columns:
                return None
        folders = {Path(log.name).parent for log in self.logs}
        return "@folder" if len(folders) > 1 else "@file"

    @property
    def _query(self) -> PlaysQuery:
        return PlaysQuery(f"SELECT * FROM {self.source}")  # noqa: S608  # nosec B608

    def _bind(self, path: Path) -> queries.Rows:
        """Return the rows of another file, or of a copy, read like the first."""
        return bind(self.connection, self._query.text_for([path]))

    def values(self, *columns: Column) -> list[tuple[str | None, ...]]:
        """Return the values of columns, a tuple for each row."""
        names = (queries.Column(column.name) for column in columns)
        return self.connection.table("first_rows").select(*names).fetchall()

    def is_property(self, column: Column, of: Column) -> bool:
        """Whether a column follows from another, whose values often repeat."""
        pairs = self.values(of, column)
        distinct = len({pair[0] for pair in pairs})
        is_repeated = distinct < _MOST_DISTINCT * len(pairs)
        return is_repeated and len({*pairs}) <= _NEARLY * distinct

    def first(self, count: int) -> list[dict[str, str | None]]:
        """Return the first rows as they stand in the file."""
        names = [column.name for column in self.columns]
        rows = self.values(*self.columns)[:count]
        return [dict(zip(names, row, strict=True)) for row in rows]


def element_name(path: str) -> str:
    """Name an element of a list.

    >>> element_name("session.events")
    'event'
    """
    return path.rpartition(".")[2].removesuffix("s")


def _options(log: LogFile, function: str) -> Iterator[str]:
    """Find the options of a file of text that DuckDB does not detect."""
    if function not in ("read_csv", "read_json"):
        return
    with log.open() as file:
        first = file.read(_DECODED)
    line = first.partition(b"\n")[0].strip()
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield "encoding = 'utf-16'"
    else:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(first)
        except UnicodeDecodeError:
            yield "encoding = 'cp1252'"
    if function == "read_csv":
        yield "all_varchar = true"
        # Excel's way to name the delimiter
        if mark := re.match(rb"(?:\xef\xbb\xbf)?sep=(.)$", line):
            yield f"delim = {quoted(mark[1].decode())}, skip = 1"
    elif (
        line.startswith(b"{")
        and 1 < len(line) < _LONGEST_LINE
        and line != first.strip()
    ):
        yield "format = 'newline_delimited', ignore_errors = true, sample_size = -1"
    else:
        yield f"maximum_object_size = {_LARGEST_OBJECT}"


def _leaves(
    name: str,
    sql: str,
    kind: Any,  # noqa: ANN401  a type of DuckDB's
) -> Iterator[tuple[str, str, str]]:
    """Yield the names, SQL and types of a column, or of the fields in its objects and lists."""
    if kind.id == "struct":
        for child, child_kind in kind.children:
            yield from _leaves(
                f"{name}.{child}", f"{sql}.{identifier(child)}", child_kind
            )
    elif kind.id == "list":
        yield from _leaves(f"{name}[]", f"{sql}[1]", kind.children[0][1])
    else:
        yield name, sql, str(kind)


def _text(sql: str, kind: str) -> queries.Expression:
    """Express values as text."""
    value = queries.Sql(sql)
    if kind == "JSON":
        return queries.Function("json_extract_string", value, queries.Constant("$"))
    return value.cast("VARCHAR")
