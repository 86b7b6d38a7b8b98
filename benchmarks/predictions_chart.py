"""The picture of `benchmarks.predicted`: measured effects against predictions, a panel for each way to predict."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import altair as alt
import vl_convert

import analysis.charts
from analysis.charts.svg import CONFIG, colour_by

Interval = tuple[float, float, float]
_COLOURS = Path(analysis.charts.__file__).parent / "colours.css"
_EFFECTS = (-20, 0, 25, 50, 100, 200, 400, 800)  # named on the axis, %


def draw_predictions(
    predicted: Mapping[str, Sequence[Interval]],
    effects: Sequence[Interval],
    kinds: Sequence[str],
    colours: Mapping[str, str],
) -> str:
    """Return an SVG file with the colours of the pages, in light and in dark.

    Args:
        predicted: Name of the prediction → its value, lower and upper end for each model.
        effects: The effect of each model, in % of the control; drawn on a log scale of the ratio.
        kinds: What kind each model is. Models are numbered from 1 in this order.
        colours: Kind → colour, in the order of the legend.
    """
    ratios = [[1 + end / 100 for end in effect] for effect in effects]
    ends = [1.0, *(end for ratio in ratios for end in ratio)]
    named = [ratio for effect in _EFFECTS if min(ends) <= (ratio := 1 + effect / 100) <= max(ends)]
    axis = alt.Axis(values=named, labelExpr="format(100 * (datum.value - 1), ',.0f') + ' %'")
    y = alt.Y("y:Q", title="effect", scale=alt.Scale(type="log", nice=False, padding=10), axis=axis)
    no_effect = alt.Chart(alt.InlineData(values=[{"y": 1}])).mark_rule().encode(y="y:Q")
    panels = []
    for title, values in predicted.items():
        x = alt.X("x:Q", title=title, scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=5))
        rows = [
            {"kind": kind, "name": str(number), "x": value, "left": left, "right": right}
            | dict(zip(("y", "lower", "upper"), ratio, strict=True))
            for number, (kind, (value, left, right), ratio) in enumerate(zip(kinds, values, ratios, strict=True), 1)
        ]
        base = alt.Chart(alt.InlineData(values=rows)).encode(color=colour_by("kind", dict(colours)))
        text = base.mark_text(align="left", dx=5, dy=-6, fontSize=11)
        layers = [
            no_effect,
            base.mark_rule(opacity=0.5).encode(x=x, y=alt.Y("lower:Q"), y2="upper:Q"),
            base.mark_rule(opacity=0.5).encode(x=alt.X("left:Q"), x2="right:Q", y=y),
            base.mark_circle(size=40, opacity=1).encode(x=x, y=y),
            text.encode(x=x, y=y, text="name:N", color=alt.value("var(--text)")),
        ]
        panels.append(alt.LayerChart(layer=layers).properties(width=440, height=320))
    return to_svg(alt.HConcatChart(hconcat=panels, spacing=40))


def to_svg(chart: alt.HConcatChart | alt.LayerChart) -> str:
    """Render a chart to a file of its own, with the colours of the pages."""
    svg: str = vl_convert.vegalite_to_svg(chart.to_dict(), config=CONFIG | {"autosize": "pad"})
    opening, _, body = svg.partition(">")
    style = _COLOURS.read_text(encoding="utf-8") + " svg { background: var(--page); }"
    return f"{opening}><style>{style}</style>{body}"
