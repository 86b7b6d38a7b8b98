"""Decide about an experiment; `docs/experiments.md` has the rules and their errors.

The first rule that applies decides, in the order in which `decide` asks. By the intervals that
decide, an arm *loses* if a guardrail is broken, a primary metric is significantly worse, or every
gain is surely below the smallest gain worth shipping; it *wins* if it does not lose, a primary
metric is significantly better (if the gain fades: also in the later half), and every guardrail is
kept. It is to wait while an arm has fewer than `min_listeners`, the experiment has run for fewer
than `min_days`, no arm wins and one neither wins nor loses, or the verdict of a day before was
another. `words` says a verdict in sentences.
"""

import math
from dataclasses import dataclass
from typing import Literal

from analysis.ab.config import AbConfig
from analysis.ab.evidence import Evidence
from analysis.ab.quality import Caution, Distrust

Decision = Literal["ship", "do not ship", "wait", "do not trust"]
Reason = (
    Distrust
    | Caution
    | Literal[
        "few days",  # it has run for fewer than are asked for
        "few listeners",  # an arm has fewer than are asked for
        "gain",  # the arm wins
        "loss",  # every arm loses
        "unconfirmed",  # an arm wins, or every arm loses, and did not a day before
        "undecided",  # the arm neither wins nor loses
    ]
)
_MOST_REJECTED = 0.05  # tolerated share of rejected lines
_MOST_CHANGING = 0.01  # tolerated share of listeners in several arms


@dataclass(frozen=True)
class ArmVerdict:
    """An arm beside the control, with the metrics that speak for and against it."""

    arm: str
    loss: str | None  # a metric for which it must not be shipped
    gain: str | None  # a primary metric that is better, if it does not lose
    # guardrails that are neither kept nor broken
    unclear: tuple[str, ...]
    # whether the gain fades with time, and the later gain may be chance
    is_over: bool = False

    @property
    def wins(self) -> bool:
        """Whether it may be shipped."""
        return self.gain is not None and not (self.unclear or self.is_over)


@dataclass(frozen=True)
class Verdict:
    """The decision and its reason, without words."""

    decision: Decision  # the answer
    # the arm to ship, or the arm that came nearest; None if the verdict is about all arms
    arm: str | None
    reason: Reason
    # listeners that are still to come as planned or expected; None if that is unknown
    more_listeners: int | None = None
    arms: tuple[ArmVerdict, ...] = ()  # arms if the effects decide, the best first

    @property
    def subject(self) -> ArmVerdict | None:
        """The arm that is shipped or waited for."""
        arms = (row for row in self.arms if row.arm == self.arm and not row.loss)
        return next(arms, None)


def decide(evidence: Evidence, config: AbConfig) -> Verdict:
    """Decide by a single analysis."""
    lines, changing = evidence.lines, evidence.quality.changing_listeners
    smallest = min(evidence.listeners.values())
    is_small = smallest < config.min_listeners
    distrusts: dict[Reason, bool] = {
        "sample ratio": evidence.srm.mismatch,
        "rejected lines": lines.rejected > _MOST_REJECTED * lines.read,
        **dict.fromkeys((row.reason for row in evidence.findings), True),
        "changing listeners": changing > _MOST_CHANGING * evidence.listener_count,
    }
    for reason, applies in distrusts.items():
        # a few listeners may have one value by chance
        if applies and not (is_small and reason == "no variance"):
            return Verdict("do not trust", None, reason)
    if is_small:
        missing = config.min_listeners - smallest
        more = math.ceil(missing * evidence.listener_count / max(1, smallest))
        return Verdict("wait", None, "few listeners", more)
    if evidence.dates and evidence.calendar_days < config.min_days:
        return Verdict("wait", None, "few days")
    return _decide_by_effects(evidence, config)


def needs_confirmation(verdict: Verdict, evidence: Evidence, config: AbConfig) -> bool:
    """Check whether a verdict counts only if the day before had the same verdict."""
    can_wait = config.confirm and not evidence.is_final and bool(evidence.dates)
    return can_wait and verdict.reason in {"gain", "loss"}


def _decide_by_effects(evidence: Evidence, config: AbConfig) -> Verdict:
    _, *treated = evidence.listeners

    def first_gain(arm: str) -> float:
        gains = (row.gain.value for row in evidence.primary(arm))
        return next((gain for gain in gains if not math.isnan(gain)), -math.inf)

    best_first = sorted(treated, key=first_gain, reverse=True)
    arms = tuple(_weigh_arm(evidence, arm, config) for arm in best_first)
    # An arm that wins comes first, then an arm with a certain gain.
    subject = min(
        (arm for arm in arms if not arm.loss),
        key=lambda arm: (not arm.wins, arm.gain is None),
        default=None,
    )
    if not subject:
        name = arms[0].arm if len(arms) == 1 else None
        return Verdict("do not ship", name, "loss", arms=arms)
    if subject.wins:
        return Verdict("ship", subject.arm, "gain", arms=arms)
    if evidence.is_final:
        return Verdict("do not ship", subject.arm, "undecided", arms=arms)
    planned = config.horizon or evidence.expected_listeners
    more = max(0, planned - evidence.listener_count) if planned else None
    return Verdict("wait", subject.arm, "undecided", more, arms=arms)


def _weigh_arm(evidence: Evidence, arm: str, config: AbConfig) -> ArmVerdict:
    effects = [row for row in evidence.effects if row.arm == arm]
    primary = evidence.primary(arm)
    significant = [row for row in primary if row.significant]
    losses = [row for row in effects if row.guardrail == "broken"]
    losses += [row for row in significant if row.sign * row.absolute.value <= 0]
    smallest = config.smallest_effect_pct
    if smallest and all(row.gain.upper < smallest for row in primary):
        losses = losses or primary
    gains = [] if losses else significant
    fading = [
        row for gain in gains[:1] if (row := evidence.fading(gain.arm, gain.metric))
    ]
    return ArmVerdict(
        arm=arm,
        loss=losses[0].metric if losses else None,
        gain=gains[0].metric if gains else None,
        unclear=tuple(
            row.metric
            for row in effects
            if row.guardrail in {"unclear", "not yet known"}
        ),
        is_over=any(not row.later.scaled(gains[0].sign).lower > 0 for row in fading),
    )
