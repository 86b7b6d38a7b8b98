"""Numbers as people read them: signs, thousands, and a dash for what does not exist."""

import math
from datetime import date

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NARROW NO-BREAK SPACE}"  # a number is not parted from its unit or from its thousands


def count(value: float | None) -> str:
    """A whole number with its thousands apart: 1,234,567."""
    return NOTHING if _is_nothing(value) else _minus(f"{value:,.0f}")


def number(value: float | None) -> str:
    """A measured value with about four digits: 0.0123, 4.567, 45.67, 123.4, 12,345."""
    if value is None or _is_nothing(value):
        return NOTHING
    size = abs(value)
    decimals = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3 if size >= 1 or size == 0 else 4
    return _minus(f"{value:,.{decimals}f}")


def percent(value: float | None, decimals: int = 2) -> str:
    """A share that is given in %: 12.30 %; one that is too small to show is said to be."""
    if value is None or _is_nothing(value):
        return NOTHING
    least = 10.0**-decimals
    return f"< {least:g}{_SPACE}%" if 0 < value < least / 2 else _minus(f"{value:,.{decimals}f}") + f"{_SPACE}%"


def change(value: float | None, decimals: int = 2) -> str:
    """A difference in %, with its sign: +1.23 %."""
    if value is None or _is_nothing(value):
        return NOTHING
    text = f"{value:+,.{decimals}f}"
    return _minus(text.lstrip("+-") if not float(text.replace(",", "")) else text) + f"{_SPACE}%"


def interval(lower: float | None, upper: float | None, decimals: int = 2) -> str:
    """The ends of an interval of differences in %: -1.00 … +2.00 %."""
    if _is_nothing(lower) or _is_nothing(upper):
        return NOTHING
    return f"{change(lower, decimals).removesuffix(f'{_SPACE}%')} … {change(upper, decimals)}"


def p_value(value: float | None) -> str:
    """A p-value with four decimals, or that it is below them."""
    if value is None or _is_nothing(value):
        return NOTHING
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def tick(value: float, unit: str = "") -> str:
    """A round value beside an axis, as short as it can be: -0.5, 1,000, 20 %."""
    text = _minus(f"{round(value, 9):,.10g}")
    return f"{text}{_SPACE}{unit}" if unit else text


def day(iso: str | None) -> str:
    """An ISO date as 3 Nov 2026."""
    if iso is None:
        return NOTHING
    parsed = date.fromisoformat(iso)
    return f"{parsed.day} {parsed:%b %Y}"


def short_day(iso: str) -> str:
    """An ISO date as 3 Nov."""
    return day(iso).rsplit(" ", 1)[0]


def _is_nothing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
