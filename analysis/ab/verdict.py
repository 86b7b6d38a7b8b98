"""Decide what to do with an experiment; `docs/experiments.md` has the rules and their errors.

The first rule that applies decides, in the order in which `decide` asks. Of the arms, each by the
intervals that decide, one *loses* if a guardrail is broken or a primary metric is significantly
worse; it *wins* if it does not lose, a primary metric is
significantly better, and every guardrail is kept. An arm that is surely better than the best winner
is waited for while a guardrail of it is unclear. The verdict names every arm.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from analysis.ab import words
from analysis.ab.config import AbConfig
from analysis.ab.effects import MetricEffect
from analysis.ab.evidence import Evidence, distrust, notes
from analysis.ab.looks import Look
from analysis.page import numbers

Decision = Literal["ship", "do not ship", "wait", "do not trust"]

_LONGEST = 100.0  # times the listeners so far; what takes longer has no end in sight


# what is said of arms that stand alike beside the one that is shipped or waited for
_TOGETHER = {
    "as well": "did about as well; this test finds no difference between {them}",
    "beaten": "{are} better than {control}, worse than {than}",
    "behind": "{are} worse than {than}",
}


@dataclass(frozen=True)
class Verdict:
    """What to do, and why."""

    decision: Decision  # the answer
    # the arm it is about: the one to ship, or the one that came nearest; None where it is about all
    arm: str | None
    headline: str  # the answer in a few words, with the arm's recommender
    reason: str  # sentences that name every arm
    # what else should be known before anybody acts on it, a sentence each
    notes: tuple[str, ...] = ()
    # how many more decide, if the effects stay as they are; None if unknown
    more_listeners: int | None = None

    def __str__(self) -> str:
        """Return what to do and why, as sentences."""
        return f"{self.headline}. {self.reason}"


def decide(evidence: Evidence, config: AbConfig) -> Verdict:
    """Return the verdict by the module's rules."""
    return replace(_decide(evidence, config), notes=notes(evidence, config))


def _decide(evidence: Evidence, config: AbConfig) -> Verdict:
    if fault := distrust(evidence, config):
        return Verdict("do not trust", None, "Do not trust this test", fault)
    smallest = min(evidence.listeners, key=lambda arm: evidence.listeners[arm])
    count = evidence.listeners[smallest]
    if count < config.min_listeners:
        missing = config.min_listeners - count
        more = math.ceil(missing * evidence.in_all / max(1, count))
        reason = (
            f"{evidence.name(smallest)} has {count:,} listeners, and {config.min_listeners:,} "
            f"are asked for; {_how_long(more, evidence)}."
        )
        return Verdict("wait", None, "Wait", reason, more_listeners=more)
    return _decide_arms(evidence, config)


@dataclass(frozen=True)
class _Arm:
    """An arm beside the control, and what speaks for and against it."""

    name: str
    title: str  # with its recommender
    effects: list[MetricEffect]  # on all metrics
    loss: str | None  # why it must not be shipped
    gain: MetricEffect | None  # how it is better, if it does not lose

    @property
    def primary(self) -> list[MetricEffect]:
        return [effect for effect in self.effects if effect.role == "primary"]

    @property
    def unclear(self) -> list[MetricEffect]:
        """Guardrails of which it is not known whether they are kept."""
        return [effect for effect in self.effects if effect.guardrail == "unclear"]

    @property
    def wins(self) -> bool:
        return self.gain is not None and not self.unclear

    @property
    def gain_pct(self) -> float:
        """How much better the first primary metric is, in %."""
        gains = [effect.gain(effect.relative.effect_pct) for effect in self.primary]
        return next((gain for gain in gains if not math.isnan(gain)), -math.inf)

    @property
    def with_change(self) -> str:
        """Its name with its effect, such as "lists (+110 %)"."""
        return f"{self.title} ({words.change(self.primary[0])})"


