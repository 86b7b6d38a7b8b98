"""The picture of `benchmarks.worlds`: each recommender's lift over random in each world."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt
import vl_convert

from analysis import page
from analysis.charts import CONFIG, colour_by

Interval = tuple[float, float, float]  # value, lower and upper end
_PAGE_COLOURS = Path(page.__file__).with_name("templates") / "colours.css"
_LIFTS = (0, 50, 100, 200, 400, 800, 1600)  # named on the axis, %
_FLOOR = 0.5  # of the ratio to random, where an interval would reach further
_COLOURS = {
    "sticky_artist": "var(--arm-3)",
    "top_pop": "var(--arm-4)",
    "in_order": "var(--arm-5)",
    "session_als": "var(--arm-6)",
    "contextual": "var(--arm-1)",
    "session_context": "var(--arm-2)",
    "oracle": "var(--soft)",
}


def draw_worlds(worlds: Sequence[tuple[str, Mapping[str, Interval]]]) -> str:
    """Return an SVG file: for each world a line, for each recommender a dot with its 95 % interval."""
    rows = [
        {"world": world, "arm": arm} | {key: max(1 + end / 100, _FLOOR) for key, end in zip("xab", lift, strict=True)}
        for world, lifts in worlds
        for arm, lift in lifts.items()
    ]
    named = [1 + lift / 100 for lift in _LIFTS]
    axis = alt.Axis(values=named, labelExpr="format(100 * (datum.value - 1), '+,.0f') + ' %'", grid=True)
    x = alt.X("x:Q", title="listening time over random", scale=alt.Scale(type="log", nice=False), axis=axis)
    y = alt.Y("world:N", title=None, sort=[world for world, _ in worlds], axis=alt.Axis(titleX=0, minExtent=96))
    base = alt.Chart(alt.InlineData(values=rows)).encode(y=y, color=colour_by("arm", _COLOURS))
    layers = [
        base.mark_rule(opacity=0.5).encode(x=alt.X("a:Q"), x2="b:Q"),
        base.mark_circle(size=45, opacity=1).encode(x=x),
    ]
    return to_svg(alt.LayerChart(layer=layers).properties(width=620, height=26 * len(worlds)))


def to_svg(chart: alt.LayerChart) -> str:
    """Render a chart to a file of its own, with the colours of the pages in light and in dark."""
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict(), config=CONFIG | {"autosize": "pad"})
    opening, _, body = svg.partition(">")
    style = _PAGE_COLOURS.read_text(encoding="utf-8") + " svg { background: var(--page); }"
    return f"{opening}><style>{style}</style>{body}"
