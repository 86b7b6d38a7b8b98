"""By when an arm is decided, if its effects stay as they are."""

import math
from collections.abc import Sequence

from analysis.ab.config import AbConfig
from analysis.ab.effects import MetricEffect
from analysis.ab.evidence import Evidence
from analysis.ab.looks import Look

_LONGEST = 100.0  # times the listeners so far; what takes longer has no end in sight


def until(more: int | None, evidence: Evidence, config: AbConfig) -> str:
    """Return by when an arm is decided."""
    if evidence.at_horizon:
        return "the horizon is reached"
    if config.horizon:
        return f"wait for the horizon, {config.horizon}"
    if more is None:
        return "no end is in sight"
    return f"{how_long(more, evidence)}, if the effect stays as it is"


def more_listeners(
    primary: Sequence[MetricEffect],
    unclear: Sequence[MetricEffect],
    evidence: Evidence,
    config: AbConfig,
) -> int | None:
    """Return how many more listeners decide if effects stay; None with no end in sight.

    Args:
        primary: An arm's effects of which one is still to become significant; none where one is.
        unclear: Its guardrails that are still to be kept or broken.
        evidence: What is known so far.
        config: The rules.
    """
    if config.horizon:
        return max(0, config.horizon.listeners - evidence.in_all)
    listeners, look = 2 * min(evidence.listeners.values()), Look(config)

    def growth(ends: tuple[float, float], bound: float, level: float) -> float:
        """Return how many times as many listeners it takes until an interval excludes a bound."""
        lower, upper = ends
        if not lower < upper < math.inf:
            return math.inf
        half_widths = abs((lower + upper) / 2 - bound) / ((upper - lower) / 2)
        wider = look.errors(level, listeners) / look.errors(config.alpha, listeners)
        return (wider / half_widths) ** 2 if half_widths else math.inf

    factors = [
        growth(effect.losses, effect.allowed_loss, config.alpha) for effect in unclear
    ]
    if primary or not unclear:
        level = config.alpha / len(config.deciding) / (len(evidence.listeners) - 1)
        ends = [(row.relative.lower_pct, row.relative.upper_pct) for row in primary]
        factors.append(min((growth(row, 0.0, level) for row in ends), default=math.inf))
    factor = max(factors)
    if factor > _LONGEST:
        return None
    return max(1, math.ceil((factor - 1) * evidence.in_all))


def how_long(more: int, evidence: Evidence) -> str:
    """Return for how long to wait, in listeners and at the pace so far."""
    needed = f"about {float(f'{more:.2g}'):,.0f} more listeners are needed"
    if not evidence.days:
        return needed
    hours = 24 * evidence.days * more / max(1, evidence.in_all)
    if hours < 1:
        time = f"{60 * hours:,.1f} minutes"
    else:
        time = f"{hours:,.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    return f"{needed}, {time} at the pace so far"
