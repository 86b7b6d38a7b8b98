"""Make the charts of the documentation, with the colours of the pages."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert

from analysis import page

Layer = alt.Chart | alt.LayerChart

_PAGE_COLOURS = Path(page.__file__).with_name("templates") / "colours.css"
WIDTH = 440  # px, labels included; the page scales it to its columns
_LEGEND_LABEL = 380  # px at most
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


def to_svg(chart: alt.LayerChart) -> str:
    """Render a chart to a file of its own, with the colours of the pages in light and in dark."""
    svg: str = vl_convert.vegalite_to_svg(
        chart.to_dict(), config=CONFIG | {"autosize": "pad"}
    )
    opening, _, body = svg.partition(">")
    style = (
        _PAGE_COLOURS.read_text(encoding="utf-8") + " svg { background: var(--page); }"
    )
    return f"{opening}><style>{style}</style>{body}"
