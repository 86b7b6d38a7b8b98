"""Values at pairs of two properties: the stronger the colour, the larger the value."""

from collections.abc import Sequence
from typing import NamedTuple

import altair as alt

from analysis.charts.svg import chart_of, layered

STRONGEST = 0.5  # share of ink in the strongest cell, so that the text on it keeps its contrast
_ROW = 36  # px


class Cell(NamedTuple):
    """The value at a pair of properties; without a value there is only a text, such as "failed"."""

    row: str
    column: str
    text: str
    value: float | None


def draw_heat(cells: Sequence[Cell], row_title: str, column_title: str) -> alt.LayerChart:
    """Draw a cell for each pair, the best outlined; rows and columns keep the order of the cells."""
    values = [cell.value for cell in cells if cell.value is not None]
    low, high = min(values, default=0.0), max(values, default=0.0)
    rows = [cell._asdict() | {"is_best": bool(values) and cell.value == high} for cell in cells]
    columns, names = (
        list(dict.fromkeys(ends)) for ends in zip(*((cell.column, cell.row) for cell in cells), strict=True)
    )
    x = alt.X("column:N", sort=columns, title=column_title, axis=alt.Axis(orient="top", labelAngle=0))
    y = alt.Y("row:N", sort=names, title=row_title)
    strength = alt.Opacity("value:Q", legend=None).scale(domain=[low, high], range=[0.04, STRONGEST])
    base = chart_of(rows).encode(x=x, y=y)
    known = base.transform_filter("datum.value !== null")
    best = known.transform_filter("datum.is_best")
    return layered(
        _ROW * len(names),
        known.mark_rect(color="var(--arm-1)", stroke="var(--page)", strokeWidth=3).encode(opacity=strength),
        best.mark_rect(filled=False, stroke="var(--text)", strokeWidth=2),
        base.mark_text().encode(text="text:N"),
    )
