"""Lines over an axis of numbers or of names, each in the colour of its series."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import altair as alt

from analysis.charts.svg import chart_of, colour_by, layered, named_axis

_FEW = 12  # points of a line that may each have a dot of their own


class Point(NamedTuple):
    """A point of a line, with the ends of its interval where it has one; several lines may share a series."""

    series: str
    x: float
    y: float
    lower: float | None = None
    upper: float | None = None
    line: str = ""


def draw_lines(
    points: Sequence[Point], colours: Mapping[str, str], x: alt.X, y_title: str, *, from_zero: bool = False
) -> alt.LayerChart:
    """Draw a line for each series, in the order of its points, with a band where these have intervals.

    Args:
        points: Of all lines.
        colours: Series → colour, in the order of the legend.
        x: The axis of the field "x", such as `number_axis` and `name_axis` give.
        y_title: What goes up.
        from_zero: Whether the axis that goes up starts at 0.
    """
    base = chart_of(point._asdict() for point in points)
    colour = colour_by("series", dict(colours))
    y = alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=from_zero), axis=alt.Axis(tickCount=4))
    layers = [base.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, detail="line:N")]
    if any(point.lower is not None for point in points):
        layers.insert(
            0, base.mark_area(opacity=0.14).encode(x=x, y="lower:Q", y2="upper:Q", color=colour, detail="line:N")
        )
    if len({point.x for point in points}) <= _FEW:
        layers.append(base.mark_circle(size=24, opacity=1).encode(x=x, y=y, color=colour))
    return layered(210, *layers)


def number_axis(title: str, *, from_zero: bool = True) -> alt.X:
    """Return an axis of numbers for the field "x"."""
    return alt.X("x:Q", title=title, scale=alt.Scale(zero=from_zero, nice=False), axis=alt.Axis(tickCount=6))


def name_axis(title: str, names: Sequence[str]) -> alt.X:
    """Return an axis for the field "x" that names 0, 1, 2, … by texts of ours, such as days."""
    scale = alt.Scale(domain=[-0.5, len(names) - 0.5], nice=False)
    return alt.X("x:Q", scale=scale, axis=named_axis(title, names, 5))
