"""Values against what they cost, with intervals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import altair as alt

from analysis.charts.svg import chart_of, colour_by, layered


class Dot(NamedTuple):
    """A value with its interval at another value; what is drawn last is above the others."""

    kind: str
    x: float
    y: float | None
    lower: float | None
    upper: float | None


def draw_costs(dots: Sequence[Dot], colours: Mapping[str, str], y_title: str) -> alt.LayerChart:
    """Draw values against the seconds that they took, kinds in their colours and in the order of the legend."""
    x = alt.X("x:Q", title="seconds", axis=alt.Axis(tickCount=5))
    y = alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
    base = chart_of(dot._asdict() for dot in dots).encode(x=x, color=colour_by("kind", dict(colours)))
    ends = base.mark_rule(opacity=0.5).encode(y=alt.Y("lower:Q"), y2="upper:Q")
    return layered(210, ends, base.mark_circle(size=40, opacity=1).encode(y=y))
