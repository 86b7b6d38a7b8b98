"""Say a report in sentences, which the page, the terminal and notebooks print.

Arms are named with their recommender, changes in % with their interval, and a margin in the unit in
which it is configured.
"""

import math
from collections.abc import Iterator
from operator import attrgetter

from analysis.ab.effects import MetricEffect, Novelty, Preference
from analysis.ab.evidence import Evidence
from analysis.ab.quality import Finding
from analysis.ab.report import Report
from analysis.ab.verdict import ArmVerdict
from analysis.page.numbers import (
    NOTHING,
    capitalized,
    change,
    count,
    decimals,
    duration,
    interval,
    p_is,
    percent,
    short,
)
from analysis.statistics.effects import Interval

_REASONS = {
    "sample ratio": "The arms do not have their shares of the listeners ({p}): {sizes}.",
    "rejected lines": "{lines.rejected:,} of {lines.read:,} lines of the logs are not events.",
    "absent arm": "{arm} has no listeners on days on which other arms have ({period}); if it was "
    "added, paused or renamed, report on days that all arms share.",
    "broken chains": "{arm} has broken chains since {days[0]}: {value} of its tracks are not the "
    "track recommended just before, {rest} in other arms; about that share of its events is lost.",
    "missing last": "{value} of the sessions of {arm} have no `last` since {days[0]}, {rest} in "
    "other arms.",
    "doubled events": "{value} of the events of {arm} are there twice ({period}); leave the copies "
    "out.",
    "zeros": "{value} of the tracks of {arm} have a listening time of 0 since {days[0]}, {rest} in "
    "other arms.",
    "level shift": "{metric} of {arm} changed by {change} on {days[0]}, by {rest_change} in other "
    "arms, which no treatment explains: look for events that were lost or logged wrong.",
    "past difference": "{arm} differed from the control before the experiment: {metric} by "
    "{change}.",
    "frozen row": "The row of {arm} for {metric} stands still while another arm's moves; wait for "
    "the next row.",
    "jump": "The effect of {arm} on {metric} is further from that of the row before than new "
    "listeners explain: on {days[0]} it moves by {change}, the control by {rest_change}; check "
    "both rows, or wait for the next.",
    "changing listeners": "{quality.changing_listeners:,} listeners were in more than one arm.",
    "no variance": "{metric} has the same value for all listeners of {arm}, or none: nothing can "
    "be compared.",
    "few days": "It is on day {day}, and {config.min_days} days are asked for.",
    "few listeners": "{arm} has {size:,} listeners, and {config.min_listeners:,} are asked for; "
    "{needed}.",
}
_CAUTIONS = {
    "sample ratio by day": "On {days[0]} the arms do not have their shares of the new listeners: "
    "{detail}",
    "changed recommender": "{arm} changed its recommender: {detail}; its effect mixes both",
}
_WARNINGS = {
    "lines.rejected": "Lines that are not events",
    "quality.changing_listeners": "Listeners in more than one arm, who count in each",
    "quality.broken_chains": "Events of another track than was recommended just before",
    "quality.negative_latencies": "Events with a latency below 0, which only the latency as "
    "logged uses",
    "left_out": "Events or rows after the fixed horizon, or on days far from others, which are "
    "left out",
}


def segments(report: Report) -> str:
    """Explain the effects in groups of listeners; "" without groups."""
    evidence, few = report.evidence, report.config.min_listeners
    shown = len({effect.segment for effect in evidence.segments})
    if not evidence.segment_count:
        return ""
    return (
        f"Segments are for questions, not for decisions: {shown} of {evidence.segment_count} "
        f"groups have {few:,} listeners in every arm, and p is adjusted by the false discovery "
        "rate over all of them and their metrics."
    )


def summary(report: Report) -> str:
    """Write the verdict and its reason."""
    return f"{headline(report)}. {reason(report)}"


def headline(report: Report) -> str:
    """Write the verdict in a few words, with the arm's recommender."""
    verdict, evidence = report.verdict, report.evidence
    arm = f" {evidence.title(verdict.arm)}" if verdict.arm else ""
    if verdict.decision == "do not trust":
        return "Do not trust this test"
    if verdict.decision != "wait":
        return f"{capitalized(verdict.decision)}{arm}"
    subject = verdict.subject
    return f"Wait for{arm}" if subject and subject.gain else "Wait"


