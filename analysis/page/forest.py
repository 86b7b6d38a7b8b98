"""Forest plots as HTML: rows with a label, a value in words and its interval drawn on an axis."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeGuard

from analysis.page import numbers

_TICKS = 4  # ticks on the axis, about
_STEPS = (1, 2, 5, 10)  # between ticks, times a power of ten
_PADDING = 0.02  # margin of the axis, on each side


def arm_colour(position: int) -> str:
    """Return the CSS colour of an arm by its position; position 0 is the control."""
    return f"var(--arm-{0 if position == 0 else (position - 1) % 6 + 1})"


@dataclass(frozen=True)
class IntervalRow:
    """A row of a forest plot: a value with its interval. None, NaN and infinity mean missing."""

    label: str  # what has this value
    text: str  # the value in words
    value: float | None
    lower: float | None
    upper: float | None
    colour: str  # such as `arm_colour` returns
    filled: bool = True  # whether the mark is filled or open


@dataclass(frozen=True)
class Forest:
    """A forest plot: rows under headings, on a common axis.

    A heading without rows stands above several headings. If the plot is drawn as curves, each
    heading is a curve, and its rows are the points from left to right.
    """

    title: str  # what is shown
    note: str  # how to read it
    axis: str  # what the axis shows
    groups: Mapping[str, Sequence[IntervalRow]]
    from_zero: bool = False  # the axis has 0, with a line
    limit: float = math.inf  # the axis ends there on both sides of 0

    @property
    def ends(self) -> tuple[float, float]:
        """Lower and upper end of the axis."""
        ends = [0.0] if self.from_zero else []
        for rows in self.groups.values():
            for row in rows:
                ends += filter(_is_known, (row.value, row.lower, row.upper))
        low = min(ends, default=0.0)
        high = max(ends, default=0.0)
        padding = _PADDING * (high - low) or 1.0
        return max(low - padding, -self.limit), min(high + padding, self.limit)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Tick positions at equal distances, each with its label."""
        low, high = self.ends
        power = 10 ** math.floor(math.log10((high - low) / _TICKS))
        step = power * next(s for s in _STEPS if s * power >= (high - low) / _TICKS)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first = math.ceil(low / step)
        last = math.floor(high / step)
        return [
            (
                number * step,
                f"{number * step:,.{decimals}f}".replace("-", numbers.MINUS),
            )
            for number in range(first, last + 1)
        ]

    @property
    def marks(self) -> dict[str, float]:
        """Horizontal position of each point label of a curve, in % of the figure's width."""
        curves = sorted(self.groups.values(), key=len, reverse=True)
        labels = dict.fromkeys(row.label for rows in curves for row in rows)
        return {label: 100 * i / (len(labels) - 1) for i, label in enumerate(labels)}

    def line(
        self, rows: Sequence[IntervalRow], what: Literal["value", "lower", "upper"]
    ) -> list[str]:
        """Return the points of a curve in SVG notation, "x,y" in % of width and height."""
        (low, high), marks = self.ends, self.marks
        height = high - low
        # a point beyond the axis is cut off, wherever it is
        values = [
            min(max(getattr(row, what), low - height), high + height) for row in rows
        ]
        return [
            f"{marks[row.label]:g},{100 * (high - value) / height:g}"
            for row, value in zip(rows, values, strict=True)
        ]

    def place(self, value: float | None) -> float | None:
        """Return the position of a value on the axis, in % of its width; None if missing."""
        low, high = self.ends
        return 100 * (value - low) / (high - low) if _is_known(value) else None


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
