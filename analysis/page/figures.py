"""Figures and tables as the templates take them (`templates/figures.html.jinja`)."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of texts, one a column; the first so many columns are words, the rest are numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


@dataclass(frozen=True)
class Figure:
    """A chart with its caption.

    Attributes:
        title: What is shown.
        note: How to read it.
        svg: The chart, by `analysis.charts.svg.to_svg`.
        numbers: Its numbers, where no other table of the page has them.
    """

    title: str
    note: str
    svg: str
    numbers: Table | None = None


def tabulate(first: str, columns: Mapping[str, Mapping[str, str]], nothing: str) -> Table:
    """Lay texts out as a table.

    Args:
        first: Heading of the rows' names.
        columns: Heading to the name of each row and its text.
        nothing: The text of a row that a column does not have.
    """
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = tuple((name, *(column.get(name, nothing) for column in columns.values())) for name in names)
    return Table((first, *columns), rows)