def reason(report: Report) -> str:
    """Write the reason of the verdict, in sentences that name every arm."""
    verdict, evidence = report.verdict, report.evidence
    if verdict.arms:
        return " ".join(_by_effects(report))
    smallest = min(evidence.listeners, key=lambda arm: evidence.listeners[arm])
    findings = (row for row in evidence.findings if row.reason == verdict.reason)
    finding = next(findings, Finding("no variance", smallest, report.config.primary[0]))
    sizes = (
        f"{arm} {count(size)}, {count(evidence.srm.expected[arm])} expected"
        for arm, size in evidence.srm.observed.items()
    )
    return _REASONS[verdict.reason].format(
        **vars(evidence),
        config=report.config,
        arm=evidence.title(finding.arm),
        metric=_label(report, finding.metric)
        if finding.metric
        else capitalized(finding.detail),
        days=finding.days,
        period=" to ".join(finding.days),
        value=percent(100 * finding.value, 1),
        rest=percent(100 * finding.rest, 1),
        change=change(100 * finding.value, 1),
        rest_change=change(100 * finding.rest, 1),
        day=evidence.calendar_days,
        size=evidence.listeners[smallest],
        needed=_needed(report),
        p=p_is(evidence.srm.p_value),
        sizes="; ".join(sizes),
    )


def _by_effects(report: Report) -> Iterator[str]:
    """Describe every arm, the arm that is shipped or waited for first."""
    verdict, evidence = report.verdict, report.evidence
    subject = verdict.subject
    for arm in sorted(verdict.arms, key=lambda arm: arm is not subject):
        against = ""
        if subject and arm is not subject and not arm.loss:
            ends = _ends(evidence.between[arm.arm][subject.arm])
            against = f"; against {evidence.title(subject.arm)}: {ends}"
        yield f"{_state(report, arm)}{against}."
    if subject:
        fading = evidence.fading(subject.arm, subject.gain)
        if fading:
            yield _fading(report, fading)
        if verdict.decision == "ship" and (fading or not evidence.is_final):
            yield _plan(report, subject, fading)
        if evidence.is_final:
            yield "The fixed horizon is reached."
        elif not subject.wins:
            yield f"{capitalized(_needed(report))}."
    if verdict.reason == "unconfirmed":
        yield "This is certain for the first day, and counts if it still is a day later."


def _state(report: Report, arm: ArmVerdict) -> str:
    """Describe an arm against the control."""
    evidence, smallest = report.evidence, report.config.smallest_effect_pct
    name, control = map(evidence.title, (arm.arm, report.config.control))
    metric = arm.loss or arm.gain
    if metric is None:
        effect = evidence.primary(arm.arm)[0]
        said = change_with_range(effect)
        return f"{_quoted(effect.label)} of {name}: {said}, which may be chance"
    effect = evidence.effect(arm.arm, metric)
    said, more = f"is worse than {control}", ""
    if arm.gain:
        said = f"is better than {control}"
        if effect.relative.excludes_zero:
            more = f", {_values(effect)}"
        more += "".join(_guarded(evidence, arm))
        if effect.gain.lower < smallest:
            more += f"; less than the {smallest:g} % asked for is possible"
    elif effect.guardrail:
        said, more = "breaks a guardrail", f", which {limit(effect)}"
    elif not effect.significant or effect.gain.value >= 0:
        said, more = "is too small to matter", f", and {smallest:g} % is asked for"
    return f"{name} {said}: {_quoted(effect.label)} {change_with_range(effect)}{more}"


def _guarded(evidence: Evidence, arm: ArmVerdict) -> Iterator[str]:
    """Write the guardrails of a better arm that are not kept, or surely worse."""
    for row in evidence.effects:
        if row.arm == arm.arm and row.guardrail:
            changed = f"{_quoted(row.label)} {change_with_range(row)}"
            if row.guardrail == "not yet known":
                changed = f"{_quoted(row.label)}, the same for all listeners so far,"
            if row.metric in arm.unclear:
                yield f", but {changed} is {row.guardrail}: it {limit(row)}"
            elif row.loss.lower > 0:
                yield f", though {changed} is surely worse, within its margin"


def _fading(report: Report, row: Novelty) -> str:
    """Write the fall of a gain with time."""
    later = change(row.later.value, decimals(*row.later))
    return (
        f"The effect on {_label(report, row.metric)} falls with {row.clock}: "
        f"{change(row.first, 1)} in the first quarter, {later} ({_ends(row.later)}) in the later "
        f"half ({p_is(row.p_value)}), which decides."
    )


def _plan(report: Report, subject: ArmVerdict, fading: Novelty | None) -> str:
    """Write the gain to plan with, which is the lower end of the interval that decides."""
    effect = report.evidence.effect(subject.arm, subject.gain or "")
    interval = fading.later if fading else effect.relative
    end = interval.lower if effect.higher_is_better else interval.upper
    places = decimals(*interval)
    figure = change(end, places)
    if figure == change(0.0, places):
        figure = f"less than {change(math.copysign(10**-places, end), places)}"
    lower = "the interval's end nearest to 0"
    figure = lower if figure == NOTHING else f"{figure}, {lower}"
    return f"Tests that stop at a win overstate the gain: plan with {figure}."


