"""Points with intervals, each in the colour of its series: as lines, day by day, and against what they cost."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import altair as alt

from analysis.charts.svg import Layer, arm_colour, around_zero, chart_of, colour_by, layered, named_axis

_FEW = 12  # points of a line that may each have a dot of their own
_CROWDED = 31  # days that may each have an interval of their own
_WIDE = 3.0  # an interval that reaches so many times as far as the last day's leaves the chart


class Point(NamedTuple):
    """A point with the ends of its interval, where it has one; several lines may share a series."""

    series: str
    x: float
    y: float | None
    lower: float | None = None
    upper: float | None = None
    line: str = ""

    @property
    def ends(self) -> list[float]:
        """What there is of the value and the ends of its interval."""
        return [end for end in (self.y, self.lower, self.upper) if end is not None]


def draw_lines(
    points: Sequence[Point], colours: Mapping[str, str], x: alt.X, y_title: str, *, from_zero: bool = False
) -> alt.LayerChart:
    """Draw a line for each series, in the order of its points, with a band where these have intervals.

    The legend has the order of the colours; the axis of the field "x" is one of `number_axis` or `name_axis`.
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


def draw_shares(
    shares: Mapping[str, Sequence[float]], colours: Mapping[str, str], names: Sequence[str], x_title: str = "from …"
) -> alt.LayerChart:
    """Draw how values are spread over bins, as one outline a series; `names` are the lower ends of the bins."""
    rows = [
        {"series": series, "bin": number, "share": 100 * share}
        for series, of_bins in shares.items()
        for number, share in enumerate([*of_bins, *of_bins[-1:]])
    ]
    encoded = chart_of(rows).encode(
        x=alt.X("bin:Q", scale=alt.Scale(domain=[0, len(names)], nice=False), axis=named_axis(x_title, names, 8)),
        y=alt.Y("share:Q", title="sessions, %", stack=None, axis=alt.Axis(tickCount=4)),
        color=colour_by("series", dict(colours)),
    )
    outline = encoded.mark_line(interpolate="step-after", strokeWidth=2)
    return layered(210, encoded.mark_area(interpolate="step-after", opacity=0.1), outline)


def draw_days(days: Sequence[str], daily: Sequence[Point], so_far: Sequence[Point], colour: str) -> alt.LayerChart:
    """Draw an effect over the days of an experiment: of each day alone, and of all days up to one with its interval.

    The points' x is the day, counted from 0, and all have an interval.
    """
    # The first days, of which little is known, may reach out of the chart.
    reach = _WIDE * max(map(abs, so_far[-1].ends)) if so_far else float("inf")
    domain = around_zero(end for point in so_far for end in point.ends if abs(end) <= reach)
    x, scale = name_axis("day, UTC", days), alt.Scale(domain=list(domain), clamp=True, nice=False)
    y = alt.Y("y:Q", title="effect, %", scale=scale, axis=alt.Axis(tickCount=5))
    ends = {"x": x, "y": alt.Y("lower:Q"), "y2": alt.Y2("upper:Q")}
    alone, total, last = (chart_of(point._asdict() for point in points) for points in (daily, so_far, so_far[-1:]))
    layers: list[Layer] = [
        chart_of([{"y": 0}]).mark_rule().encode(y="y:Q"),
        total.mark_area(opacity=0.26, color=colour).encode(**ends),
        total.mark_line(strokeWidth=2, color=colour).encode(x=x, y=y),
        alone.mark_circle(size=24, opacity=1, color=arm_colour(0)).encode(x=x, y=y),
        last.mark_circle(size=40, opacity=1, color=colour).encode(x=x, y=y),
    ]
    if len(days) <= _CROWDED:
        layers.append(alone.mark_rule(opacity=0.4, color=arm_colour(0)).encode(**ends))
    return layered(210, *layers)


def draw_scatter(points: Sequence[Point], colours: Mapping[str, str], y_title: str) -> alt.LayerChart:
    """Draw values with intervals against the seconds that they took; what is drawn last is above the others."""
    x = alt.X("x:Q", title="seconds", axis=alt.Axis(tickCount=5))
    y = alt.Y("y:Q", title=y_title, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
    base = chart_of(point._asdict() for point in points).encode(x=x, color=colour_by("series", dict(colours)))
    ends = base.mark_rule(opacity=0.5).encode(y=alt.Y("lower:Q"), y2="upper:Q")
    return layered(210, ends, base.mark_circle(size=40, opacity=1).encode(y=y))


def number_axis(title: str, *, from_zero: bool = True) -> alt.X:
    """Return an axis of numbers for the field "x"."""
    return alt.X("x:Q", title=title, scale=alt.Scale(zero=from_zero, nice=False), axis=alt.Axis(tickCount=6))


def name_axis(title: str, names: Sequence[str]) -> alt.X:
    """Return an axis for the field "x" that names 0, 1, 2, … by texts of ours, such as days."""
    scale = alt.Scale(domain=[-0.5, len(names) - 0.5], nice=False)
    return alt.X("x:Q", scale=scale, axis=named_axis(title, names, 5))
