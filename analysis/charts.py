"""Charts of the A/B page, the search report and the lab, and their rendering to SVG.

In: rows of plain values. Out: an altair chart, which `to_svg` turns into SVG without a browser.
Altair is imported here alone; it takes a third of a second to import, so pages import their figures
where they render.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, NamedTuple

import altair as alt
import vl_convert

Layer = alt.Chart | alt.LayerChart

WIDTH = 440  # px, labels included; the page scales it to its columns
_ROW = 36  # px
_LETTER = 7.8  # px, a digit at the size of the texts, in a wide font
_LEGEND_LABEL = 190  # px at most
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


@dataclass(frozen=True)
class IntervalRow:
    """A value with its interval; None or NaN stands for what there is not."""

    label: str  # what has this value
    text: str  # the value in words
    value: float | None
    lower: float | None
    upper: float | None
    colour: str  # such as `arm_colour` returns
    filled: bool = True  # whether the mark is filled or open


def draw_intervals(
    groups: Mapping[str, Sequence[IntervalRow]],
    x_title: str,
    *,
    from_zero: bool = False,
) -> alt.LayerChart:
    """Draw values with intervals, label and text above each, by headings.

    An empty heading is left out. The axis holds all values, and 0 with a line if asked for.
    """
    rows: list[dict[str, Any]] = []
    headings: list[dict[str, Any]] = []
    for heading, members in groups.items():
        if heading:
            headings.append({"row": len(rows) + len(headings), "heading": heading})
        for member in members:
            row = asdict(member) | {"row": len(rows) + len(headings)}
            row["fill"] = member.colour if member.filled else "var(--page)"
            for name in ("value", "lower", "upper"):
                if row[name] is None or not math.isfinite(row[name]):
                    del row[name]
            rows.append(row)
    axis = alt.Axis(grid=True, tickCount=5)
    scale = alt.Scale(zero=from_zero, padding=8)
    x = alt.X("value:Q", title=x_title, scale=scale, axis=axis)
    layers = _draw_rows(rows, headings, x)
    if from_zero:
        layers.insert(0, plot([{"value": 0}]).mark_rule().encode(x="value:Q"))
    return layered(_ROW * (len(rows) + len(headings)), *layers)


def _draw_rows(
    rows: Sequence[dict[str, Any]], headings: Sequence[dict[str, Any]], x: alt.X
) -> list[Layer]:
    """Draw each row's interval and value, its label and text above, and the headings."""
    base, titles = plot(rows), plot(headings)
    text_width = _LETTER * max((len(row["text"]) for row in rows), default=0)
    label_width = 0.9 * (WIDTH - 16 - text_width)
    y = alt.Y("row:O", axis=None, bandPosition=0.76)
    above = alt.Y("row:O", axis=None, bandPosition=0.28)
    stroke, fill = alt.Stroke("colour:N", scale=None), alt.Fill("fill:N", scale=None)
    rule, point = base.mark_rule(strokeWidth=2.5), base.mark_point(size=80, opacity=1)
    label = base.mark_text(align="left", limit=label_width)
    text = base.mark_text(align="right")
    title = titles.mark_text(align="left", limit=0.83 * WIDTH, color="var(--soft)")
    return [
        rule.encode(x=alt.X("lower:Q"), x2="upper:Q", y=y, stroke=stroke),
        point.encode(x=x, y=y, stroke=stroke, fill=fill),
        label.encode(x=alt.value(0), y=above, text="label:N"),
        text.encode(x=alt.value("width"), y=above, text="text:N"),
        title.encode(x=alt.value(0), y=y, text="heading:N"),
    ]


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
