"""Values against values, with intervals: what fits cost, and effects against predictions."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import altair as alt

from analysis.charts.svg import chart_of, colour_by, layered

Interval = tuple[float, float, float]
_EFFECTS = (-20, 0, 25, 50, 100, 200, 400, 800)  # named on the axis, %


class Dot(NamedTuple):
    """A value with its interval, at another value; what is drawn last is above the others."""

    kind: str
    x: float
    y: float
    lower: float
    upper: float


def draw_scatter(dots: Sequence[Dot], colours: Mapping[str, str], x_title: str, y_title: str) -> alt.LayerChart:
    """Draw values with intervals against others.

    Args:
        dots: The values.
        colours: Kind to colour, in the order of the legend.
        x_title: What goes to the right, from 0.
        y_title: What goes up.
    """
    base = chart_of(dot._asdict() for dot in dots)
    x = alt.X("x:Q", title=x_title, axis=alt.Axis(tickCount=5))
    y = alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
    colour = colour_by("kind", dict(colours))
    return layered(
        210,
        base.mark_rule(opacity=0.4).encode(x=x, y=alt.Y("lower:Q"), y2="upper:Q", color=colour),
        base.mark_circle(size=40, opacity=1).encode(x=x, y=y, color=colour),
    )


def draw_predictions(
    predicted: Mapping[str, Sequence[Interval]],
    effects: Sequence[Interval],
    kinds: Sequence[str],
    colours: Mapping[str, str],
) -> alt.HConcatChart:
    """Draw measured effects against predictions, a panel for each way to predict, with intervals of both.

    Args:
        predicted: Name of the prediction to its value, lower and upper end for each model.
        effects: The effect of each model, in % of the control; drawn on a log scale of the ratio.
        kinds: What kind each model is. Models are numbered from 1 in this order.
        colours: Kind to colour, in the order of the legend.
    """
    panels = [_panel(title, values, effects, kinds, dict(colours)) for title, values in predicted.items()]
    return alt.hconcat(*panels, spacing=40)


def _panel(
    title: str, values: Sequence[Interval], effects: Sequence[Interval], kinds: Sequence[str], colours: dict[str, str]
) -> alt.LayerChart:
    ratios = [tuple(1 + end / 100 for end in effect) for effect in effects]
    names = ("number", "kind", "x", "left", "right", "y", "lower", "upper")
    rows = [
        dict(zip(names, (str(number), kind, *value, *ratio), strict=True))
        for number, (value, ratio, kind) in enumerate(zip(values, ratios, kinds, strict=True), start=1)
    ]
    ends = [1.0, *(end for ratio in ratios for end in ratio)]
    named = [ratio for effect in _EFFECTS if min(ends) <= (ratio := 1 + effect / 100) <= max(ends)]
    axis = alt.Axis(values=named, labelExpr="format(100 * (datum.value - 1), ',.0f') + ' %'")
    x = alt.X("x:Q", title=title, scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=5))
    y = alt.Y("y:Q", title="effect", scale=alt.Scale(type="log", nice=False, padding=10), axis=axis)
    colour = colour_by("kind", colours)
    base = chart_of(rows)
    layers = [
        chart_of([{"y": 1}]).mark_rule().encode(y="y:Q"),
        base.mark_rule(opacity=0.55).encode(x=x, y=alt.Y("lower:Q"), y2="upper:Q", color=colour),
        base.mark_rule(opacity=0.55).encode(x=alt.X("left:Q"), x2="right:Q", y=y, color=colour),
        base.mark_circle(size=40, opacity=1).encode(x=x, y=y, color=colour),
        base.mark_text(align="left", dx=5, dy=-6, fontSize=11).encode(x=x, y=y, text="number:N"),
    ]
    return alt.LayerChart(layer=layers).properties(width=396, height=320)
