"""Whether sessions end by a budget: what is not heard of their recommendations is as much in all arms, on average.

Where it is, the time of a session follows from the share s that is heard of a recommended track, and from the budget B
of the log: organic + B s / (1 - s), by which `analysis.offpolicy` predicts it. The time of the recommendations is off
by as many % as the budget is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.ab.effects import Listeners, RelativeEffect
from analysis.statistics import effects
from analysis.statistics.moments import Moments, Quantity

MARGIN_PCT = 5.0  # by which arms may differ: the error that a predicted time may have

_UNHEARD = Quantity("unheard", "sessions")


@dataclass(frozen=True)
class Budget:
    """What is not heard of the recommendations of a session, Σ (1 - share), in an arm and in the control."""

    arm: str
    control_value: float  # tracks a session
    arm_value: float
    change: RelativeEffect  # with the interval of one look
    # Whether the interval is within the margin, so that the budgets are equal (Schuirmann's two one-sided tests, 1987);
    # False where it excludes 0, None where it says neither
    holds: bool | None


def compare_budgets(listeners: Mapping[str, Listeners], control: str) -> tuple[Budget, ...]:
    """Compare each arm's budget with the control's; no row for an arm without recommended tracks."""
    moments = {
        arm: Moments.of({"unheard": of["recommended_tracks"] - of["recommended_time"], "sessions": of["sessions"]})
        for arm, of in listeners.items()
    }
    budgets = []
    for arm in (arm for arm in listeners if arm != control):
        effect = effects.compare_moments(moments[control], moments[arm], _UNHEARD)
        if effect.control.value > 0 and effect.arm.value > 0:
            change = effect.relative.scaled(100)
            within = change.lower > -MARGIN_PCT and change.upper < MARGIN_PCT
            holds = True if within else False if change.excludes_zero else None
            relative = RelativeEffect.of(change, effect.p_value)
            budgets.append(Budget(arm, effect.control.value, effect.arm.value, relative, holds))
    return tuple(budgets)
