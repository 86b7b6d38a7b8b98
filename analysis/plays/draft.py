"""Write the query that reads plays, by what the columns of a file hold and how values look."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.errors import AnalysisError
from analysis.plays.columns import ALIASES, COLUMNS, check_names
from analysis.plays.files import table_paths
from analysis.plays.query import PlaysQuery, quoted
from analysis.plays.source import Column, Sample, Source

# functions that make a time of numbers, by their size and unit
_UNITS = (
    (1e17, "make_timestamp_ns", "nanoseconds since 1970"),
    (1e14, "make_timestamp", "microseconds since 1970"),
    (1e11, "epoch_ms", "milliseconds since 1970"),
    (0, "to_timestamp", "seconds since 1970"),
)
_SEPARATORS = {
    "comma": {"decimal_separator": "','", "thousands": "'.'"},
    "point": {"thousands": "','"},
}
# SQL of the names of a file and its folder
NAMES = {
    "@file": "split_part(parse_filename(filename), '.', 1)",
    "@folder": "parse_path(filename)[-2]",
}


@dataclass
class Draft:
    """A query that is being written.

    `roles` says which column holds a column of the result; an id of several is such as
    "artist+song", and a time "date+time". Two more are `played` and `duration`, whose ratio is the
    share.
    """

    source: Source
    roles: Mapping[str, str]
    scales: dict[str, float] = field(default_factory=dict)  # seconds of a unit, by role
    weights: Mapping[str, float] = field(default_factory=dict)  # of events, by kind
    # SQL and comments, of rows that are taken
    conditions: list[tuple[str, str]] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)  # by role
    types: dict[str, str] = field(default_factory=dict)  # of columns, as they are used

    def sql(self) -> str:
        """Write it."""
        items = {name: self._item(name) for name in COLUMNS if name in self.roles}
        items |= {
            n: (items[n][0], text) for n, text in self.comments.items() if n in items
        }
        if "played" in self.roles:
            played, duration = map(self._number, ("played", "duration"))
            items["share"] = f"least({played} / nullif({duration}, 0), 1)", ""
        source = self.source.typed(self.types)
        if source.function == "read_csv":
            for column in self._columns():
                if self.types.get(column.name) == "DOUBLE":
                    marks = _SEPARATORS.get(column.decimal or "", {})
                    source = replace(source, options={**source.options, **marks})
        lines = ["SELECT"]
        for number, (name, (sql, comment)) in enumerate(items.items(), start=1):
            shown = sql if sql == name else f"{sql} AS {name}"
            comma = "," if number < len(items) else ""
            lines.append(f"    {shown}{comma}{f'  -- {comment}' if comment else ''}")
        lines.append("FROM " + source.sql("\n    "))
        for number, (sql, comment) in enumerate(self.conditions):
            lines.append(f"{'AND' if number else 'WHERE'} {sql}  -- {comment}")
        return "\n".join(lines) + "\n"

    def _columns(self, role: str = "") -> list[Column]:
        """List the columns of a role, or of all roles."""
        names = self.roles.get(role, "") if role else "+".join(self.roles.values())
        columns = (self.source.column(name) for name in names.split("+"))
        return [column for column in columns if column]

    def _item(self, name: str) -> tuple[str, str]:
        """Express a column of the result; return its SQL and a comment."""
        columns = self._columns(name)
        kind = COLUMNS[name].kind
        if self.roles[name] in NAMES:
            return NAMES[self.roles[name]], ""
        if kind == "time":
            return self._time(columns)
        if name == "weight" and self.weights:
            pairs = (
                f"WHEN {quoted(kind)} THEN {weight:g}"
                for kind, weight in self.weights.items()
            )
            self._type(columns, "VARCHAR")
            return f"CASE {columns[0].sql} {' '.join(pairs)} END", "weights of events"
        if kind == "number":
            return self._amount(name, columns[0])
        if kind == "flag":
            return columns[0].sql, ""
        is_json = (
            kind == "id" and len(columns) == 1 and self.source.function == "read_json"
        )
        self._type(columns, "JSON" if is_json else "VARCHAR")
        *before, last = (column.sql for column in columns)
        return "".join(f"coalesce({sql} || ' - ', '') || " for sql in before) + last, ""

    def _amount(self, name: str, column: Column) -> tuple[str, str]:
        """Express a number."""
        sql = self._number(name)
        scale = self.scales.get(name, 1.0)
        if name == "share" and (column.largest or 0) > 1:
            return f"{sql} / 100", "percent"
        if scale < 1:
            return f"{sql} / {1 / scale:g}", "milliseconds"
        return (f"{sql} * {scale:g}", "to seconds") if scale > 1 else (sql, "")

    def _number(self, role: str) -> str:
        return self.number(self._columns(role)[0])

    def number(self, column: Column) -> str:
        """Express the values of a column as numbers, and minutes and seconds as seconds."""
        if column.is_clock:
            self._type([column], "VARCHAR")
            parts = f"TRY_CAST(string_split({column.sql}, ':') AS DOUBLE[])"
            return f"list_reduce({parts}, lambda total, part : 60 * total + part)"
        self._type([column], "DOUBLE")
        if column.kind != "VARCHAR" or self.source.function == "read_csv":
            return column.sql
        swaps = {"comma": ", ',.', '.'", "point": ", ',', ''"}.get(column.decimal or "")
        sql = f"translate({column.sql}{swaps})" if swaps else column.sql
        return f"TRY_CAST({sql} AS DOUBLE)"

    def _time(self, columns: Sequence[Column]) -> tuple[str, str]:
        """Express a time."""
        first = columns[0]
        if (
            len(columns) == 1
            and first.is_number
            and first.is_time
            and not first.is_typed_time
        ):
            kind = "BIGINT" if first.is_whole else "DOUBLE"
            self._type(columns, kind)
            size = abs(first.largest or 0)
            name, comment = next(unit[1:] for unit in _UNITS if size >= unit[0])
            is_text = first.kind == "VARCHAR" and self.source.function != "read_csv"
            sql = f"TRY_CAST({first.sql} AS {kind})" if is_text else first.sql
            if name != "to_timestamp" and kind == "DOUBLE":
                sql = f"CAST({sql} AS BIGINT)"
            return f"{name}({sql})", comment
        self._type(columns, "VARCHAR")
        sql = " || ' ' || ".join(column.sql for column in columns)
        if not first.forms:
            return sql, ""
        clock = {1: " %H:%M", 2: " %H:%M:%S"}
        form = first.forms[0] + (
            clock[columns[1].example.count(":")] if columns[1:] else ""
        )
        return f"try_strptime({sql}, {quoted(form)})", ""

    def _type(self, columns: Sequence[Column], kind: str) -> None:
        """Choose the type of columns in files without types."""
        self.types |= {column.name: kind for column in columns}


def draft_columns(
    paths: Sequence[str | Path], columns: Mapping[str, str], name: str = ""
) -> PlaysQuery:
    """Write the query of files whose columns are named.

    Args:
        paths: Files, folders or patterns.
        columns: Names of columns by the columns of the result that they are.
        name: What messages call the files; by default the first path.

    Raises:
        AnalysisError: A file cannot be found or read, or lacks a column, or the columns do not go
            together.
    """
    name = name or str(paths[0])
    roles = {ALIASES.get(role, role): column for role, column in columns.items()}
    check_names(roles, "columns")
    if wrong := [role for role, column in roles.items() if not isinstance(column, str)]:
        raise AnalysisError(f"columns: {wrong[0]}: the name of a column is expected")
    with ExitStack() as stack, TemporaryDirectory() as folder:
        sample = Sample(stack, paths, table_paths(paths), None, Path(folder))
        source = sample.source
        while missing := [name for name in roles.values() if not source.column(name)]:
            deeper = sample.unnest(source)
            if deeper is source:
                names = ", ".join(column.name for column in source.columns)
                raise AnalysisError(
                    f"{name}: no column {', '.join(missing)}; found are {names[:200]}"
                )
            source = deeper
        return PlaysQuery(Draft(sample.profile(source), roles).sql(), name=name)


def parse_columns(text: str) -> dict[str, str]:
    """Parse "listener=uid,track=song", columns by the columns of the result that they are.

    Raises:
        AnalysisError: A pair is none, or a name is given twice.
    """
    roles: dict[str, str] = {}
    for pair in text.split(","):
        name, separator, column = (part.strip() for part in pair.partition("="))
        if not separator or not column:
            raise AnalysisError(
                f"--columns {pair.strip()!r}: expected name=column, such as listener=uid"
            )
        if name in roles:
            raise AnalysisError(f"--columns {name}: given twice")
        roles[name] = column
    return roles
