"""Horizontal bars with their values in words."""

from collections.abc import Sequence
from typing import NamedTuple

import altair as alt

from analysis.charts.svg import chart_of, layered

_ROW = 32  # px


class Bar(NamedTuple):
    """A bar, and where it should end if that is known."""

    label: str
    value: float
    text: str
    colour: str
    expected: float | None = None


def draw_bars(bars: Sequence[Bar]) -> alt.LayerChart:
    """Draw bars under one another, with a mark where each is expected to end."""
    longest = max((max(bar.value, bar.expected or 0) for bar in bars), default=0) or 1
    base = chart_of(bar._asdict() for bar in bars)
    x = alt.X("value:Q", axis=None, scale=alt.Scale(domain=[0, 1.4 * longest]))  # the texts need a third of the width
    y = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=100, labelFontSize=12))
    return layered(
        _ROW * len(bars),
        base.mark_bar(size=16).encode(x=x, y=y, color=alt.Color("colour:N", scale=None)),
        base.mark_tick(size=26, thickness=2, color="var(--text)").encode(x="expected:Q", y=y),
        base.mark_text(align="right").encode(x=alt.value("width"), y=y, text="text:N"),
    )
