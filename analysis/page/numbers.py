"""Format numbers and texts for readers: signs, thousands separators, a dash for missing values."""

import math
from bisect import bisect_right

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
# a number is not parted from its unit or from its thousands
_SPACE = "\N{NARROW NO-BREAK SPACE}"
_FEWER_DECIMALS = (1, 10, 100, 1000)  # larger values have a decimal less
PERCENT = f"{_SPACE}%"


def count(value: float | None) -> str:
    """Format a whole number: 1,234,567."""
    return _format(value, ",.0f")


def number(value: float | None) -> str:
    """Format a measured value with about four digits: 0.0123, 4.567, 45.67, 123.4, 12,345."""
    size = abs(value or 0)
    decimals = 4 - bisect_right(_FEWER_DECIMALS, size) if size else 3
    return _format(value, f",.{decimals}f")


def limits(lower: float | None, upper: float | None) -> str:
    """Format the ends of an interval of measured values: 0.0123 … 0.0145."""
    ends = number(lower), number(upper)
    return NOTHING if NOTHING in ends else " … ".join(ends)


def percent(value: float | None, decimals: int = 2) -> str:
    """Format a value that is already in %: 12.30 %, or < 0.01 % if it is too small to show."""
    least = 10.0**-decimals
    if value and 0 < value < least / 2:
        return f"< {least:g}{PERCENT}"
    return _format(value, f",.{decimals}f", PERCENT)


def level(alpha: float) -> str:
    """Format the confidence level of intervals by their two-sided error rate: 95 %, or 99.5 %."""
    return f"{100 * (1 - alpha):.4g}{PERCENT}"


def change(value: float | None, decimals: int = 2) -> str:
    """Format a difference in % with its sign: +1.23 %."""
    if value is not None and abs(value) < 0.5 * 10.0**-decimals:
        return _format(0.0, f".{decimals}f", PERCENT)
    return _format(value, f"+,.{decimals}f", PERCENT)


def interval(lower: float | None, upper: float | None, decimals: int = 2) -> str:
    """Format the ends of an interval of differences in %: -1.00 … +2.00 %."""
    ends = change(lower, decimals).removesuffix(PERCENT), change(upper, decimals)
    return NOTHING if NOTHING in ends else " … ".join(ends)


def p_value(value: float | None) -> str:
    """Format a p-value with four decimals: 0.0123, or < 0.0001."""
    if value is not None and 0 <= value < 0.0001:
        return "< 0.0001"
    return _format(value, ".4f")


def p_is(value: float | None) -> str:
    """Format a p-value with its name: "p = 0.0123", or "p < 0.0001"."""
    text = p_value(value)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def capitalized(text: str) -> str:
    """Capitalize the first letter of a text and leave the rest unchanged."""
    return text[:1].upper() + text[1:]


def short(value: float, digits: int = 3, sign: str = "") -> str:
    """Format a value with three significant digits, or all digits of its whole part.

    >>> short(1234.5), short(0.12345, digits=4), short(5.0, sign="+")
    ('1,234', '0.1235', '+5')
    """
    whole = len(f"{abs(value):.0f}")
    return _format(value, f"{sign},.{max(digits, whole)}g")


def decimals(change: float, lower: float, upper: float) -> int:
    """Choose how many decimals of a change in % are meaningful, by the width of its interval."""
    width = upper - lower
    if not math.isfinite(width):
        width = abs(change)
    if width >= 10 or abs(change) >= 50:
        return 0
    return 1 if width >= 1 else 2


def duration(days: float) -> str:
    """Format a duration, given in days: 12.0 minutes, 5.5 hours, or 12 days."""
    hours = 24 * days
    if hours < 1:
        return f"{60 * hours:,.1f} minutes"
    return f"{hours:,.1f} hours" if hours < 48 else f"{days:,.0f} days"


def _format(value: float | None, format_spec: str, unit: str = "") -> str:
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{format(value, format_spec).replace('-', MINUS)}{unit}"
