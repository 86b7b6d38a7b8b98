"""Write the query that reads plays, by the roles of columns and the look of their values."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.errors import AnalysisError
from analysis.plays.columns import ALIASES, COLUMNS, check_names
from analysis.plays.query import PlaysQuery, quoted
from analysis.plays.source import Column, FirstRows, element_name

# SQL of the names of a file and its folder
NAMES = {
    "@file": "split_part(parse_filename(filename), '.', 1)",
    "@folder": "parse_path(filename)[-2]",
}
_CLOCK_FORMS = {1: " %H:%M", 2: " %H:%M:%S"}  # forms by the number of colons


@dataclass
class Draft:
    """A query that is being written.

    SQL and a comment stand for each column of its result and each condition; `sources` has the
    columns of the file that a column of the result is made of.
    """

    rows: FirstRows
    items: dict[str, tuple[str, str]] = field(default_factory=dict)
    conditions: list[tuple[str, str]] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    sources: dict[str, Sequence[Column]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)  # names of columns

    def take(self, name: str, *columns: Column, comment: str = "") -> None:
        """Make a column of the result of columns of the file, which are joined."""
        self.sources[name] = columns
        self.used |= {column.name for column in columns}
        first, *further = columns
        kind = COLUMNS[name].kind
        sql = first.sql
        if further:
            join = " || ' ' || " if kind == "time" else " || ' - ' || "
            sql = join.join(column.sql for column in columns)
            if kind == "time" and first.forms:
                clock = _CLOCK_FORMS[further[0].examples[0].count(":")]
                sql = f"try_strptime({sql}, {quoted(first.forms[0] + clock)})"
        elif kind == "id":
            sql = first.id
        elif kind == "time" and first.time:
            sql, unit = first.time
            comment = comment or unit
        elif name == "share" and (first.middle or 0) > 1:
            sql, comment = f"least({first.number} / 100, 1)", "percent"
        elif kind == "number" and not first.is_plain:
            sql = first.number
        self.items[name] = sql, comment

    def keep(self, condition: str, comment: str = "") -> None:
        """Leave out rows for which a condition does not hold."""
        self.conditions.append((condition, comment))

    def ask(self, question: str, name: str = "") -> None:
        """Ask for a column of the result, or for the rows that are plays; unanswered, it fails."""
        self.questions.append(question)
        item = f"error({quoted(question)})", ""
        if name:
            self.items[name] = item
        else:
            self.conditions.append(item)

    @property
    def where(self) -> str:
        """The condition of all rows that are taken."""
        return " AND ".join(sql for sql, _ in self.conditions) or "true"

    def sql(self) -> str:
        """Write the query."""
        items = {name: self.items[name] for name in COLUMNS if name in self.items}
        lines = ["SELECT"]
        for number, (name, (sql, comment)) in enumerate(items.items(), start=1):
            item = sql if sql == name else f"{sql} AS {name}"
            lines.append(f"    {item}{',' * (number < len(items))}{_comment(comment)}")
        lines.append(f"FROM {self.rows.source}")
        for number, (sql, comment) in enumerate(self.conditions):
            lines.append(f"{'    AND' if number else 'WHERE'} {sql}{_comment(comment)}")
        return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    return f"  -- {text}" if text else ""


def draft_columns(
    paths: Sequence[str | Path], columns: Mapping[str, str], name: str = ""
) -> PlaysQuery:
    """Write the query of files whose columns are named.

    Args:
        paths: Files, folders or patterns.
        columns: Names of columns by the columns of the result that they are.
        name: The name of the files in messages; by default the first path.

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
        rows = FirstRows(stack, paths, None, Path(), Path(folder))
        draft = Draft(rows)
        take_named(draft, roles, name)
        return PlaysQuery(draft.sql(), name=name)


def take_named(draft: Draft, named: Mapping[str, str], file: str) -> None:
    """Take columns by their names; an id may be of several, "artist+song".

    Raises:
        AnalysisError: A column is missing.
    """
    rows = draft.rows
    parts = {role: column.split("+") for role, column in named.items()}
    while lists := {
        part.partition("[]")[0] for p in parts.values() for part in p if "[]" in part
    }:
        rows.unnest(sorted(lists))
        parts = {role: [_element(part) for part in p] for role, p in parts.items()}
    columns = {column.name: column for column in rows.columns}
    names = {part for p in parts.values() for part in p}
    if missing := names - {*columns, *rows.empty, *NAMES}:
        shown = ", ".join(columns)[:200]
        raise AnalysisError(
            f"{file}: no column {', '.join(sorted(missing))}; found are {shown}"
        )
    for role, p in parts.items():
        if lacking := [part for part in p if part not in columns]:
            draft.items[role] = (NAMES | rows.empty)[lacking[0]], ""
        else:
            draft.take(role, *(columns[part] for part in p))


def _element(name: str) -> str:
    path, mark, rest = name.partition("[]")
    return element_name(path) + rest if mark else name


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
