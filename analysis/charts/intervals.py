"""Values with intervals, one under another on one scale (a forest plot)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt

from analysis.charts.svg import WIDTH, Layer, chart_of, layered

_ROW = 36  # px
_LETTER = 7.8  # px, a digit at the size of the texts, in a wide font


@dataclass(frozen=True)
class Row:
    """A value with its interval; None stands for what there is not."""

    label: str  # what has this value
    text: str  # the value in words
    value: float | None
    lower: float | None
    upper: float | None
    colour: str  # such as `svg.arm_colour` gives
    filled: bool = True  # whether the mark is filled or open


def draw_intervals(
    groups: Mapping[str, Sequence[Row]], x_title: str, domain: tuple[float, float] | None = None
) -> alt.LayerChart:
    """Draw values with intervals, label and text above each, by headings, of which an empty one is left out.

    The domain is the values at both sides, with a line at 0; intervals that reach further end in an arrow. By default
    all values have room.
    """
    lines = list(_lines(groups, domain))
    rows = [line for line in lines if "label" in line]
    room = 0.9 * (WIDTH - 16 - _LETTER * max((len(row["text"]) for row in rows), default=0))
    base = chart_of(rows)
    scale = alt.Scale(domain=list(domain), clamp=True, nice=False) if domain else alt.Scale(zero=False, padding=8)
    x = alt.X("value:Q", title=x_title, scale=scale, axis=alt.Axis(grid=True, tickCount=5))
    y, above = (alt.Y("row:O", axis=None, bandPosition=position) for position in (0.76, 0.28))
    stroke = alt.Stroke("colour:N", scale=None)
    layers: list[Layer] = [
        base.mark_rule(strokeWidth=2.5).encode(x=alt.X("lower:Q"), x2="upper:Q", y=y, stroke=stroke),
        base.mark_point(size=80, opacity=1).encode(x=x, y=y, stroke=stroke, fill=alt.Fill("fill:N", scale=None)),
        base.mark_text(align="left", limit=room).encode(x=alt.value(0), y=above, text="label:N"),
        base.mark_text(align="right").encode(x=alt.value("width"), y=above, text="text:N"),
        chart_of(line for line in lines if "heading" in line)
        .mark_text(align="left", limit=0.83 * WIDTH, color="var(--soft)")
        .encode(x=alt.value(0), y=y, text="heading:N"),
        chart_of(line for line in lines if "shape" in line)
        .mark_point(size=60, opacity=1, filled=True)
        .encode(x=x, y=y, shape=alt.Shape("shape:N", scale=None), color=alt.Color("colour:N", scale=None)),
    ]
    if domain:
        layers.insert(0, chart_of([{"value": 0}]).mark_rule().encode(x="value:Q"))
    return layered(_ROW * sum("shape" not in line for line in lines), *layers)


def _lines(groups: Mapping[str, Sequence[Row]], domain: tuple[float, float] | None) -> Iterator[dict[str, Any]]:
    """Number headings and rows from above, with an arrow for each end of an interval that is out of sight."""
    low, high = domain or (float("-inf"), float("inf"))
    number = 0
    for heading, rows in groups.items():
        if heading:
            yield {"row": number, "heading": heading}
            number += 1
        for row in rows:
            is_seen = row.value is not None and low <= row.value <= high
            fill = row.colour if row.filled else "var(--page)"
            yield asdict(row) | {"row": number, "value": row.value if is_seen else None, "fill": fill}
            if row.lower is not None and row.lower < low:
                yield {"row": number, "value": low, "shape": "triangle-left", "colour": row.colour}
            if row.upper is not None and row.upper > high:
                yield {"row": number, "value": high, "shape": "triangle-right", "colour": row.colour}
            number += 1
