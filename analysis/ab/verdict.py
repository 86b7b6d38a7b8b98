"""Decide what to do with an experiment.

Of these rules the first that applies decides:

1. **do not trust**: the sample ratio is wrong (p < .001); more lines are no events than the configuration allows; more
   listeners were in several arms than it allows; or, in an A/A test, a primary metric differs significantly.
2. **not yet**: only the original table was made, which has no adjusted effects.
3. **as expected**: an A/A test in which no primary metric differs.
4. **not yet**: an arm has fewer listeners than the configuration asks for.
5. Every arm by itself. It *loses* if a guardrail is broken, a primary metric is significantly worse, or every primary
   metric's interval ends below the smallest effect worth shipping. It *wins* if it does not lose and a primary metric
   is significantly better. Significance is after Holm's adjustment over primary metrics and arms.
   **ship** if an arm wins, the one with the largest relative effect on the first primary metric; **do not ship** if
   all lose; **not yet** otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.ab.config import AbConfig
from analysis.ab.data_quality import Trust
from analysis.ab.effects import MetricEffect
from analysis.ab.timeline import Timeline
from analysis.logs.lines import LineCounts
from analysis.statistics.sample_ratio import SampleRatio

Decision = Literal["ship", "do not ship", "not yet", "do not trust", "as expected"]


@dataclass(frozen=True)
class Verdict:
    """What to do, and why."""

    decision: Decision  # the answer
    arm: str | None  # the arm it is about: the one to ship, or the one that came nearest; None where it is about all
    reason: str  # one sentence
    notes: tuple[str, ...] = ()  # what else should be known before anybody acts on it, a sentence each


@dataclass(frozen=True)
class Evidence:
    """What a verdict depends on."""

    is_aa: bool  # whether all arms are the same
    listeners: Mapping[str, int]  # by arm, the control first
    lines: LineCounts  # of the logs
    srm: SampleRatio  # the sample ratio
    trust: Trust | None = None  # data quality; None if only the original table was made
    effects: Sequence[MetricEffect] = ()  # of all metrics and arms, adjusted
    timelines: Sequence[Timeline] = ()  # of the primary metrics


def decide(evidence: Evidence, config: AbConfig) -> Verdict:
    """Return the verdict by the module's rules."""
    notes = _notes(evidence, evidence.trust) if evidence.trust else ()
    fault = _distrust(evidence, config)
    if fault:
        return Verdict("do not trust", None, fault, notes)
    if evidence.trust is None:
        return Verdict("not yet", None, "the original table alone decides nothing; make the whole report.")
    if evidence.is_aa:
        return _decide_aa(evidence, notes)
    few = min(evidence.listeners, key=lambda arm: evidence.listeners[arm])
    if evidence.listeners[few] < config.min_listeners:
        reason = f"arm {few} has {evidence.listeners[few]:,} listeners, and {config.min_listeners:,} are asked for."
        return Verdict("not yet", None, reason, notes)
    return _decide_arms(evidence, config, notes)


def _distrust(evidence: Evidence, config: AbConfig) -> str | None:
    """Return what forbids any trust before an effect is looked at; None if nothing does."""
    srm, lines = evidence.srm, evidence.lines
    if srm.mismatch:
        seen = ", ".join(f"{arm} {listeners:,}" for arm, listeners in srm.observed.items())
        due = ", ".join(f"{arm} {srm.expected[arm]:,.0f}" for arm in srm.observed)
        return f"the arms have not their shares of the listeners (p = {srm.p_value:.2g}): {seen}; expected {due}."
    if lines.rejected > config.trust.most_rejected * lines.read:
        return f"{lines.rejected:,} of {lines.read:,} lines of the logs are no events."
    changing = evidence.trust.changing_listeners if evidence.trust else 0
    if changing > config.trust.most_changing * sum(evidence.listeners.values()):
        return f"{changing:,} listeners were in more than one arm."
    return None


def _decide_aa(evidence: Evidence, notes: tuple[str, ...]) -> Verdict:
    for effect in evidence.effects:
        if effect.role == "primary" and effect.significant:
            change = f"{effect.metric} of {effect.arm} differs from the control by {_describe(effect)}"
            return Verdict("do not trust", effect.arm, f"the arms are the same, and {change}.", notes)
    return Verdict("as expected", None, "the arms are the same, and no primary metric differs significantly.", notes)


def _decide_arms(evidence: Evidence, config: AbConfig, notes: tuple[str, ...]) -> Verdict:
    arms = [arm for arm in evidence.listeners if arm != config.control]
    by_arm = {arm: [effect for effect in evidence.effects if effect.arm == arm] for arm in arms}
    losses = {arm: loss for arm in arms if (loss := _loss(by_arm[arm], config))}
    gains = {arm: gain for arm in arms if arm not in losses and (gain := _gain(by_arm[arm]))}
    if gains:
        best = max(gains, key=lambda arm: _first_gain_pct(by_arm[arm]))
        return Verdict("ship", best, gains[best], notes)
    undecided = [arm for arm in arms if arm not in losses]
    if undecided:
        nearest = max(undecided, key=lambda arm: _first_gain_pct(by_arm[arm]))
        return Verdict("not yet", nearest, _why_not_yet(nearest, by_arm[nearest]), notes)
    worst = arms[0] if len(arms) == 1 else None
    return Verdict("do not ship", worst, "; ".join(losses.values()) + ".", notes)


