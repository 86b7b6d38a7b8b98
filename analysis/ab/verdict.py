"""What to do with an experiment.

Of these rules the first that applies decides:

1. **do not trust**: the sample ratio is wrong (p < .001); more lines are no events than the configuration allows; more
   listeners were in several arms than it allows; or, in an A/A test, a primary metric differs significantly.
2. **as expected**: an A/A test in which no primary metric differs.
3. **not yet**: an arm has fewer listeners than the configuration asks for.
4. Every arm by itself. It *loses* if a guardrail is broken, a primary metric is significantly worse, or every primary
   metric's interval ends below the smallest effect worth shipping. It *wins* if it does not lose and a primary metric
   is significantly better. Significance is after Holm's adjustment over primary metrics and arms.
   **ship** if an arm wins, the one with the largest relative effect on the first primary metric; **do not ship** if
   all lose; **not yet** otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.ab.config import AbConfig
from analysis.ab.report import Lines, MetricEffect, Srm, Timeline, Trust, Verdict


@dataclass(frozen=True)
class Evidence:
    """What a verdict is made of.

    Attributes:
        is_aa: Whether all arms are the same.
        listeners: By arm, the control first.
        lines: Of the logs.
        srm: The sample ratio.
        trust: What speaks against the experiment.
        effects: Of all metrics and arms, adjusted.
        timelines: Of the primary metrics.
    """

    is_aa: bool
    listeners: Mapping[str, int]
    lines: Lines
    srm: Srm
    trust: Trust
    effects: Sequence[MetricEffect]
    timelines: Sequence[Timeline]


def judge(evidence: Evidence, config: AbConfig) -> Verdict:
    """The verdict by the module's rules."""
    notes = _notes(evidence)
    fault = distrust(evidence.srm, evidence.lines, config) or _changing(evidence, config)
    if fault:
        return Verdict("do not trust", None, fault, notes)
    if evidence.is_aa:
        return _judge_aa(evidence, notes)
    few = min(evidence.listeners, key=lambda arm: evidence.listeners[arm])
    if evidence.listeners[few] < config.min_listeners:
        reason = f"arm {few} has {evidence.listeners[few]:,} listeners, and {config.min_listeners:,} are asked for."
        return Verdict("not yet", None, reason, notes)
    return _judge_arms(evidence, config, notes)


def distrust(srm: Srm, lines: Lines, config: AbConfig) -> str | None:
    """What forbids any trust before an effect is looked at; None if nothing does."""
    if srm.mismatch:
        seen = ", ".join(f"{arm} {srm.observed[arm]:,}" for arm in srm.observed)
        due = ", ".join(f"{arm} {srm.expected[arm]:,.0f}" for arm in srm.expected)
        return f"the arms have not their shares of the listeners (p = {srm.p_value:.2g}): {seen}; expected {due}."
    if lines.rejected > config.trust.most_rejected * lines.read:
        return f"{lines.rejected:,} of {lines.read:,} lines of the logs are no events."
    return None


def _changing(evidence: Evidence, config: AbConfig) -> str | None:
    changing, everybody = evidence.trust.changing_listeners, sum(evidence.listeners.values())
    if changing > config.trust.most_changing * everybody:
        return f"{changing:,} listeners were in more than one arm."
    return None


def _judge_aa(evidence: Evidence, notes: tuple[str, ...]) -> Verdict:
    differing = [one for one in evidence.effects if one.role == "primary" and one.significant]
    if differing:
        one = differing[0]
        reason = f"the arms are the same, and {one.metric} of {one.arm} differs from the control by {_effect(one)}."
        return Verdict("do not trust", one.arm, reason, notes)
    return Verdict("as expected", None, "the arms are the same, and no primary metric differs significantly.", notes)


def _judge_arms(evidence: Evidence, config: AbConfig, notes: tuple[str, ...]) -> Verdict:
    arms = [arm for arm in evidence.listeners if arm != config.control]
    by_arm = {arm: [one for one in evidence.effects if one.arm == arm] for arm in arms}
    losses = {arm: loss for arm in arms if (loss := _loss(by_arm[arm], config))}
    winners = [arm for arm in arms if arm not in losses and _gain(by_arm[arm])]
    if winners:
        best = max(winners, key=lambda arm: _first(by_arm[arm]))
        return Verdict("ship", best, _why_ship(best, by_arm[best]), notes)
    undecided = [arm for arm in arms if arm not in losses]
    if undecided:
        nearest = max(undecided, key=lambda arm: _first(by_arm[arm]))
        return Verdict("not yet", nearest, _why_not_yet(nearest, by_arm[nearest]), notes)
    worst = arms[0] if len(arms) == 1 else None
    return Verdict("do not ship", worst, "; ".join(losses.values()) + ".", notes)


