"""Fill templates in, with the figures and tables that they take."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from analysis.page import numbers
from analysis.page.forest import Forest

_TEMPLATES = Path(__file__).with_name("templates")


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
    svg: str = ""  # the chart, by `analysis.charts.to_svg`
    numbers: Table | None = None  # where no other table of the page has them
    forest: Forest | None = None  # in place of the chart


def tabulate(first: str, columns: Mapping[str, Mapping[str, str]]) -> Table:
    """Lay texts out as a table: heading → name of a row → text, after the heading of the names."""
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = tuple(
        (name, *(column.get(name, numbers.NOTHING) for column in columns.values()))
        for name in names
    )
    return Table((first, *columns), rows)


def render(folder: Path, template: str, **values: object) -> str:
    """Fill a template in; every text of the values is escaped.

    Args:
        folder: Where the template is; the ones of this package are found as well.
        template: Name of its file; it extends `base.html.jinja`.
        values: What the template uses beside `n`, the functions of `analysis.page.numbers`; a
            missing one is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(n=numbers, **values)
