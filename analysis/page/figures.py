"""Figures and tables as the templates take them (`templates/figures.html.jinja`)."""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.page.numbers import NOTHING


@dataclass(frozen=True)
class Table:
    """Rows of texts: a name, and a number for each further column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """A chart with its caption."""

    title: str  # what is shown
    note: str  # how to read it
    svg: str  # the chart, by `analysis.charts.svg.to_svg`
    numbers: Table | None = None  # where no other table of the page has them


def tabulate(first: str, columns: Mapping[str, Mapping[str, str]]) -> Table:
    """Lay texts out as a table.

    Args:
        first: Heading of the rows' names.
        columns: Heading → name of a row → its text.
    """
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = tuple((name, *(column.get(name, NOTHING) for column in columns.values())) for name in names)
    return Table((first, *columns), rows)
