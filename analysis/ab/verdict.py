"""Decide what to do with an experiment; `docs/experiments.md` has the rules, and the errors that they make.

The first rule that applies decides, in the order in which `decide` asks. Of the arms, each by the
intervals that decide, one *loses* if a guardrail is broken, a primary metric is significantly
worse, or all are surely not better by enough; it *wins* if it does not lose, a primary metric is
significantly better, and every guardrail is kept.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from analysis.ab.config import AbConfig
from analysis.ab.effects import MetricEffect, RelativeEffect
from analysis.ab.parts import data_quality
from analysis.ab.parts.data_quality import Trust
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
    # further winners from which the one to ship does not differ significantly
    tied: tuple[str, ...] = ()
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
    # The effect on the first primary metric of an arm on another
    between: Mapping[tuple[str, str], RelativeEffect] = field(default_factory=dict)
    days: float = 0.0  # from the experiment's first event to its last
    left_out: int = 0  # events after the horizon

    @property
    def in_all(self) -> int:
        """Listeners of all arms."""
        return sum(self.listeners.values())


def decide(evidence: Evidence, config: AbConfig) -> Verdict:
    """Return the verdict by the module's rules."""
    trust = evidence.trust
    notes = (
        data_quality.notes(trust, evidence.lines, evidence.left_out, config)
        if trust
        else ()
    )
    fault = _distrust(evidence, config)
    if fault:
        return Verdict("do not trust", None, fault, notes)
    if trust is None:
        return Verdict(
            "wait",
            None,
            "the original table alone decides nothing; make the whole report.",
        )
    if config.aa:
        return _decide_aa(evidence, notes)
    few = min(evidence.listeners, key=lambda arm: evidence.listeners[arm])
    missing = config.min_listeners - evidence.listeners[few]
    if missing > 0:
        reason = f"arm {few} has {evidence.listeners[few]:,} listeners, and {config.min_listeners:,} are asked for"
        more = math.ceil(missing * evidence.in_all / max(1, evidence.listeners[few]))
        return Verdict(
            "wait",
            None,
            f"{reason}{_how_long(more, evidence)}.",
            notes,
            more_listeners=more,
        )
    return _decide_arms(evidence, config, notes)


def _distrust(evidence: Evidence, config: AbConfig) -> str | None:
    """Return what forbids any trust before an effect is looked at; None if nothing does."""
    srm, lines = evidence.srm, evidence.lines
    if srm.mismatch:
        seen = ", ".join(
            f"{arm} {listeners:,}" for arm, listeners in srm.observed.items()
        )
        due = ", ".join(f"{arm} {srm.expected[arm]:,.0f}" for arm in srm.observed)
        return f"the arms do not have their shares of the listeners (p = {srm.p_value:.2g}): {seen}; expected {due}."
    if lines.rejected > config.trust.most_rejected * lines.read:
        return f"{lines.rejected:,} of {lines.read:,} lines of the logs are not events."
    changing = evidence.trust.changing_listeners if evidence.trust else 0
    if changing > config.trust.most_changing * evidence.in_all:
        return f"{changing:,} listeners were in more than one arm."
    return None


def _decide_aa(evidence: Evidence, notes: tuple[str, ...]) -> Verdict:
    primary = [effect for effect in evidence.effects if effect.role == "primary"]
    for effect, p_value in zip(
        primary, holm([effect.p_value for effect in primary]), strict=True
    ):
        if p_value < _AA_LEVEL:
            change = f"{effect.metric} of {effect.arm} differs from the control by {_describe(effect)}"
            reason = f"the arms are the same, and {change}, p = {p_value:.2g}."
            return Verdict("do not trust", effect.arm, reason, notes)
    return Verdict(
        "as expected",
        None,
        "the arms are the same, and no primary metric differs significantly.",
        notes,
    )


