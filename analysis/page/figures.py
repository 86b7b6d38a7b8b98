"""Figures and tables as the templates take them (`templates/figures.html.jinja`)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Rows of texts.

    Attributes:
        columns: Headings.
        rows: One text a column.
        texts: How many columns, from the first, are words; the rest are numbers and aligned to the right.
    """

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
