"""Values against values, with intervals: what fits cost, and effects against predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import altair as alt

from analysis.charts.svg import Layer, chart_of, colour_by, layered

Interval = tuple[float, float, float]
_EFFECTS = (-20, 0, 25, 50, 100, 200, 400, 800)  # named on the axis, %


@dataclass(frozen=True)
class Dot:
    """A value with its interval, at another value that may have one too; what is drawn last is above the others."""

    kind: str
    x: float
    y: float
    lower: float
    upper: float
    left: float | None = None
    right: float | None = None
    name: str = ""


def draw_scatter(
    dots: Sequence[Dot], colours: Mapping[str, str], x: alt.X, y: alt.Y, *further: Layer, height: int = 210
) -> alt.LayerChart:
    """Draw values with intervals against others.

    Args:
        dots: The values.
        colours: Kind to colour, in the order of the legend.
        x: Axis of the field "x".
        y: Axis of the field "y".
        further: Charts beneath.
        height: Of the plot, in px.
    """
    base = chart_of(asdict(dot) for dot in dots).encode(color=colour_by("kind", dict(colours)))
    return layered(
        height,
        *further,
        base.mark_rule(opacity=0.5).encode(x=x, y=alt.Y("lower:Q"), y2="upper:Q"),
        base.mark_rule(opacity=0.5).encode(x=alt.X("left:Q"), x2="right:Q", y=y),
        base.mark_circle(size=40, opacity=1).encode(x=x, y=y),
        base.mark_text(align="left", dx=5, dy=-6, fontSize=11).encode(
            x=x, y=y, text="name:N", color=alt.value("var(--text)")
        ),
    )


def draw_costs(dots: Sequence[Dot], colours: Mapping[str, str], y_title: str) -> alt.LayerChart:
    """Draw values against the seconds that they took."""
    x = alt.X("x:Q", title="seconds", axis=alt.Axis(tickCount=5))
    y = alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
    return draw_scatter(dots, colours, x, y)


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
    ratios = [(1 + value / 100, 1 + lower / 100, 1 + upper / 100) for value, lower, upper in effects]
    ends = [1.0, *(end for ratio in ratios for end in ratio)]
    named = [ratio for effect in _EFFECTS if min(ends) <= (ratio := 1 + effect / 100) <= max(ends)]
    axis = alt.Axis(values=named, labelExpr="format(100 * (datum.value - 1), ',.0f') + ' %'")
    y = alt.Y("y:Q", title="effect", scale=alt.Scale(type="log", nice=False, padding=10), axis=axis)
    no_effect = chart_of([{"y": 1}]).mark_rule().encode(y="y:Q")
    panels = []
    for title, values in predicted.items():
        dots = [
            Dot(kind, value, effect, lower, upper, left, right, str(number))
            for number, (kind, (value, left, right), (effect, lower, upper)) in enumerate(
                zip(kinds, values, ratios, strict=True), 1
            )
        ]
        x = alt.X("x:Q", title=title, scale=alt.Scale(zero=False, padding=10), axis=alt.Axis(tickCount=5))
        panels.append(draw_scatter(dots, colours, x, y, no_effect, height=320))
    return alt.HConcatChart(hconcat=panels, spacing=40)
