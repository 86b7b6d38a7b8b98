"""Decide what to do with an experiment; `docs/experiments.md` has the rules and their errors.

The first rule that applies decides, in the order in which `decide` asks. Of the arms, each by the
intervals that decide, one *loses* if a guardrail is broken, a primary metric is significantly
worse, or all are surely not better by enough; it *wins* if it does not lose, a primary metric is
significantly better, and every guardrail is kept.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.ab.config import AbConfig
from analysis.ab.effects import MetricEffect
from analysis.ab.parts import data_quality
from analysis.ab.parts.data_quality import Trust
from analysis.ab.tables import DAY_MS
from analysis.logs.lines import LineCounts
from analysis.statistics.multiplicity import holm
from analysis.statistics.sample_ratio import SampleRatio
from analysis.statistics.sequential import widening

Decision = Literal["ship", "do not ship", "wait", "do not trust", "as expected"]

_AA_LEVEL = 0.001  # share of sound systems in which an A/A test raises an alarm
_LONGEST = 100.0  # times the listeners so far; what takes longer has no end in sight


@dataclass(frozen=True)
class Verdict:
    """What to do, and why."""

    decision: Decision  # the answer
    # the arm it is about: the one to ship, or the one that came nearest; None where it is about all
    arm: str | None
    reason: str  # one sentence
    # what else should be known before anybody acts on it, a sentence each
    notes: tuple[str, ...] = ()
    # how many more decide, if the effects stay as they are; None if unknown
    more_listeners: int | None = None


@dataclass(frozen=True)
class Evidence:
    """What a verdict depends on."""

    listeners: Mapping[str, int]  # by arm, the control first
    lines: LineCounts  # of the logs
    srm: SampleRatio  # the sample ratio
    trust: Trust | None = None  # data quality; None if only the original table was made
    effects: tuple[MetricEffect, ...] = ()  # of all metrics and arms, adjusted
    at_horizon: bool = False  # whether the declared horizon is reached
    # the experiment's first event and its last; both 0 where times are unknown, as of a data frame
    span_ms: tuple[int, int] = (0, 0)
    left_out: int = 0  # events after the horizon

    @property
    def in_all(self) -> int:
        """Listeners of all arms."""
        return sum(self.listeners.values())

    @property
    def days(self) -> float:
        """Days from the experiment's first event to its last; 0 where times are unknown."""
        first_ms, last_ms = self.span_ms
        return (last_ms - first_ms) / DAY_MS


def decide(evidence: Evidence, config: AbConfig) -> Verdict:
    """Return the verdict by the module's rules."""
    fault, trust = _distrust(evidence, config), evidence.trust
    if trust is None:
        if fault:
            return Verdict("do not trust", None, fault)
        reason = "the original table alone decides nothing; make the whole report."
        return Verdict("wait", None, reason)
    notes = data_quality.notes(trust, evidence.lines, evidence.left_out, config)
    if fault:
        return Verdict("do not trust", None, fault, notes)
    if config.aa:
        return _decide_aa(evidence, notes)
    smallest = min(evidence.listeners, key=lambda arm: evidence.listeners[arm])
    count = evidence.listeners[smallest]
    if count < config.min_listeners:
        missing = config.min_listeners - count
        more = math.ceil(missing * evidence.in_all / max(1, count))
        reason = (
            f"arm {smallest} has {count:,} listeners, and {config.min_listeners:,} "
            f"are asked for{_how_long(more, evidence)}."
        )
        return Verdict("wait", None, reason, notes, more_listeners=more)
    return _decide_arms(evidence, config, notes)


def _distrust(evidence: Evidence, config: AbConfig) -> str | None:
    """Return what forbids any trust before an effect is looked at; None if nothing does."""
    srm, lines, limits = evidence.srm, evidence.lines, config.trust
    if srm.mismatch:
        seen = ", ".join(f"{arm} {count:,}" for arm, count in srm.observed.items())
        due = ", ".join(f"{arm} {srm.expected[arm]:,.0f}" for arm in srm.observed)
        return (
            "the arms do not have their shares of the listeners "
            f"(p = {srm.p_value:.2g}): {seen}; expected {due}."
        )
    if lines.rejected > limits.most_rejected * lines.read:
        return f"{lines.rejected:,} of {lines.read:,} lines of the logs are not events."
    changing = evidence.trust.changing_listeners if evidence.trust else 0
    if changing > limits.most_changing * evidence.in_all:
        return f"{changing:,} listeners were in more than one arm."
    return None


