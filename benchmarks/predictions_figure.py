"""Two scatter plots beside one another as one SVG: what was predicted to the right, what was measured upwards."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.page import numbers
from analysis.page.figures import Dot, Plane, Shape, Tick
from analysis.page.render import render
from analysis.page.scales import Scale, covering

Interval = tuple[float, float, float]
TICKS = (-20, 0, 25, 50, 100, 200, 400, 800)  # effects in %, on a scale of the logarithm of the ratio
STYLES = {"als": "arm-1", "context": "arm-2", "other": "arm-3"}
_TEMPLATE = "predictions.svg.jinja"


@dataclass(frozen=True)
class Panel:
    """A scatter plot; places are in % of its plot.

    Attributes:
        x_title: What goes to the right.
        x_ticks: Below.
        y_ticks: Left.
        zero: Place of no effect.
        dots: A value, with the ends of the measured interval.
        bars: The intervals of what was predicted.
    """

    x_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero: float | None
    dots: tuple[Dot, ...]
    bars: tuple[Shape, ...]


def draw(rows: Sequence[tuple[str, Interval, Interval, Interval]]) -> str:
    """The picture.

    Args:
        rows: Kind, NDCG@30, off-policy estimate and effect in % of each model, numbered from 1 in this order.
    """
    kinds = [kind for kind, *_ in rows]
    effects = [_as_logarithms(effect) for *_, effect in rows]
    y = covering([end for effect in effects for end in effect], include=0.0)
    titles = ("NDCG@30 on held-out sessions", "off-policy estimate: share heard of a recommended track")
    predicted = ([ndcg for _, ndcg, _, _ in rows], [ope for _, _, ope, _ in rows])
    panels = [_panel(title, kinds, values, effects, y) for title, values in zip(titles, predicted, strict=True)]
    return render(Path(__file__).parent, _TEMPLATE, panels=panels)


def _as_logarithms(effect: Interval) -> Interval:
    value, low, high = effect
    return _logarithm(value), _logarithm(low), _logarithm(high)


def _logarithm(effect: float) -> float:
    """Of the ratio of the means, given the effect in %."""
    return math.log1p(effect / 100)


def _panel(
    title: str, kinds: Sequence[str], predicted: Sequence[Interval], effects: Sequence[Interval], y: Scale
) -> Panel:
    x = covering([end for value in predicted for end in value])
    plane = Plane(x, y)
    styles = [STYLES[kind] for kind in kinds]
    points = list(zip(predicted, effects, styles, strict=True))
    return Panel(
        x_title=title,
        x_ticks=plane.x_ticks((value, numbers.tick(value)) for value in x.ticks(5)),
        y_ticks=plane.y_ticks(
            (_logarithm(tick), numbers.tick(tick, "%")) for tick in TICKS if y.contains(_logarithm(tick))
        ),
        zero=plane.zero,
        dots=tuple(plane.dot(value, effect, (low, high), style) for (value, *_), (effect, low, high), style in points),
        bars=tuple(
            plane.line([(low, effect), (high, effect)], style) for (_, low, high), (effect, *_), style in points
        ),
    )
