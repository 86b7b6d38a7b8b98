"""Decide what to do with an experiment; `docs/experiments.md` has the rules and their errors.

The first rule that applies decides, in the order in which `decide` asks. Of the arms, each by the
intervals that decide, one *loses* if a guardrail is broken, a primary metric is significantly
worse, or every gain is surely below the smallest one worth shipping; it *wins* if it does not lose,
a primary metric is significantly better, and every guardrail is kept. `words` says a verdict in
sentences. It is to wait while an arm has fewer than `min_listeners`, it has run for fewer than
`min_days`, no arm wins and one neither wins nor loses, or the analysis of a day before did not say
the same. `listening-loop power` plans by the same rules.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from analysis.ab.config import AbConfig
from analysis.ab.events import DAY_MS
from analysis.ab.evidence import Evidence
from analysis.errors import AnalysisError
from looplib.arrays import BoolArray, FloatArray

Decision = Literal["ship", "do not ship", "wait", "do not trust"]
Reason = Literal[
    "sample ratio",  # the arms do not have their shares of the listeners
    "rejected lines",  # too many lines are not events
    "absent arm",  # an arm has no listeners on some days
    "changing listeners",  # too many were in several arms
    "frozen row",  # an arm's row of aggregates stood still while another's moved
    "jump",  # an effect is far from that of the row before
    "no variance",  # all listeners of an arm have the same value, or none
    "few days",  # it has run for fewer than are asked for
    "few listeners",  # an arm has fewer than are asked for
    "gain",  # the arm wins
    "loss",  # every arm loses
    "unconfirmed",  # an arm wins, or every arm loses, and did not a day before
    "undecided",  # the arm neither wins nor loses
]
# the evidence by a configuration until a time, in ms since the epoch
Weigh = Callable[[AbConfig, int], Evidence]
ArmOutcome = Literal[
    "subject",  # the arm that is shipped or waited for
    "beside",  # wins as well, or is surely worse than the subject
    "open",  # neither wins nor loses
    "lost",
]


@dataclass(frozen=True)
class ArmVerdict:
    """An arm beside the control, and what speaks for and against it, as names of metrics."""

    arm: str
    loss: str | None  # a metric for which it must not be shipped
    gain: str | None  # a primary metric that is better, if it does not lose
    unclear: tuple[
        str, ...
    ]  # guardrails of which it is not known whether they are kept
    outcome: ArmOutcome = "open"

    @property
    def wins(self) -> bool:
        """Whether it may be shipped."""
        return self.gain is not None and not self.unclear


@dataclass(frozen=True)
class Verdict:
    """What to do, and why, without words."""

    decision: Decision  # the answer
    # the arm it is about: the one to ship, or the one that came nearest; None where it is about all
    arm: str | None
    reason: Reason
    # listeners that are still to come as planned or expected; None where that is unknown
    more_listeners: int | None = None
    arms: tuple[ArmVerdict, ...] = ()  # where the effects decide; the best first
    # guardrails that some arms have no value of
    not_compared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def decide(evidence: Evidence, config: AbConfig, weigh: Weigh | None = None) -> Verdict:
    """Decide by the module's rules.

    Args:
        evidence: So far.
        config: Of the report.
        weigh: Weighs the evidence until a time, in ms since the epoch, by a configuration; None
            where nothing is to be confirmed.
    """
    verdict = _decide(evidence, config)
    is_due = must_confirm(config, is_final=evidence.is_final) and evidence.dates
    if weigh and is_due and verdict.reason in {"gain", "loss"}:
        expected = evidence.expected_listeners
        update = {"min_days": 1, "expected_listeners": expected}
        before = config.model_copy(update=update)
        earlier = Verdict("wait", None, "few listeners")
        with suppress(AnalysisError):  # an arm had none yet
            earlier = _decide(weigh(before, evidence.span_ms[1] - DAY_MS), before)
        if (earlier.decision, earlier.arm) != (verdict.decision, verdict.arm):
            verdict = replace(verdict, decision="wait", reason="unconfirmed")
    return replace(verdict, not_compared=_not_compared(evidence, config))


def ever_ships(wins: BoolArray, smallest: FloatArray, config: AbConfig) -> BoolArray:
    """Mark the simulated experiments that are shipped at any of their analyses, a day apart.

    Args:
        wins: Whether an arm wins, shape (experiments, analyses).
        smallest: Listeners of the smallest arm, shape (analyses,).
        config: Of a report.

    Returns:
        Shape (experiments,).
    """
    ships = wins & has_enough(smallest, config)
    # an arm that wins before a fixed horizon hardly ever fails at the next analysis
    is_final = config.fixed_horizon is not None or len(smallest) == 1
    if must_confirm(config, is_final=is_final):
        ships = ships[:, 1:] & ships[:, :-1]
    return np.asarray(ships.any(axis=1))


def has_enough(smallest: float | FloatArray, config: AbConfig) -> bool | BoolArray:
    """Check that the smallest arm has the listeners that a decision needs."""
    return smallest >= config.min_listeners


def must_confirm(config: AbConfig, *, is_final: bool) -> bool:
    """Check whether a decision counts only when that of a day before was the same."""
    return config.confirm and not is_final


def _decide(evidence: Evidence, config: AbConfig) -> Verdict:
    """Decide by a single analysis."""
    if reason := _distrust(evidence, config):
        return Verdict("do not trust", None, reason)
    smallest = min(evidence.listeners.values())
    if not has_enough(smallest, config):
        missing = config.min_listeners - smallest
        more = math.ceil(missing * evidence.listener_count / max(1, smallest))
        return Verdict("wait", None, "few listeners", more)
    if evidence.constant:
        return Verdict("do not trust", None, "no variance")
    if evidence.dates and evidence.calendar_days < config.min_days:
        return Verdict("wait", None, "few days")
    return _decide_arms(evidence, config)


def _distrust(evidence: Evidence, config: AbConfig) -> Reason | None:
    """Find what forbids any trust before an effect is looked at."""
    lines = evidence.lines
    limits = config.trust
    changing = evidence.quality.changing_listeners
    forbids: dict[Reason, bool] = {
        "sample ratio": evidence.srm.mismatch,
        "rejected lines": lines.rejected > limits.most_rejected * lines.read,
        "absent arm": evidence.absent is not None,
        "frozen row": evidence.frozen is not None,
        "jump": evidence.jumped is not None,
        "changing listeners": changing > limits.most_changing * evidence.listener_count,
    }
    return next((reason for reason, applies in forbids.items() if applies), None)


def _decide_arms(evidence: Evidence, config: AbConfig) -> Verdict:
    """Decide by the effects."""
    gains = dict.fromkeys([*evidence.listeners][1:], -math.inf)
    for row in reversed(evidence.effects):  # the first primary metric wins
        if row.role == "primary" and not math.isnan(row.relative.value):
            gains[row.arm] = row.gain_interval.value
    best_first = sorted(gains, key=lambda arm: -gains[arm])
    arms = [_weigh(evidence, arm, config) for arm in best_first]
    # an arm that wins first, then one with a certain gain
    subject = min(
        (arm for arm in arms if not arm.loss),
        key=lambda arm: (not arm.wins, arm.gain is None),
        default=None,
    )
    ranked = tuple(_compare(arm, subject, evidence) for arm in arms)
    if not subject:
        name = arms[0].arm if len(arms) == 1 else None
        return Verdict("do not ship", name, "loss", arms=ranked)
    if subject.wins:
        return Verdict("ship", subject.arm, "gain", arms=ranked)
    if evidence.is_final:
        return Verdict("do not ship", subject.arm, "undecided", arms=ranked)
    planned = config.horizon or evidence.expected_listeners
    more = max(0, planned - evidence.listener_count) if planned else None
    return Verdict("wait", subject.arm, "undecided", more, arms=ranked)


def _weigh(evidence: Evidence, arm: str, config: AbConfig) -> ArmVerdict:
    """Weigh the effects of an arm."""
    effects = [row for row in evidence.effects if row.arm == arm]
    primary = evidence.primary(arm)
    significant = [row for row in primary if row.significant]
    losses = [row for row in effects if row.guardrail == "broken"]
    losses += [row for row in significant if row.gain(row.effect) <= 0]
    smallest = config.smallest_effect_pct
    if smallest and all(row.gain_interval.upper < smallest for row in primary):
        losses = losses or primary
    return ArmVerdict(
        arm=arm,
        loss=losses[0].metric if losses else None,
        gain=significant[0].metric if significant and not losses else None,
        unclear=tuple(row.metric for row in effects if row.guardrail == "unclear"),
    )


def _compare(
    arm: ArmVerdict, subject: ArmVerdict | None, evidence: Evidence
) -> ArmVerdict:
    """Set the outcome of an arm beside the one that is shipped or waited for."""
    outcome: ArmOutcome = "open"
    if arm.loss:
        outcome = "lost"
    elif arm is subject:
        outcome = "subject"
    elif subject:
        change = evidence.between.get(arm.arm, {}).get(subject.arm)
        if arm.wins or (change and change.excludes_zero):
            outcome = "beside"
    return replace(arm, outcome=outcome)


def _not_compared(evidence: Evidence, config: AbConfig) -> dict[str, tuple[str, ...]]:
    """Find the guardrails that some arms have no value of."""
    compared = {(effect.arm, effect.metric) for effect in evidence.effects}
    _, *arms = evidence.listeners
    lacking = {
        name: tuple(arm for arm in arms if (arm, name) not in compared)
        for name in config.limits
    }
    return {name: without for name, without in lacking.items() if without}