def _loss(effects: Sequence[MetricEffect], config: AbConfig) -> str | None:
    """Why an arm must not be shipped; None if nothing says so."""
    for one in effects:
        if one.guardrail == "broken":
            return f"{one.arm} breaks the guardrail {one.metric}: {_change(one)}, and {one.margin:g} more is allowed"
    primary = [one for one in effects if one.role == "primary"]
    for one in primary:
        if one.significant and not is_better(one):
            return f"{one.metric} of {one.arm} is worse by {_effect(one)}"
    if config.smallest_effect_pct and primary and all(_is_too_small(one, config) for one in primary):
        one = primary[0]
        return (
            f"{one.metric} of {one.arm} changes by {_effect(one)}; {config.smallest_effect_pct:g} % would be worth it"
        )
    return None


def _gain(effects: Sequence[MetricEffect]) -> bool:
    return any(one.role == "primary" and one.significant and is_better(one) for one in effects)


def is_better(effect: MetricEffect) -> bool:
    """Whether the arm's value is on the good side of the control's."""
    return effect.effect is not None and (effect.effect > 0) == effect.higher_is_better and effect.effect != 0


def _is_too_small(effect: MetricEffect, config: AbConfig) -> bool:
    best = effect.relative.upper_pct if effect.higher_is_better else effect.relative.lower_pct
    return best is not None and (best if effect.higher_is_better else -best) < config.smallest_effect_pct


def _first(effects: Sequence[MetricEffect]) -> float:
    """How much better the first primary metric is, in %."""
    for one in effects:
        if one.role == "primary" and one.relative.effect_pct is not None:
            return one.relative.effect_pct if one.higher_is_better else -one.relative.effect_pct
    return float("-inf")


def _why_ship(arm: str, effects: Sequence[MetricEffect]) -> str:
    best = next(one for one in effects if one.role == "primary" and one.significant and is_better(one))
    return f"{best.metric} of {arm} is better by {_effect(best)}, and no guardrail is broken."


def _why_not_yet(arm: str, effects: Sequence[MetricEffect]) -> str:
    first = next((one for one in effects if one.role == "primary"), None)
    if first is None:
        return f"no primary metric of {arm} can be computed from this log."
    reason = f"{first.metric} of {arm} changes by {_effect(first)}, which may be chance"
    return f"{reason}; with so many listeners {first.mde_pct:.2g} % would be found." if first.mde_pct else f"{reason}."


def _effect(one: MetricEffect) -> str:
    """The relative effect with its interval, or the absolute one where there is none."""
    relative = one.relative
    if relative.effect_pct is None:
        return _change(one)
    if relative.lower_pct is None or relative.upper_pct is None:
        return f"{relative.effect_pct:+,.2f} %"
    return f"{relative.effect_pct:+,.2f} % [{relative.lower_pct:+,.2f}, {relative.upper_pct:+,.2f}]"


def _change(one: MetricEffect) -> str:
    if one.control_value is None or one.arm_value is None:
        return "nobody knows what"
    return f"from {one.control_value:.4g} to {one.arm_value:.4g}"


def _notes(evidence: Evidence) -> tuple[str, ...]:
    """What else should be known, a sentence each."""
    quality = evidence.trust.quality
    notes = [
        f"Guardrail {one.metric} of {one.arm} may be worse by more than {one.margin:g}: {_change(one)}."
        for one in evidence.effects
        if one.guardrail == "unclear"
    ]
    notes += [
        f"The interval of {line.metric} of {line.arm} for looks on every day includes 0; "
        "unless the last day was fixed before, wait."
        for line in evidence.timelines
        if _is_early(line, evidence.effects)
    ]
    notes += [f"{sum(one.listeners.values()):,} listeners show {one.kind}." for one in evidence.trust.suspicions]
    if evidence.lines.rejected:
        notes.append(f"{evidence.lines.rejected:,} of {evidence.lines.read:,} lines are no events.")
    if evidence.trust.changing_listeners:
        notes.append(f"{evidence.trust.changing_listeners:,} listeners were in more than one arm, and count in each.")
    if quality.clock_went_back:
        notes.append(f"The clock went back at {quality.clock_went_back:,} events.")
    if broken := quality.broken_chains - quality.clock_went_back:
        notes.append(
            f"{broken:,} events are of another track than was recommended just before, as when a clock jumps, "
            "lines are lost or listeners choose for themselves."
        )
    if quality.duplicates:
        notes.append(f"{quality.duplicates:,} events are duplicates, and count.")
    return tuple(notes)


def _is_early(line: Timeline, effects: Sequence[MetricEffect]) -> bool:
    """Whether an effect is significant now and would not be if one had looked every day."""
    significant = any(one.significant and (one.arm, one.metric) == (line.arm, line.metric) for one in effects)
    last = line.days[-1].sequential if line.days else None
    if not significant or last is None or last.lower_pct is None or last.upper_pct is None:
        return False
    return last.lower_pct <= 0 <= last.upper_pct
