"""Charts and tables as frozen values; the templates draw them.

A chart is an SVG as wide as the page lets it be. Its texts keep their size: places are in % of the plot, and only
lines and areas are stretched. Colours are names of styles, so that one picture serves light, dark and print.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from analysis.page.scales import Scale

CONTROL = "arm-0"


def arm_style(position: int) -> str:
    """The colour of an arm, the control being 0; they come again after the seventh."""
    return CONTROL if position == 0 else f"arm-{(position - 1) % 6 + 1}"


def spread_evenly(count: int, most: int) -> range:
    """Which of so many things to name where there is room for a few: the first, and more at equal steps."""
    return range(0, count, max(1, -(-count // most)))


@dataclass(frozen=True)
class Table:
    """Rows of texts.

    Attributes:
        columns: Headings.
        rows: One text a column.
        texts: How many columns, from the first, are words; the rest are numbers and stand to the right.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1


@dataclass(frozen=True)
class Tick:
    """A name beside an axis, at a place in %."""

    at: float
    text: str


@dataclass(frozen=True)
class Shape:
    """A line or an area: points "x,y x,y …" in % from the top left corner, in a style."""

    points: str
    style: str


@dataclass(frozen=True)
class Dot:
    """A value, with the ends of its interval or None; places in % from the top left corner."""

    x: float
    y: float
    low: float | None
    high: float | None
    style: str


@dataclass(frozen=True)
class Key:
    """A line of the legend: the style's mark ("line", "dash", "area" or "dot") and what it stands for."""

    style: str
    mark: str
    text: str


@dataclass(frozen=True)
class Chart:
    """A picture, what it says in words, and its numbers.

    Attributes:
        title: What is shown.
        note: How to read it.
        description: What is to be seen, for those who do not see it.
        x_title: What goes to the right.
        y_title: What goes up.
        x_ticks: Below the chart.
        y_ticks: Left of it.
        zero: Place of the line of no effect.
        areas: Under the lines.
        lines: Over the areas.
        dots: Over both.
        legend: What the styles mean.
        table: The numbers.
    """

    title: str
    note: str
    description: str
    x_title: str
    y_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    zero: float | None
    areas: tuple[Shape, ...]
    lines: tuple[Shape, ...]
    dots: tuple[Dot, ...]
    legend: tuple[Key, ...]
    table: Table


@dataclass(frozen=True)
class Mark:
    """An effect in a forest plot; places in % from the left.

    Attributes:
        label: On what; empty where it is the same as above.
        arm: Whose effect; empty where there is one arm only.
        text: The effect in words.
        style: Colour.
        at: Place of the effect; None where there is none or it is outside.
        low: Place of the interval's lower end, None without one.
        high: Place of its upper end.
        sure: Whether it is significant: a filled mark.
        hint: A word on the effect, such as whether a limit is kept.
    """

    label: str
    arm: str
    text: str
    style: str
    at: float | None
    low: float | None
    high: float | None
    sure: bool
    hint: str


@dataclass(frozen=True)
class Forest:
    """Effects under one another on one scale.

    Attributes:
        title: What is shown.
        note: How to read it.
        description: What is to be seen, for those who do not see it.
        x_title: What goes to the right.
        ticks: Below.
        zero: Place of no effect.
        groups: Heading → effects.
        legend: What the styles mean.
        table: The numbers.
    """

    title: str
    note: str
    description: str
    x_title: str
    ticks: tuple[Tick, ...]
    zero: float
    groups: tuple[tuple[str, tuple[Mark, ...]], ...]
    legend: tuple[Key, ...]
    table: Table


@dataclass(frozen=True)
class Bar:
    """A bar to the right, with a mark where it should end; places in %."""

    label: str
    text: str
    style: str
    length: float
    due: float | None


@dataclass(frozen=True)
class Bars:
    """Bars under one another on one scale, with what they say in words and their numbers."""

    title: str
    note: str
    description: str
    bars: tuple[Bar, ...]
    legend: tuple[Key, ...]
    table: Table


@dataclass(frozen=True)
class Cell:
    """A value in a heat map.

    Attributes:
        text: The value.
        strength: How dark it is, 0..1; None where there is no value.
        is_best: Whether it is outlined.
    """

    text: str
    strength: float | None
    is_best: bool


@dataclass(frozen=True)
class HeatMap:
    """Values at pairs of two properties: a table whose cells are the darker the larger the value.

    Attributes:
        title: What is shown.
        note: How to read it.
        down: The property that has a value in each row.
        right: The one that has a value in each column.
        columns: Values of the latter.
        rows: Values of the former, each with a cell a column.
        legend: What the styles mean.
    """

    title: str
    note: str
    down: str
    right: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    legend: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Plane:
    """The two scales of a chart: turns values into shapes and dots."""

    x: Scale
    y: Scale

    def line(self, points: Iterable[tuple[float, float]], style: str) -> Shape:
        """A line through the points (x, y)."""
        return Shape(self._join(points), style)

    def band(self, points: Sequence[tuple[float, float, float]], style: str) -> Shape:
        """The area between the lower and the upper values of (x, lower, upper)."""
        outline = [(x, upper) for x, _, upper in points] + [(x, lower) for x, lower, _ in reversed(points)]
        return Shape(self._join(outline), style)

    def dot(self, x: float, y: float, ends: tuple[float, float] | None, style: str) -> Dot:
        """A value with the ends of its interval."""
        low, high = (self._down(end) for end in ends) if ends else (None, None)
        return Dot(self.x.at(x), self._down(y), low, high, style)

    def _down(self, y: float) -> float:
        return round(100 - self.y.at(y), 3)

    def y_ticks(self, names: Iterable[tuple[float, str]]) -> tuple[Tick, ...]:
        """Names at values of the axis that goes up."""
        return tuple(Tick(self._down(value), name) for value, name in names)

    def x_ticks(self, names: Iterable[tuple[float, str]]) -> tuple[Tick, ...]:
        """Names at values of the axis that goes right."""
        return tuple(Tick(self.x.at(value), name) for value, name in names)

    @property
    def zero(self) -> float | None:
        """Place of the line of no effect, where the chart has it."""
        return self._down(0.0) if self.y.contains(0.0) else None

    def _join(self, points: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{self.x.at(x):g},{self._down(y):g}" for x, y in points)