def _decide_arms(
    evidence: Evidence, config: AbConfig, notes: tuple[str, ...]
) -> Verdict:
    arms = [arm for arm in evidence.listeners if arm != config.control]
    by_arm = {
        arm: [effect for effect in evidence.effects if effect.arm == arm]
        for arm in arms
    }
    losses = {arm: loss for arm in arms if (loss := _loss(by_arm[arm], config))}
    gains = {
        arm: gain for arm in arms if arm not in losses and (gain := _gain(by_arm[arm]))
    }
    unclear = {
        arm: [effect for effect in by_arm[arm] if effect.guardrail == "unclear"]
        for arm in arms
    }
    winners = sorted(
        (arm for arm in gains if not unclear[arm]),
        key=lambda arm: -_first_gain_pct(by_arm[arm]),
    )
    if winners:
        tied, remark = _ties(winners, evidence, config.alpha)
        reason = f"{gains[winners[0]]}, and every guardrail is kept{remark}."
        return Verdict("ship", winners[0], reason, notes, tied)
    undecided = [arm for arm in arms if arm not in losses]
    if not undecided:
        worst = arms[0] if len(arms) == 1 else None
        return Verdict("do not ship", worst, "; ".join(losses.values()) + ".", notes)
    nearest = max(
        undecided, key=lambda arm: (arm in gains, _first_gain_pct(by_arm[arm]))
    )
    reason = _why_undecided(
        nearest, by_arm[nearest], gains.get(nearest), unclear[nearest]
    )
    if any(effect.deciding.at_horizon for effect in by_arm[nearest]):
        return Verdict(
            "do not ship", nearest, f"{reason}, and the horizon is reached.", notes
        )
    more = _more_listeners(by_arm[nearest], nearest in gains, evidence, config)
    until = (
        f"; wait for the horizon, {config.horizon}"
        if config.horizon
        else _how_long(more, evidence)
    )
    return Verdict("wait", nearest, f"{reason}{until}.", notes, more_listeners=more)


def _loss(effects: Sequence[MetricEffect], config: AbConfig) -> str | None:
    """Return why an arm must not be shipped; None if nothing forbids it."""
    for effect in effects:
        if effect.guardrail == "broken":
            return f"{effect.arm} breaks the guardrail {effect.metric}: {_values(effect)}, and {_allowed(effect)}"
    primary = [effect for effect in effects if effect.role == "primary"]
    for effect in primary:
        if effect.significant and not effect.gain(effect.effect) > 0:
            return f"{effect.metric} of {effect.arm} is worse by {_describe(effect)}"
    smallest = config.smallest_effect_pct
    if smallest and primary and all(_most_pct(effect) < smallest for effect in primary):
        change = f"{primary[0].metric} of {primary[0].arm} changes by {_describe(primary[0])}"
        return f"{change}; {smallest:g} % would be worth it"
    return None


def _most_pct(effect: MetricEffect) -> float:
    """Return the best that the deciding interval holds, in %; infinite without one."""
    relative = effect.deciding.relative
    best = relative.upper_pct if effect.higher_is_better else relative.lower_pct
    return math.inf if best is None else effect.gain(best)


def _gain(effects: Sequence[MetricEffect]) -> str | None:
    """Return how an arm that does not lose is better; None if no primary metric is significantly better."""
    for effect in effects:
        if effect.role == "primary" and effect.significant:
            return f"{effect.metric} of {effect.arm} is better by {_describe(effect)}"
    return None


def _first_gain_pct(effects: Sequence[MetricEffect]) -> float:
    """Return how much better the first primary metric is, in %."""
    gains = (
        effect.gain(effect.relative.effect_pct)
        for effect in effects
        if effect.role == "primary"
    )
    return next((gain for gain in gains if not math.isnan(gain)), -math.inf)


def _ties(
    winners: Sequence[str], evidence: Evidence, alpha: float
) -> tuple[tuple[str, ...], str]:
    """Return the winners that are tied with the first, by Holm over the others, and what to say of them."""
    best, *others = winners
    p_values = holm([evidence.between[best, arm].p_value for arm in others])
    tied = [
        arm
        for arm, p_value in zip(others, p_values, strict=True)
        if not p_value < alpha
    ]
    if not tied:
        return (
            (),
            f"; it is better than {', '.join(others)}, which win too" if others else "",
        )
    first = evidence.between[best, tied[0]]
    win = "win too and are" if len(tied) > 1 else "wins too and is"
    remark = f"; {', '.join(tied)} {win} tied with {best}, whose effect over {tied[0]} is {first}"
    latencies = {
        effect.arm: effect.arm_value
        for effect in evidence.effects
        if effect.metric == "latency_p50"
    }
    known = {
        arm: cost for arm in (best, *tied) if (cost := latencies.get(arm)) is not None
    }
    if len(known) > 1:
        cheapest = min(known, key=lambda arm: known[arm])
        remark += f", and the fastest of them is {cheapest} (median latency {known[cheapest]:.3g} ms)"
    return tuple(tied), remark