def _loss(effects: Sequence[MetricEffect], config: AbConfig) -> str | None:
    """Return why an arm must not be shipped; None if nothing forbids it."""
    for effect in effects:
        if effect.guardrail == "broken":
            allowed = f"{_values(effect)}, and {effect.margin:g} more is allowed"
            return f"{effect.arm} breaks the guardrail {effect.metric}: {allowed}"
    primary = [effect for effect in effects if effect.role == "primary"]
    for effect in primary:
        if effect.significant and not _is_better(effect):
            return f"{effect.metric} of {effect.arm} is worse by {_describe(effect)}"
    smallest = config.smallest_effect_pct
    if smallest and primary and all(_is_too_small(effect, smallest) for effect in primary):
        change = f"{primary[0].metric} of {primary[0].arm} changes by {_describe(primary[0])}"
        return f"{change}; {smallest:g} % would be worth it"
    return None


def _gain(effects: Sequence[MetricEffect]) -> str | None:
    """Return why an arm that does not lose should be shipped; None if no primary metric is significantly better."""
    for effect in effects:
        if effect.role == "primary" and effect.significant and _is_better(effect):
            return f"{effect.metric} of {effect.arm} is better by {_describe(effect)}, and no guardrail is broken."
    return None


def _is_better(effect: MetricEffect) -> bool:
    """Whether the arm's value is on the good side of the control's."""
    return effect.effect is not None and (effect.effect > 0) == effect.higher_is_better and effect.effect != 0


def _is_too_small(effect: MetricEffect, smallest_pct: float) -> bool:
    best = effect.relative.upper_pct if effect.higher_is_better else effect.relative.lower_pct
    return best is not None and (best if effect.higher_is_better else -best) < smallest_pct


def _first_gain_pct(effects: Sequence[MetricEffect]) -> float:
    """Return how much better the first primary metric is, in %."""
    for effect in effects:
        if effect.role == "primary" and effect.relative.effect_pct is not None:
            return effect.relative.effect_pct if effect.higher_is_better else -effect.relative.effect_pct
    return float("-inf")


def _why_not_yet(arm: str, effects: Sequence[MetricEffect]) -> str:
    first = next((effect for effect in effects if effect.role == "primary"), None)
    if first is None:
        return f"no primary metric of {arm} can be computed from this log."
    reason = f"{first.metric} of {arm} changes by {_describe(first)}, which may be chance"
    return f"{reason}; with so many listeners {first.mde_pct:.2g} % would be found." if first.mde_pct else f"{reason}."


def _describe(effect: MetricEffect) -> str:
    """Return the relative effect with its interval, or both values where there is none."""
    relative = effect.relative
    if relative.effect_pct is None:
        return _values(effect)
    if relative.lower_pct is None or relative.upper_pct is None:
        return f"{relative.effect_pct:+,.2f} %"
    return f"{relative.effect_pct:+,.2f} % [{relative.lower_pct:+,.2f}, {relative.upper_pct:+,.2f}]"


def _values(effect: MetricEffect) -> str:
    return f"from {effect.control_value:.4g} to {effect.arm_value:.4g}"


def _notes(evidence: Evidence, trust: Trust) -> tuple[str, ...]:
    """Return what else should be known, a sentence each."""
    lines, quality, changing = evidence.lines, trust.quality, trust.changing_listeners
    other_tracks = quality.broken_chains - quality.clock_went_back
    unclear = [effect for effect in evidence.effects if effect.guardrail == "unclear"]
    counted = {
        f"{lines.rejected:,} of {lines.read:,} lines are no events.": lines.rejected,
        f"{changing:,} listeners were in more than one arm, and count in each.": changing,
        f"The clock went back at {quality.clock_went_back:,} events.": quality.clock_went_back,
        f"{other_tracks:,} events are of another track than was recommended just before, as when a clock jumps, "
        "lines are lost or listeners choose for themselves.": other_tracks,
        f"{quality.duplicates:,} events are duplicates, and count.": quality.duplicates,
    }
    return (
        *(
            f"Guardrail {effect.metric} of {effect.arm} may be worse by more than {effect.margin:g}: {_values(effect)}."
            for effect in unclear
        ),
        *(
            f"The interval of {line.metric} of {line.arm} for looks on every day includes 0; "
            "unless the last day was fixed before, wait."
            for line in evidence.timelines
            if _is_early(line, evidence.effects)
        ),
        *(f"{sum(found.listeners.values()):,} listeners show {found.kind}." for found in trust.suspicions),
        *(note for note, count in counted.items() if count),
    )


def _is_early(timeline: Timeline, effects: Sequence[MetricEffect]) -> bool:
    """Whether an effect is significant now and would not be if one had looked every day."""
    key = (timeline.arm, timeline.metric)
    significant = any(effect.significant and (effect.arm, effect.metric) == key for effect in effects)
    last = timeline.days[-1].sequential if timeline.days else None
    if not significant or last is None or last.lower_pct is None or last.upper_pct is None:
        return False
    return last.lower_pct <= 0 <= last.upper_pct
