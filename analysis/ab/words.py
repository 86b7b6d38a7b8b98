"""The verdict's sentences: what was found of an arm, in words for those who decide.

Arms are named with their recommender, changes in % with the values that they are of, and a limit in
the unit that it is given in.
"""

import math
from collections.abc import Sequence

from analysis.ab.effects import MetricEffect
from analysis.page import numbers

_LIMITS_HOLD = {
    0: "",
    1: "The safety limit holds.",
    2: "Both safety limits hold.",
    3: "All three safety limits hold.",
    4: "All four safety limits hold.",
}


def listed(names: Sequence[str]) -> str:
    """Return names as a list: "A, B and C"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def change(effect: MetricEffect) -> str:
    """Return a change with its sign, such as "+92 %", or both values where there is none."""
    pct = effect.relative.effect_pct
    if math.isnan(pct):
        return values(effect)
    return numbers.change(pct, _decimals(effect))


def change_with_range(effect: MetricEffect) -> str:
    """Return a change and where the true one may lie, such as "+5.4 % (+1.0 to +9.8 %)"."""
    relative = effect.relative
    ends = numbers.interval(relative.lower_pct, relative.upper_pct, _decimals(effect))
    if ends == numbers.NOTHING:
        return change(effect)
    return f"{change(effect)} ({ends.replace('…', 'to')})"


def values(effect: MetricEffect) -> str:
    """Return the arm's value and the control's: "3.67 instead of 1.91 tracks"."""
    arm = _short(effect.arm_value)
    control = _short(effect.control_value)
    unit = f" {effect.unit}" if effect.unit else ""
    return f"{arm} instead of {control}{unit}"


def comparison(effect: MetricEffect, control: str) -> str:
    """Return how an arm's metric differs from the control's, as a sentence."""
    pct = effect.relative.effect_pct
    name = quoted(effect)
    if math.isnan(pct):
        return f"{name} is {values(effect)} with {control}."
    amount = numbers.percent(abs(pct), _decimals(effect))
    more, less = ("more", "less") if effect.phrase else ("higher", "lower")
    differs = f"{amount} {more if pct > 0 else less}"
    said = effect.phrase.format(differs) if effect.phrase else f"{name} is {differs}"
    return f"{said} than with {control}: {values(effect)}{_likely(effect)}."


def limit(effect: MetricEffect) -> str:
    """Return what a guardrail is not certain of or breaks, such as "to stay below +10 %"."""
    if effect.margin is None:
        sign, side = ("-", "above") if effect.higher_is_better else ("+", "below")
        allowed = f"{sign}{effect.allowed_loss:g}".replace("-", numbers.MINUS)
        return f"to stay {side} {allowed} %"
    verb = "fall" if effect.higher_is_better else "rise"
    unit = f" {effect.unit}" if effect.unit else ""
    return f"to {verb} by at most {effect.allowed_loss:g}{unit}"


def so_far(effect: MetricEffect) -> str:
    """Return how a guardrail stands, in the unit of its margin."""
    return change(effect) if effect.margin is None else values(effect)


def stopped_early(effect: MetricEffect) -> str:
    """Return what to make of a gain at which a test stops; nothing without an interval."""
    relative = effect.relative
    least = min(abs(relative.lower_pct), abs(relative.upper_pct))
    if not math.isfinite(least):
        return ""
    safe = numbers.percent(least, _decimals(effect))
    return f"A test that stops at a win shows too large a gain; plan with {safe}."


def quoted(effect: MetricEffect) -> str:
    """Return a metric's name in quotes."""
    return f"'{numbers.capitalized(effect.label)}'"


def limits_hold(count: int) -> str:
    """Return that all guardrails are kept, as a sentence; nothing without any."""
    return _LIMITS_HOLD.get(count, f"All {count} safety limits hold.")


def _likely(effect: MetricEffect) -> str:
    """Return where the true change probably lies, if all of that is on one side of 0."""
    relative = effect.relative
    decimals = _decimals(effect)
    ends = sorted((abs(relative.lower_pct), abs(relative.upper_pct)))
    if not (relative.lower_pct > 0 or relative.upper_pct < 0) or ends[1] == math.inf:
        return ""
    low, high = (numbers.percent(end, decimals) for end in ends)
    kind = "gain" if effect.gain(relative.effect_pct) > 0 else "loss"
    low = low.removesuffix(numbers.PERCENT)
    return f"; the true {kind} is likely between {low} and {high}"


def _decimals(effect: MetricEffect) -> int:
    """Return the decimals of a change in % that its interval leaves a meaning."""
    relative = effect.relative
    width = relative.upper_pct - relative.lower_pct
    if not math.isfinite(width):
        width = abs(relative.effect_pct)
    if width >= 10 or abs(relative.effect_pct) >= 50:
        return 0
    return 1 if width >= 1 else 2


def _short(value: float) -> str:
    """Format a measured value with three digits, or more where they are before the point."""
    return f"{value:,.3g}" if abs(value) < 1000 else numbers.count(value)