def _decide_arms(evidence: Evidence, config: AbConfig) -> Verdict:
    arms = []
    control, *names = evidence.listeners
    for name in names:
        effects = [effect for effect in evidence.effects if effect.arm == name]
        loss = _loss(effects, evidence.name(control))
        gains = [row for row in effects if row.role == "primary" and row.significant]
        gain = gains[0] if gains and not loss else None
        arms.append(_Arm(name, evidence.name(name), effects, loss, gain))
    arms.sort(key=lambda arm: -arm.gain_pct)
    best = next((arm for arm in arms if arm.wins), None)
    open_arms = [arm for arm in arms if not arm.loss and not arm.wins]
    # a certain gain first, then by its size
    open_arms.sort(key=lambda arm: (arm.gain is None, -arm.gain_pct))
    if best:
        open_arms = [arm for arm in open_arms if _is_worth_waiting(arm, best, evidence)]
        if evidence.at_horizon or not open_arms:
            reason = " ".join(filter(None, _win(best, arms, evidence, config)))
            return Verdict("ship", best.name, f"Ship {best.title}", reason)
    if not open_arms:
        subject = arms[0] if len(arms) == 1 else None
        title = f" {subject.title}" if subject else ""
        reason = " ".join(f"{arm.title} {arm.loss}." for arm in arms)
        about = subject.name if subject else None
        return Verdict("do not ship", about, f"Do not ship{title}", reason)
    return _undecided(open_arms[0], arms, evidence, config)


def _undecided(
    subject: _Arm,
    arms: Sequence[_Arm],
    evidence: Evidence,
    config: AbConfig,
) -> Verdict:
    """Return the verdict on an arm that may win: to wait, or at the horizon not to ship it."""
    why = _why_undecided(subject)
    others = _others(arms, subject, evidence, config)
    if evidence.at_horizon:
        reason = " ".join([f"{why}, and the horizon is reached.", *others])
        headline = f"Do not ship {subject.title}"
        return Verdict("do not ship", subject.name, headline, reason)
    more = _more_listeners(subject, evidence, config)
    reason = " ".join([f"{why}; {_until(more, evidence, config)}.", *others])
    headline = "Wait"
    if subject.gain:
        headline = f"Wait for {subject.title}: {words.change(subject.gain)}"
    return Verdict("wait", subject.name, headline, reason, more_listeners=more)


def _is_worth_waiting(arm: _Arm, best: _Arm, evidence: Evidence) -> bool:
    """Return whether an arm is surely better than the winner, and may keep its guardrails."""
    within = (effect.loss.value <= effect.allowed_loss for effect in arm.unclear)
    return bool(arm.gain) and (arm.name, best.name) in evidence.beats and all(within)


def _win(
    best: _Arm,
    arms: Sequence[_Arm],
    evidence: Evidence,
    config: AbConfig,
) -> Iterable[str]:
    """Yield how the arm that is shipped is better, what the others are, and how sure that is."""
    control = evidence.name(config.control)
    if best.gain:
        yield numbers.capitalized(words.comparison(best.gain, control))
    yield words.limits_hold(sum(effect.guardrail == "kept" for effect in best.effects))
    yield from _others(arms, best, evidence, config)
    if best.gain and not evidence.at_horizon:
        yield words.stopped_early(best.gain)


def _others(
    arms: Sequence[_Arm],
    subject: _Arm,
    evidence: Evidence,
    config: AbConfig,
) -> Iterable[str]:
    """Yield what is known of the other arms, beside the one that is shipped or waited for."""
    control = evidence.name(config.control)
    found = defaultdict(list)
    for arm in arms:
        if arm is not subject:
            found[_standing(arm, subject, evidence)].append(arm)
    if ready := [arm.with_change for arm in found["ready"]]:
        yield f"{words.listed(ready)} could ship today."
    for standing, said in _TOGETHER.items():
        if titles := [arm.title for arm in found[standing]]:
            are, them = ("is", "the two") if len(titles) == 1 else ("are", "them")
            known = said.format(are=are, them=them, than=subject.title, control=control)
            yield f"{words.listed(titles)} {known}."
    for arm in found["open"]:
        known = f"{arm.with_change} is better than {control}, but " if arm.gain else ""
        more = _more_listeners(arm, evidence, config)
        when = _until(more, evidence, config)
        yield f"{known}{_why_undecided(arm)}; {when}."
    for arm in found["lost"]:
        yield f"{arm.title} {arm.loss}."


