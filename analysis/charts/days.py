"""An effect day by day: of all days so far, with two intervals, and of each day alone."""

from collections.abc import Sequence
from typing import NamedTuple

import altair as alt

from analysis.charts.lines import name_axis
from analysis.charts.svg import Layer, arm_colour, around_zero, chart_of, layered

_CROWDED = 31  # days that may each have an interval of their own
_WIDE = 3.0  # an interval that reaches so many times as far as the last day's leaves the chart


class Span(NamedTuple):
    """An effect on a day, counted from 0, with the ends of its interval."""

    day: float
    value: float
    lower: float
    upper: float


def draw_days(
    days: Sequence[str], daily: Sequence[Span], so_far: Sequence[Span], always_valid: Sequence[Span], colour: str
) -> alt.LayerChart:
    """Draw an effect over the days of an experiment: of each day alone, and of all days up to one.

    The latter has two intervals: for a single look (`so_far`), and one that holds on all days at once.
    """
    x = name_axis("day, UTC", days)
    scale = alt.Scale(domain=list(_domain(so_far, always_valid)), clamp=True, nice=False)
    y = alt.Y("value:Q", title="effect, %", scale=scale, axis=alt.Axis(tickCount=5))
    ends = {"x": x, "y": alt.Y("lower:Q"), "y2": alt.Y2("upper:Q")}
    total, alone = _chart(so_far), _chart(daily)
    layers: list[Layer] = [
        chart_of([{"value": 0}]).mark_rule().encode(y="value:Q"),
        _chart(_widened(always_valid)).mark_area(opacity=0.14, color=colour).encode(**ends),
        _chart(_widened(so_far)).mark_area(opacity=0.26, color=colour).encode(**ends),
        total.mark_line(strokeWidth=2, color=colour).encode(x=x, y=y),
        alone.mark_circle(size=24, opacity=1, color=arm_colour(0)).encode(x=x, y=y),
        _chart(so_far[-1:]).mark_circle(size=40, opacity=1, color=colour).encode(x=x, y=y),
    ]
    if len(days) <= _CROWDED:
        layers.append(alone.mark_rule(opacity=0.4, color=arm_colour(0)).encode(**ends))
    return layered(210, *layers)


def _chart(spans: Sequence[Span]) -> alt.Chart:
    return chart_of(span._asdict() for span in spans).transform_calculate(x="datum.day")


def _widened(spans: Sequence[Span]) -> Sequence[Span]:
    """Make a single day as wide as a day, so that its area is seen."""
    return spans if len(spans) != 1 else [spans[0]._replace(day=spans[0].day + side) for side in (-0.4, 0.4)]


def _domain(so_far: Sequence[Span], always_valid: Sequence[Span]) -> tuple[float, float]:
    """Return limits that hold 0 and what is known at the end; the first days, of which little is known, reach out."""
    reach = _WIDE * max(map(abs, always_valid[-1][1:])) if always_valid else float("inf")
    return around_zero(end for span in (*so_far, *always_valid) for end in span[1:] if abs(end) <= reach)
