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
from analysis.ab.waiting import how_long, more_listeners, until
from analysis.page import numbers

Decision = Literal["ship", "do not ship", "wait", "do not trust"]

_Standing = Literal["ready", "as well", "beaten", "behind", "open", "lost"]


# what is said of arms that stand alike beside the one that is shipped or waited for
_TOGETHER: dict[_Standing, str] = {
    "as well": "did about as well; this test cannot tell {them} apart",
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
            f"are asked for; {how_long(more, evidence)}."
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

    def more_listeners(self, evidence: Evidence, config: AbConfig) -> int | None:
        """Return how many more listeners decide on it."""
        open_effects = [] if self.gain else self.primary
        return more_listeners(open_effects, self.unclear, evidence, config)

    @property
    def with_change(self) -> str:
        """Its name with its effect, such as "lists (+110 %)"."""
        return f"{self.title} ({words.change(self.primary[0])})"


def _decide_arms(evidence: Evidence, config: AbConfig) -> Verdict:
    arms = []
    for name in evidence.listeners:
        if name != config.control:
            effects = [effect for effect in evidence.effects if effect.arm == name]
            loss = _loss(effects, evidence.name(config.control))
            gains = [
                row for row in effects if row.role == "primary" and row.significant
            ]
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
    subject: _Arm, arms: Sequence[_Arm], evidence: Evidence, config: AbConfig
) -> Verdict:
    """Return the verdict on an arm that may win: to wait, or at the horizon not to ship it."""
    why = _why_undecided(subject)
    others = _others(arms, subject, evidence, config)
    if evidence.at_horizon:
        reason = " ".join([f"{why}, and the horizon is reached.", *others])
        headline = f"Do not ship {subject.title}"
        return Verdict("do not ship", subject.name, headline, reason)
    more = subject.more_listeners(evidence, config)
    reason = " ".join([f"{why}; {until(more, evidence, config)}.", *others])
    headline = "Wait"
    if subject.gain:
        headline = f"Wait for {subject.title}: {words.change(subject.gain)}"
    return Verdict("wait", subject.name, headline, reason, more_listeners=more)


def _is_worth_waiting(arm: _Arm, best: _Arm, evidence: Evidence) -> bool:
    """Return whether an arm is surely better than the winner, and may keep its guardrails."""
    within = (
        -effect.gain(
            effect.effect if effect.margin is not None else effect.relative.effect_pct
        )
        <= effect.allowed_loss
        for effect in arm.unclear
    )
    return bool(arm.gain) and (arm.name, best.name) in evidence.beats and all(within)


def _win(
    best: _Arm, arms: Sequence[_Arm], evidence: Evidence, config: AbConfig
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
    arms: Sequence[_Arm], subject: _Arm, evidence: Evidence, config: AbConfig
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
        when = until(arm.more_listeners(evidence, config), evidence, config)
        yield f"{known}{_why_undecided(arm)}; {when}."
    for arm in found["lost"]:
        yield f"{arm.title} {arm.loss}."


def _standing(arm: _Arm, subject: _Arm, evidence: Evidence) -> _Standing:
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