def _standing(arm: _Arm, subject: _Arm, evidence: Evidence) -> str:
    """Return how an arm stands beside the one that is shipped or waited for."""
    if arm.loss:
        return "lost"
    if arm.wins and not subject.wins:
        return "ready"
    if (subject.name, arm.name) in evidence.beats:
        return "beaten" if arm.gain else "behind"
    return "as well" if arm.wins else "open"


def _loss(effects: Sequence[MetricEffect], control: str) -> str | None:
    """Return why an arm must not be shipped, as what it does; None if nothing forbids it."""
    for effect in effects:
        if effect.guardrail == "broken":
            found = words.values(effect)
            if effect.margin is None:
                found = words.change_with_range(effect)
            limit = f"{words.quoted(effect)} was {words.limit(effect)}"
            return f"breaks a safety limit: {limit}, and is {found}"
    for effect in effects:
        if (
            effect.role == "primary"
            and effect.significant
            and effect.gain(effect.effect) <= 0
        ):
            change = words.change_with_range(effect)
            return f"is worse than {control}: {words.quoted(effect)} {change}"
    return None


def _why_undecided(arm: _Arm) -> str:
    if arm.gain:
        return "; ".join(
            f"{words.quoted(effect)} is not yet certain {words.limit(effect)} "
            f"(so far {words.so_far(effect)})"
            for effect in arm.unclear
        )
    if not arm.primary:
        return f"No primary metric of {arm.title} can be computed from this log"
    first = arm.primary[0]
    return (
        f"{words.quoted(first)} of {arm.title} changes by {words.change_with_range(first)}, "
        "which may be chance"
    )


def _until(more: int | None, evidence: Evidence, config: AbConfig) -> str:
    """Return by when an arm is decided."""
    if evidence.at_horizon:
        return "the horizon is reached"
    if config.horizon:
        return f"wait for the horizon, {config.horizon}"
    if more is None:
        return "no end is in sight"
    return f"{_how_long(more, evidence)}, if the effect stays as it is"


def _more_listeners(arm: _Arm, evidence: Evidence, config: AbConfig) -> int | None:
    """Return how many more listeners decide on an arm if its effects stay as they are.

    It is decided when a gain is significant and all guardrails are kept or broken. None stands for
    no end in sight.
    """
    if config.horizon:
        return max(0, config.horizon.listeners - evidence.in_all)
    look = Look(config)
    listeners = 2 * min(evidence.listeners.values())

    def growth(lower: float, upper: float, bound: float, level: float) -> float:
        """Return how many times as many listeners it takes until an interval excludes a bound."""
        if not lower < upper < math.inf:
            return math.inf
        half_widths = abs(lower + upper - 2 * bound) / (upper - lower)
        wider = look.errors(level, listeners) / look.errors(config.alpha, listeners)
        return (wider / half_widths) ** 2 if half_widths else math.inf

    losses = [(effect.loss, effect.allowed_loss) for effect in arm.unclear]
    factors = [
        growth(loss.lower, loss.upper, allowed, config.alpha)
        for loss, allowed in losses
    ]
    if not arm.gain:
        level = config.alpha / len(config.deciding) / (len(evidence.listeners) - 1)
        gains = [effect.relative for effect in arm.primary]
        needed = (growth(gain.lower_pct, gain.upper_pct, 0.0, level) for gain in gains)
        factors.append(min(needed, default=math.inf))
    factor = max(factors)
    if factor > _LONGEST:
        return None
    return max(1, math.ceil((factor - 1) * evidence.in_all))


def _how_long(more: int, evidence: Evidence) -> str:
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