def _decide_aa(evidence: Evidence, notes: tuple[str, ...]) -> Verdict:
    primary = [effect for effect in evidence.effects if effect.role == "primary"]
    if not primary:
        reason = "no primary metric can be computed from this log."
        return Verdict("wait", None, reason, notes)
    p_values = holm([effect.p_value for effect in primary])
    for effect, p_value in zip(primary, p_values, strict=True):
        if p_value < _AA_LEVEL:
            reason = (
                f"the arms are the same, and {effect.metric} of {effect.arm} differs from "
                f"the control by {_describe(effect)}, p = {p_value:.2g}."
            )
            return Verdict("do not trust", effect.arm, reason, notes)
    reason = "the arms are the same, and no primary metric differs significantly."
    return Verdict("as expected", None, reason, notes)


@dataclass(frozen=True)
class _Arm:
    """An arm beside the control, and what speaks for and against it."""

    name: str
    effects: list[MetricEffect]  # on all metrics
    loss: str | None  # why it must not be shipped
    gain: str | None  # how it is better, if it does not lose

    @property
    def primary(self) -> list[MetricEffect]:
        return [effect for effect in self.effects if effect.role == "primary"]

    @property
    def unclear(self) -> list[MetricEffect]:
        """Guardrails of which it is not known whether they are kept."""
        return [effect for effect in self.effects if effect.guardrail == "unclear"]

    @property
    def gain_pct(self) -> float:
        """How much better the first primary metric is, in %."""
        gains = [effect.gain(effect.relative.effect_pct) for effect in self.primary]
        return next((gain for gain in gains if not math.isnan(gain)), -math.inf)


def _decide_arms(
    evidence: Evidence, config: AbConfig, notes: tuple[str, ...]
) -> Verdict:
    arms = []
    for name in evidence.listeners:
        if name != config.control:
            effects = [effect for effect in evidence.effects if effect.arm == name]
            loss = _loss(effects, config)
            arms.append(_Arm(name, effects, loss, None if loss else _gain(effects)))
    winners = [arm for arm in arms if arm.gain and not arm.unclear]
    if winners:
        winners.sort(key=lambda arm: -arm.gain_pct)
        best, *others = winners
        reason = f"{best.gain}, and every guardrail is kept"
        if others:
            names = ", ".join(arm.name for arm in others)
            reason = f"{reason}; also winning, with a smaller effect: {names}"
        return Verdict("ship", best.name, f"{reason}.", notes)
    undecided = [arm for arm in arms if not arm.loss]
    if not undecided:
        worst = arms[0].name if len(arms) == 1 else None
        losses = "; ".join(arm.loss or "" for arm in arms)
        return Verdict("do not ship", worst, f"{losses}.", notes)
    nearest = max(undecided, key=lambda arm: (bool(arm.gain), arm.gain_pct))
    reason = _why_undecided(nearest)
    if evidence.at_horizon:
        reason = f"{reason}, and the horizon is reached."
        return Verdict("do not ship", nearest.name, reason, notes)
    more = _more_listeners(nearest, evidence, config)
    if config.horizon:
        until = f"; wait for the horizon, {config.horizon}"
    elif more is None:
        until = "; no end is in sight"
    else:
        until = f"{_how_long(more, evidence)}, if the effect stays as it is"
    reason = f"{reason}{until}."
    return Verdict("wait", nearest.name, reason, notes, more_listeners=more)


def _loss(effects: Sequence[MetricEffect], config: AbConfig) -> str | None:
    """Return why an arm must not be shipped; None if nothing forbids it."""
    for effect in effects:
        if effect.guardrail == "broken":
            return (
                f"{effect.arm} breaks the guardrail {effect.metric}: "
                f"{_values(effect)}, and {_allowed(effect)}"
            )
    primary = [effect for effect in effects if effect.role == "primary"]
    for effect in primary:
        if effect.significant and not effect.gain(effect.effect) > 0:
            return f"{effect.metric} of {effect.arm} is worse by {_describe(effect)}"
    smallest = config.smallest_effect_pct
    best = [_best_pct(effect) for effect in primary]
    if smallest and best and max(best) < smallest:
        change = f"{primary[0].metric} of {primary[0].arm} changes by {_describe(primary[0])}"
        return f"{change}; {smallest:g} % would be worth it"
    return None