def _needed(report: Report) -> str:
    """Write the number of missing listeners, and the time until they come."""
    more, evidence = report.verdict.more_listeners, report.evidence
    if not more:
        return "wait for more listeners"
    needed = f"about {count(float(f'{more:.2g}'))} more listeners are needed"
    if not evidence.dates:
        return needed
    days = evidence.calendar_days * more / evidence.listener_count
    return f"{needed}, {duration(days)} at the pace so far"


def limit(effect: MetricEffect) -> str:
    """Write the margin of a guardrail, such as "may fall by at most 10 %"."""
    unit = "%" if effect.margin is None else effect.unit
    verb = "fall" if effect.higher_is_better else "rise"
    return f"may {verb} by at most {effect.allowed_loss:g} {unit}".rstrip()


def change_with_range(effect: MetricEffect) -> str:
    """Write a change and its interval, such as "+5.4 % (+1.0 to +9.8 %)", or both values.

    The change of a guardrail is in the unit of its margin.
    """
    relative = effect.relative
    if effect.margin is not None:
        value, lower, upper = (short(end, sign="+") for end in effect.absolute)
        ends = f" ({lower} to {upper} {effect.unit}".rstrip() + ")"
        return f"{value} {effect.unit}".rstrip() + ends * (lower != NOTHING)
    changed = change(relative.value, decimals(*relative))
    if changed == NOTHING:
        return _values(effect)
    ends = _ends(relative)
    return changed if ends == NOTHING else f"{changed} ({ends})"


def validity(report: Report) -> str:
    """Write the time at which the deciding intervals hold."""
    horizon = report.config.fixed_horizon
    if horizon is None:
        return "at any time"
    until = "every interim analysis until " if horizon.interim_analyses > 1 else ""
    return f"at {until}the fixed horizon, {count(horizon.listeners)} listeners"


def warnings(report: Report) -> list[str]:
    """Write the warnings about a verdict, a sentence each."""
    evidence, config = report.evidence, report.config
    texts = []
    if config.is_simulated:
        simulated = "Simulated listeners: this shows that the pipeline works, not"
        texts.append(f"{simulated} how people would react.")
    for name, text in _WARNINGS.items():
        if number := attrgetter(name)(evidence):
            texts.append(f"{text}: {count(number)}.")
    for caution in evidence.cautions:
        said = _CAUTIONS[caution.reason].format(**vars(caution))
        texts.append(f"{said}.")
    for row in evidence.largest:
        ends = (
            f"{arm} {change(effect.value, 1)} ({_ends(effect)})"
            for arm, effect in row.winsorised.items()
        )
        text = f"One listener has {percent(100 * row.share, 0)} of {_label(report, row.metric)} in "
        text += f"{row.arm}."
        if row.winsorised:
            text += " If values end at the largest but for 1 % of the listeners, the effect is "
            text += f"{'; '.join(ends)}."
        texts.append(text)
    compared = {(effect.arm, effect.metric) for effect in evidence.effects}
    _, *arms = evidence.listeners
    for name in config.limits:
        lacking = [arm for arm in arms if (arm, name) not in compared]
        if lacking:
            label, absent = _label(report, name), config.all_metrics[name].absent
            texts.append(f"{label} is not compared for {', '.join(lacking)}: {absent}.")
    return texts


def preference(row: Preference) -> str:
    """Write the preference between two interleaved recommenders."""
    return (
        f"{row.arm} interleaves {row.first} and {row.second}: "
        f"{row.preferred or 'neither'} is preferred; what is heard of {row.second}'s tracks "
        f"differs by {change(row.effect.value)} ({_ends(row.effect)})"
    )


def _values(effect: MetricEffect) -> str:
    """Write both values, with as many digits as tell them apart."""
    values = effect.arm_value, effect.control_value
    pairs = ([short(value, digits) for value in values] for digits in range(3, 9))
    after, before = next((pair for pair in pairs if len({*pair}) > 1), ("", ""))
    if not after:
        return f"{short(effect.arm_value)} {effect.unit}".rstrip() + " in both arms"
    return f"{after} instead of {before} {effect.unit}".rstrip()


def _ends(change: Interval) -> str:
    ends = interval(change.lower, change.upper, decimals(*change))
    return ends.replace("…", "to")


def _label(report: Report, metric: str) -> str:
    return _quoted(report.config.all_metrics[metric].label)


def _quoted(label: str) -> str:
    return f"'{capitalized(label)}'"