def _why_undecided(
    arm: str,
    effects: Sequence[MetricEffect],
    gain: str | None,
    unclear: Sequence[MetricEffect],
) -> str:
    if gain:
        warnings = "; ".join(
            f"guardrail {effect.metric} may be worse than its margin: {_describe(effect)}, and {_allowed(effect)}"
            for effect in unclear
        )
        return f"{gain}, but {warnings}"
    first = next((effect for effect in effects if effect.role == "primary"), None)
    if first is None:
        return f"no primary metric of {arm} can be computed from this log"
    return f"{first.metric} of {arm} changes by {_describe(first)}, which may be chance"


def _more_listeners(
    effects: Sequence[MetricEffect], is_gain: bool, evidence: Evidence, config: AbConfig
) -> int | None:
    """Return how many more listeners decide if effects stay as they are; None where there is no end in sight."""
    factors = []
    if not is_gain:
        level = config.alpha / len(config.primary) / (len(evidence.listeners) - 1)
        primary = (effect for effect in effects if effect.role == "primary")
        factors.append(
            min(
                (
                    _growth(effect, 0.0, True, level, evidence, config)
                    for effect in primary
                ),
                default=math.inf,
            )
        )
    for effect in effects:
        if effect.guardrail == "unclear":
            in_pct = effect.margin_pct is not None
            bound = -effect.gain(effect.margin_pct if in_pct else effect.margin)
            factors.append(
                _growth(effect, bound, in_pct, config.alpha, evidence, config)
            )
    factor = max(factors, default=math.inf)
    return math.ceil((factor - 1) * evidence.in_all) if factor <= _LONGEST else None


def _growth(
    effect: MetricEffect,
    bound: float,
    in_pct: bool,
    level: float,
    evidence: Evidence,
    config: AbConfig,
) -> float:
    """Return how many times as many listeners it takes until the effect's interval excludes a bound."""
    found = effect.deciding
    lower, upper = (
        (found.relative.lower_pct, found.relative.upper_pct)
        if in_pct
        else (found.lower, found.upper)
    )
    if lower is None or upper is None or lower >= upper:
        return math.inf
    reach = abs((lower + upper) / 2 - bound) / (
        (upper - lower) / 2
    )  # half widths of the interval
    listeners, planned, confidence = (
        2 * min(evidence.listeners.values()),
        config.planned_listeners,
        1 - config.alpha,
    )
    errors = reach * widening(listeners, planned, confidence)
    factor = 1.02
    while factor <= _LONGEST and errors * math.sqrt(factor) < widening(
        factor * listeners, planned, confidence, level
    ):
        factor *= 1.02
    return factor


def _how_long(more: int | None, evidence: Evidence) -> str:
    """Return for how long to wait, in listeners and at the pace so far."""
    if more is None:
        return "; no end is in sight"
    needed = f"; about {more:,} more listeners"
    if not evidence.days:  # a data frame has no times
        return f"{needed} would tell if it stays so"
    hours = 24 * evidence.days * more / max(1, evidence.in_all)
    if hours < 2:
        time = f"{60 * hours:,.0f} minutes"
    else:
        time = f"{hours / 24:,.0f} days" if hours >= 48 else f"{hours:,.0f} hours"
    return f"{needed}, {time} at the pace so far, would tell if it stays so"


def _describe(effect: MetricEffect) -> str:
    """Return the relative effect with the interval that decides, or both values where there is none."""
    return (
        _values(effect)
        if effect.relative.effect_pct is None
        else str(effect.deciding.relative)
    )


def _allowed(effect: MetricEffect) -> str:
    margin = (
        f"{effect.margin:g}"
        if effect.margin_pct is None
        else f"{effect.margin_pct:g} %"
    )
    return f"{margin} {'less' if effect.higher_is_better else 'more'} is allowed"


def _values(effect: MetricEffect) -> str:
    return f"from {effect.control_value:.4g} to {effect.arm_value:.4g}"
