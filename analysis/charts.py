"""Charts of the A/B page, the search report and the lab, and their rendering to SVG.

In: rows of plain values. Out: an altair chart, which `to_svg` turns into SVG without a browser.
Altair is imported here alone; it takes a third of a second to import, so pages import their figures
where they render.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

import altair as alt
import vl_convert

Layer = alt.Chart | alt.LayerChart

WIDTH = 440  # px, labels included; the page scales it to its columns
_LEGEND_LABEL = 380  # px at most
_FEW = 12  # points of a line that may each have a dot of their own
_PLAIN = {
    "labelColor": "var(--soft)",
    "labelFontSize": 11,
    "titleColor": "var(--soft)",
    "titleFontSize": 11,
}
CONFIG = {
    # the SVG has one description; a label for each mark would be read out one by one
    "aria": False,
    "autosize": {"type": "fit-x", "contains": "padding"},
    "background": None,
    "view": {"stroke": None},
    "axis": _PLAIN
    | {
        "titleFontWeight": "normal",
        "gridColor": "var(--faint)",
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
    },
    "axisX": {"titleAlign": "right", "titleAnchor": "end", "grid": False},
    "axisY": {
        "titleAlign": "left",
        "titleAnchor": "end",
        "titleAngle": 0,
        "titleX": -34,
        "titleY": -10,
    },
    "legend": _PLAIN
    | {
        "orient": "top",
        "offset": 22,
        "title": None,
        "labelLimit": _LEGEND_LABEL,
        "columnPadding": 26,
    }
    | {"symbolOpacity": 1, "symbolStrokeWidth": 2},
    "rule": {"color": "var(--soft)"},
    "text": {"color": "var(--text)", "fontSize": 12},
}


def arm_colour(position: int) -> str:
    """Return the colour of an arm, the control being 0; colours repeat after the seventh."""
    return f"var(--arm-{0 if position == 0 else (position - 1) % 6 + 1})"


def plot(rows: Iterable[dict[str, Any]]) -> alt.Chart:
    """Return a chart of rows that has no marks yet; its spec holds the rows."""
    return alt.Chart(alt.InlineData(values=list(rows)))


def layered(height: int, *layers: Layer) -> alt.LayerChart:
    """Lay charts over one another, `WIDTH` px wide in all; `height` is that of the plot in px."""
    return alt.LayerChart(layer=list(layers)).properties(width=WIDTH, height=height)


def colour_by(field: str, colours: dict[str, str]) -> alt.Color:
    """Return colours by the values of a field, with a legend if there are several."""
    legend = None
    if len(colours) > 1:
        label_width = min(_LEGEND_LABEL, 6 * max(map(len, colours)))
        legend = alt.Legend(columns=max(1, WIDTH // (label_width + 34)))
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(f"{field}:N", legend=legend, scale=scale)


def to_svg(chart: alt.LayerChart, description: str) -> str:
    """Render a chart as an SVG element with a description; the page defines the colours."""
    svg = vl_convert.vegalite_to_svg(chart.to_dict(validate=False), config=CONFIG)
    opening, _, body = svg.partition(">")
    box = opening.partition('viewBox="')[2].partition('"')[0]
    label = f'role="img" aria-label="{escape(description)}"'
    return f'<svg class="chart" {label} viewBox="{box}">{body}'


class Point(NamedTuple):
    """A point with the ends of its interval, where it has one; several lines may share a series."""

    series: str
    x: float
    y: float | None
    lower: float | None = None
    upper: float | None = None
    line: str = ""


def draw_lines(
    points: Sequence[Point],
    colours: Mapping[str, str],
    x_title: str,
    y_title: str,
    *,
    from_zero: bool = False,
) -> alt.LayerChart:
    """Draw a line for each series, with a band where its points have intervals.

    The legend has the order of the colours; `from_zero` is the vertical axis.
    """
    base = plot(point._asdict() for point in points)
    x_scale, x_axis = alt.Scale(zero=False, nice=False), alt.Axis(tickCount=6)
    x = alt.X("x:Q", title=x_title, scale=x_scale, axis=x_axis)
    colour = colour_by("series", dict(colours))
    scale, axis = alt.Scale(zero=from_zero), alt.Axis(tickCount=4)
    y = alt.Y("y:Q", title=y_title, scale=scale, axis=axis)
    line = base.mark_line(strokeWidth=2)
    layers: list[Layer] = [line.encode(x=x, y=y, color=colour, detail="line:N")]
    if any(point.lower is not None for point in points):
        band = base.mark_area(opacity=0.14).encode(
            x=x, y="lower:Q", y2="upper:Q", color=colour, detail="line:N"
        )
        layers.insert(0, band)
    if len({point.x for point in points}) <= _FEW:
        dot = base.mark_circle(size=24, opacity=1)
        layers.append(dot.encode(x=x, y=y, color=colour))
    return layered(210, *layers)
