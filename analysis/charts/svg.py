"""The common look of all charts, and their rendering to SVG."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import altair as alt
import vl_convert

Layer = alt.Chart | alt.LayerChart

WIDTH = 440  # px, labels included; the page scales it to its columns
_PLAIN = {"labelColor": "var(--soft)", "labelFontSize": 11, "titleColor": "var(--soft)", "titleFontSize": 11}
CONFIG = {
    "aria": False,  # the SVG has one description; a label for each mark would be read out one by one
    "autosize": {"type": "fit-x", "contains": "padding"},
    "background": None,
    "view": {"stroke": None},
    "axis": _PLAIN
    | {"titleFontWeight": "normal", "gridColor": "var(--faint)", "domain": False, "ticks": False, "labelPadding": 6},
    "axisX": {"titleAlign": "right", "titleAnchor": "end", "grid": False},
    "axisY": {"titleAlign": "left", "titleAnchor": "end", "titleAngle": 0, "titleX": -34, "titleY": -10},
    "legend": _PLAIN
    | {"orient": "top", "offset": 22, "title": None, "labelLimit": 190, "columnPadding": 26}
    | {"symbolOpacity": 1, "symbolStrokeWidth": 2},
    "rule": {"color": "var(--soft)"},
    "text": {"color": "var(--text)", "fontSize": 12},
}


def arm_colour(position: int) -> str:
    """Return the colour of an arm, the control being 0; colours repeat after the seventh."""
    return f"var(--arm-{0 if position == 0 else (position - 1) % 6 + 1})"


def chart_of(rows: Iterable[dict[str, Any]]) -> alt.Chart:
    """Return a chart of rows that has no marks yet; its spec holds the rows."""
    return alt.Chart(alt.InlineData(values=list(rows)))


def layered(height: int, *layers: Layer) -> alt.LayerChart:
    """Lay charts over one another, `WIDTH` px wide in all; `height` is that of the plot in px."""
    return alt.LayerChart(layer=list(layers)).properties(width=WIDTH, height=height)


def around_zero(values: Iterable[float | None]) -> tuple[float, float]:
    """Return limits of an axis that hold 0 and all values, with some room."""
    known = [0.0, *(value for value in values if value is not None)]
    room = 0.08 * (max(known) - min(known)) or 1.0
    return min(known) - room, max(known) + room


def colour_by(field: str, colours: dict[str, str]) -> alt.Color:
    """Return colours by the values of a field, with a legend if there are several, in as many columns as have room."""
    longest = max((len(name) for name in colours), default=1)
    legend = alt.Legend(columns=max(1, WIDTH // (min(190, 6 * longest) + 34))) if len(colours) > 1 else None
    return alt.Color(f"{field}:N", legend=legend).scale(domain=list(colours), range=list(colours.values()))


def named_axis(title: str, names: Sequence[str], most: int) -> alt.Axis:
    """Return an axis that names whole numbers from 0, every n-th where `most` names have room.

    The names become part of an expression: never a text from the data.
    """
    values = list(range(0, len(names), max(1, -(-len(names) // most))))
    return alt.Axis(title=title, values=values, labelExpr=f"{json.dumps(list(names))}[datum.value]")


def to_svg(chart: alt.LayerChart, description: str) -> str:
    """Render a chart as an SVG element, described for readers who do not see it; the page defines the colours."""
    svg = vl_convert.vegalite_to_svg(chart.to_dict(validate=False), config=CONFIG)
    opening, _, body = svg.partition(">")
    box = opening.partition('viewBox="')[2].partition('"')[0]
    return f'<svg class="chart" role="img" aria-label="{escape(description)}" viewBox="{box}">{body}'