def _best_pct(effect: MetricEffect) -> float:
    """Return the best that the deciding interval holds, in %; infinite without one."""
    relative = effect.deciding.relative
    if math.isnan(relative.upper_pct):
        return math.inf
    return max(effect.gain(relative.lower_pct), effect.gain(relative.upper_pct))


def _gain(effects: Sequence[MetricEffect]) -> str | None:
    """Return how an arm is better; None if no primary metric is significantly better."""
    for effect in effects:
        if effect.role == "primary" and effect.significant:
            return f"{effect.metric} of {effect.arm} is better by {_describe(effect)}"
    return None


def _why_undecided(arm: _Arm) -> str:
    if arm.gain:
        warnings = "; ".join(
            f"guardrail {effect.metric} may be worse than its margin: "
            f"{_describe(effect)}, and {_allowed(effect)}"
            for effect in arm.unclear
        )
        return f"{arm.gain}, but {warnings}"
    if not arm.primary:
        return f"no primary metric of {arm.name} can be computed from this log"
    first = arm.primary[0]
    return f"{first.metric} of {first.arm} changes by {_describe(first)}, which may be chance"


def _more_listeners(arm: _Arm, evidence: Evidence, config: AbConfig) -> int | None:
    """Return how many more listeners decide if effects stay; None with no end in sight."""
    listeners = 2 * min(evidence.listeners.values())
    factors = []
    if not arm.gain:
        comparisons = len(config.deciding) * (len(evidence.listeners) - 1)
        level = config.alpha / comparisons
        growth = []
        for effect in arm.primary:
            relative = effect.deciding.relative
            ends = relative.lower_pct, relative.upper_pct
            growth.append(_growth(ends, 0.0, level, listeners, config))
        factors.append(min(growth, default=math.inf))
    for effect in arm.unclear:
        bound = effect.allowed_loss
        factors.append(_growth(effect.losses, bound, config.alpha, listeners, config))
    factor = max(factors, default=math.inf)
    return math.ceil((factor - 1) * evidence.in_all) if factor <= _LONGEST else None


def _growth(
    ends: tuple[float, float],
    bound: float,
    level: float,
    listeners: int,
    config: AbConfig,
) -> float:
    """Return how many times as many listeners it takes until an interval excludes a bound."""
    lower, upper = ends
    if not lower < upper < math.inf:
        return math.inf
    planned, confidence = config.planned_listeners, 1 - config.alpha
    half_widths = abs((lower + upper) / 2 - bound) / ((upper - lower) / 2)
    errors = half_widths * widening(listeners, planned, confidence)
    factor = 1.02
    while factor <= _LONGEST and errors * math.sqrt(factor) < widening(
        factor * listeners, planned, confidence, level
    ):
        factor *= 1.02
    return factor


def _how_long(more: int, evidence: Evidence) -> str:
    """Return for how long to wait, in listeners and at the pace so far."""
    needed = f"; about {more:,} more listeners are needed"
    if not evidence.days:
        return needed
    hours = 24 * evidence.days * more / max(1, evidence.in_all)
    time = f"{hours:,.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    return f"{needed}, {time} at the pace so far"


def _describe(effect: MetricEffect) -> str:
    """Return the relative effect with the deciding interval, or both values without one."""
    if math.isnan(effect.relative.effect_pct):
        return _values(effect)
    return str(effect.deciding.relative)


def _allowed(effect: MetricEffect) -> str:
    unit = " %" if effect.margin is None else ""
    direction = "less" if effect.higher_is_better else "more"
    return f"{effect.allowed_loss:g}{unit} {direction} is allowed"


def _values(effect: MetricEffect) -> str:
    return f"from {effect.control_value:.4g} to {effect.arm_value:.4g}"
