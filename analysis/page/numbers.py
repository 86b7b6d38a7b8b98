"""Numbers as people read them: signs, thousands, and a dash for what does not exist."""

import math
from datetime import datetime

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NARROW NO-BREAK SPACE}"  # a number is not parted from its unit or from its thousands


def count(value: float | None) -> str:
    """Format a whole number: 1,234,567."""
    return _formatted(value, ",.0f")


def number(value: float | None) -> str:
    """Format a measured value with about four digits: 0.0123, 4.567, 45.67, 123.4, 12,345."""
    size = abs(value or 0)
    decimals = (
        0
        if size >= 1000
        else 1
        if size >= 100
        else 2
        if size >= 10
        else 3
        if size >= 1 or size == 0
        else 4
    )
    return _formatted(value, f",.{decimals}f")


def limits(lower: float | None, upper: float | None) -> str:
    """Format the ends of an interval of measured values: 0.0123 … 0.0145."""
    return (
        NOTHING
        if _is_nothing(lower) or _is_nothing(upper)
        else f"{number(lower)} … {number(upper)}"
    )


def percent(value: float | None, decimals: int = 2) -> str:
    """Format a share that is given in %: 12.30 %, or < 0.01 % where it is too small to show."""
    least = 10.0**-decimals
    return (
        f"< {least:g}{_SPACE}%"
        if value and 0 < value < least / 2
        else _formatted(value, f",.{decimals}f", "%")
    )


def change(value: float | None, decimals: int = 2) -> str:
    """Format a difference in % with its sign: +1.23 %."""
    is_shown_as_zero = value is not None and abs(value) < 0.5 * 10.0**-decimals
    return _formatted(
        0.0 if is_shown_as_zero else value,
        f"{'' if is_shown_as_zero else '+'},.{decimals}f",
        "%",
    )


def interval(lower: float | None, upper: float | None, decimals: int = 2) -> str:
    """Format the ends of an interval of differences in %: -1.00 … +2.00 %."""
    if _is_nothing(lower) or _is_nothing(upper):
        return NOTHING
    return f"{change(lower, decimals).removesuffix(f'{_SPACE}%')} … {change(upper, decimals)}"


def p_value(value: float | None) -> str:
    """Format a p-value with four decimals: 0.0123, or < 0.0001."""
    return (
        "< 0.0001"
        if value is not None and 0 <= value < 0.0001
        else _formatted(value, ".4f")
    )


def day(iso: str | None) -> str:
    """Format an ISO date, or a date with its time: 3 Nov 2026, 3 Nov 2026 14:00."""
    if iso is None:
        return NOTHING
    parsed = datetime.fromisoformat(iso)
    return f"{parsed.day} {parsed:%b %Y}{f' {parsed:%H:%M}' if 'T' in iso else ''}"


def _formatted(value: float | None, format_spec: str, unit: str = "") -> str:
    if value is None or _is_nothing(value):
        return NOTHING
    text = format(value, format_spec).replace("-", MINUS)
    return f"{text}{_SPACE}{unit}" if unit else text


def _is_nothing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)
