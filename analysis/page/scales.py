"""From values to places in a chart, in % of its width or height, and the round values to name beside it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A linear scale.

    Attributes:
        low: The value at 0 %.
        high: The value at 100 %, above low.
    """

    low: float
    high: float

    def at(self, value: float) -> float:
        """The place of a value in %, not far outside the chart even if the value is."""
        return round(min(1e4, max(-1e4, 100 * (value - self.low) / (self.high - self.low))), 3)

    def contains(self, value: float) -> bool:
        """Whether the value's place is in the chart."""
        return self.low <= value <= self.high

    def ticks(self, count: int) -> list[float]:
        """Multiples of 1, 2 or 5 times a power of ten within the scale, about as many as asked for."""
        step = _round_step((self.high - self.low) / count)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def covering(values: Iterable[float | None], *, include: float | None = None, margin: float = 0.06) -> Scale:
    """A scale with room for all values that are finite numbers, and for one more that must be seen.

    Args:
        values: None and what is not finite is left out.
        include: Such as 0.
        margin: Empty share on either side.
    """
    finite = [value for value in (*values, include) if value is not None and math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    room = margin * (high - low) or abs(low) or 1.0
    return Scale(low - room, high + room)


def _round_step(wanted: float) -> float:
    unit = 10.0 ** math.floor(math.log10(wanted))
    return min((unit * factor for factor in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / wanted)))
