"""Say a report in sentences, which the page, the terminal and notebooks print.

Arms are named with their recommender, changes in % with the values behind them, and a margin in the
unit in which it is configured.
"""

from collections.abc import Iterator

from analysis.ab.effects import MetricEffect
from analysis.ab.interleaving import Preference
from analysis.ab.report import Report
from analysis.ab.verdict import ArmVerdict
from analysis.page.numbers import (
    NOTHING,
    PERCENT,
    at_least,
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

_ORDER = ("subject", "beside", "open", "lost")


def summary(report: Report) -> str:
    """Write the verdict and its reason."""
    return f"{headline(report)}. {reason(report)}"


def headline(report: Report) -> str:
    """Write the verdict in a few words, with the arm's recommender."""
    verdict, evidence = report.verdict, report.evidence
    subject = verdict.subject
    if verdict.decision == "do not trust":
        return "Do not trust this test"
    if verdict.decision != "wait":
        arm = f" {evidence.title(verdict.arm)}" if verdict.arm else ""
        return f"{capitalized(verdict.decision)}{arm}"
    if subject and subject.gain:
        gain = evidence.effect(subject.arm, subject.gain)
        return f"Wait for {evidence.title(subject.arm)}: {_change(gain)}"
    return "Wait"


def reason(report: Report) -> str:
    """Write the reason of the verdict, in sentences that name every arm."""
    verdict, evidence = report.verdict, report.evidence
    subject = verdict.subject
    if verdict.reason == "loss":
        return " ".join(_losing(report, arm) for arm in verdict.arms)
    if subject and verdict.reason == "gain":
        sentences = _winning(report, subject)
    elif subject and verdict.reason == "undecided":
        sentences = _waiting(report, subject)
    elif verdict.reason == "unconfirmed":
        change = "gain" if subject else "loss"
        return (
            f"The {change} is certain for the first day, and counts when it still is a day "
            "later."
        )
    elif verdict.reason == "few days":
        days = evidence.calendar_days
        plural = "s" if days > 1 else ""
        asked = report.config.min_days
        return f"It has run for {days} day{plural}, and {asked} are asked for."
    elif verdict.reason == "few listeners":
        arm = min(evidence.listeners, key=lambda arm: evidence.listeners[arm])
        return (
            f"{evidence.title(arm)} has {count(evidence.listeners[arm])} listeners, and "
            f"{count(report.config.min_listeners)} are asked for; {_needed(report)}."
        )
    else:
        return _distrusted(report)
    return " ".join(filter(None, sentences))


def _distrusted(report: Report) -> str:
    """Write the reason not to trust the experiment."""
    evidence, lines, srm = report.evidence, report.evidence.lines, report.evidence.srm
    match report.verdict.reason:
        case "sample ratio":
            observed, expected = (
                ", ".join(f"{name(arm)} {count(size)}" for arm, size in sizes.items())
                for name, sizes in (
                    (evidence.title, srm.observed),
                    (str, srm.expected),
                )
            )
            return (
                "The arms do not have their shares of the listeners "
                f"({p_is(srm.p_value)}): {observed}; expected {expected}."
            )
        case "rejected lines":
            shares = f"{count(lines.rejected)} of {count(lines.read)}"
            return f"{shares} lines of the logs are not events."
        case "absent arm" if evidence.absent:
            arm, first, last = evidence.absent
            days = f"on {first}" if first == last else f"from {first} to {last}"
            return (
                f"{evidence.title(arm)} has no listeners {days}, and other arms have; if "
                "it was added, paused or renamed, report on days that all arms share."
            )
        case "frozen row" if evidence.frozen:
            metric, arm = evidence.frozen
            return (
                f"The row of {evidence.title(arm)} for {_label(report, metric)} stands "
                "still while another arm's moves; wait for the next row."
            )
        case "jump" if evidence.jumped:
            metric, arm = evidence.jumped
            return (
                f"The effect of {evidence.title(arm)} on {_label(report, metric)} is "
                "further from that of the row before than new listeners explain; check "
                "both rows, or wait for the next."
            )
        case "no variance" if evidence.constant:
            metric, arm = evidence.constant
            return (
                f"{_label(report, metric)} has the same value for all listeners of "
                f"{evidence.title(arm)}, or none: nothing can be compared."
            )
    changing = count(evidence.quality.changing_listeners)
    return f"{changing} listeners were in more than one arm."


def _winning(report: Report, subject: ArmVerdict) -> Iterator[str]:
    """Write the gain of the arm, and the state of the other arms."""
    evidence = report.evidence
    gain = evidence.effect(subject.arm, str(subject.gain))
    yield _comparison(gain, evidence.title(report.config.control))
    guardrails = [
        row for row in evidence.effects if row.arm == subject.arm and row.guardrail
    ]
    if guardrails:
        yield "All guardrails are kept."
    for row in guardrails:
        if row.loss.lower > 0:
            worse = change_with_range(row)
            yield f"Within its margin, {_quoted(row.label)} is surely worse: {worse}."
    yield _fading(report, subject)
    yield from _others(report, subject)
    relative = gain.relative
    if relative.excludes_zero and not evidence.is_final:
        least = min(abs(relative.lower), abs(relative.upper))
        planned = at_least(least, decimals(*relative))
        yield f"A test that stops at a win shows too large a gain; plan with {planned}."


def _waiting(report: Report, subject: ArmVerdict) -> Iterator[str]:
    """Write the reason to wait, and the state of the other arms."""
    evidence, planned = report.evidence, report.config.horizon
    gain = evidence.primary(subject.arm)[0].gain
    until = "wait for more listeners"
    if evidence.is_final:
        until = "the fixed horizon is reached"
        if gain.upper > 0:
            until += f", which rules out a gain above {percent(gain.upper)}"
    elif planned:
        until = f"wait for the fixed horizon, {count(planned)} listeners"
    elif report.verdict.more_listeners:
        until = f"{_needed(report)}, to reach the expected number"
    joint = ", and" if evidence.is_final else ";"
    yield f"{_undecided(report, subject)}{joint} {until}."
    single = evidence.single.get(subject.arm)
    if single and single.lower < single.upper and not (planned or subject.gain):
        said = f"{change(single.value, decimals(*single))} ({_ends(single)})"
        yield f"A single analysis, planned for this size, would have said {said}."
    yield _fading(report, subject)
    yield from _others(report, subject)


def _others(report: Report, subject: ArmVerdict) -> Iterator[str]:
    """Describe the other arms, the best first."""
    evidence = report.evidence
    control, shipped = (
        evidence.title(arm) for arm in (report.config.control, subject.arm)
    )
    for arm in sorted(report.verdict.arms, key=lambda arm: _ORDER.index(arm.outcome)):
        name, better = evidence.title(arm.arm), ""
        if arm.outcome == "lost":
            yield _losing(report, arm)
        elif arm.outcome == "open":
            if arm.gain:
                gain = _change(evidence.effect(arm.arm, arm.gain))
                better = f"{name} ({gain}) is better than {control}, but "
            yield f"{better}{_undecided(report, arm)}."
        elif arm.outcome == "beside":
            if arm.gain:
                better = f" is better than {control}, and"
            difference = evidence.between.get(arm.arm, {}).get(subject.arm)
            differs = "could not be distinguished from"
            if difference and difference.excludes_zero:
                differs = "differs from"
            ends = f": {_ends(difference)}" if difference else ""
            yield f"{name}{better} {differs} {shipped}{ends}."


def _losing(report: Report, arm: ArmVerdict) -> str:
    """Write the reason not to ship an arm."""
    evidence, smallest = report.evidence, report.config.smallest_effect_pct
    effect = evidence.effect(arm.arm, str(arm.loss))
    name, metric = evidence.title(arm.arm), _quoted(effect.label)
    if effect.guardrail:
        value = change_with_range(effect)
        if effect.margin is not None:
            value = _values(effect)
        return (
            f"{name} breaks a guardrail: {metric} was {limit(effect)}, and is {value}."
        )
    is_worse = effect.significant and effect.gain.value < 0
    if effect.gain.upper < smallest and not is_worse:
        asked = f"{smallest:g} % is asked for"
        ends = f"{metric} {change_with_range(effect)}"
        return f"{name} is too small to matter: {ends}, and {asked}."
    control = evidence.title(report.config.control)
    return f"{name} is worse than {control}: {metric} {change_with_range(effect)}."


def _undecided(report: Report, arm: ArmVerdict) -> str:
    """Write the reason for an arm without a decision."""
    evidence = report.evidence
    if not arm.gain:
        effect = evidence.primary(arm.arm)[0]
        verb = "is" if _change(effect) == _values(effect) else "changes by"
        return (
            f"{_quoted(effect.label)} of {evidence.title(arm.arm)} {verb} "
            f"{change_with_range(effect)}, which may be chance"
        )
    unclear = [evidence.effect(arm.arm, metric) for metric in arm.unclear]
    return "; ".join(
        f"{_quoted(row.label)} is not yet certain {limit(row)} (so far "
        f"{_change(row) if row.margin is None else _values(row)})"
        for row in unclear
    )


def _fading(report: Report, subject: ArmVerdict) -> str:
    """Write the fall of a gain with a listener's days, if it is significant."""
    for row in report.evidence.novelty:
        if row.arm == subject.arm and row.p_value < report.config.alpha:
            sign = report.evidence.effect(row.arm, row.metric).sign
            if sign * row.first > max(0.0, sign * row.later):
                return (
                    f"The effect on {_label(report, row.metric)} falls with a listener's "
                    f"days: {change(row.first, 1)} in the first ones, "
                    f"{change(row.later, 1)} in as many later ones of the same listeners "
                    f"({p_is(row.p_value)})."
                )
    return ""


def _needed(report: Report) -> str:
    """Write the number of missing listeners, and the time until they come."""
    more, evidence = report.verdict.more_listeners or 0, report.evidence
    needed = f"about {count(float(f'{more:.2g}'))} more listeners are needed"
    if not evidence.dates:
        return needed
    days = evidence.calendar_days * more / evidence.listener_count
    return f"{needed}, {duration(days)} at the pace so far"


def _comparison(effect: MetricEffect, control: str) -> str:
    """Compare an arm's value with the control's."""
    relative, places = effect.relative, decimals(*effect.relative)
    if percent(relative.value) == NOTHING:
        return f"{_quoted(effect.label)} is {_values(effect)} with {control}."
    amount = percent(abs(relative.value), places)
    rises = relative.value > 0
    changed = f"{_quoted(effect.label)} is {amount} {'higher' if rises else 'lower'}"
    if effect.phrase:
        direction = "more" if rises else "less"
        changed = capitalized(effect.phrase.format(f"{amount} {direction}"))
    low, high = sorted((abs(relative.lower), abs(relative.upper)))
    ends = ""
    if relative.excludes_zero and percent(high) != NOTHING:
        least = percent(low, places).removesuffix(PERCENT)
        kind = "gain" if effect.gain.value > 0 else "loss"
        most = percent(high, places)
        ends = f"; the true {kind} is likely between {least} and {most}"
    return f"{changed} than with {control}: {_values(effect)}{ends}."


def limit(effect: MetricEffect) -> str:
    """Write the margin of a guardrail, such as "to stay below +10 %"."""
    allowed = f"{effect.allowed_loss:g}"
    if effect.margin is None:
        bound = "above −" if effect.higher_is_better else "below +"  # noqa: RUF001  a minus
        return f"to stay {bound}{allowed} %"
    verb = "fall" if effect.higher_is_better else "rise"
    return f"to {verb} by at most {allowed} {effect.unit}".rstrip()


def change_with_range(effect: MetricEffect) -> str:
    """Say a change and its interval, such as "+5.4 % (+1.0 to +9.8 %)"."""
    ends = _ends(effect.relative)
    return _change(effect) if ends == NOTHING else f"{_change(effect)} ({ends})"


def validity(report: Report) -> str:
    """Write the time at which the deciding intervals hold."""
    if planned := report.config.horizon:
        return f"at every interim analysis until the fixed horizon, {count(planned)} listeners"
    return "at any time"


def warnings(report: Report) -> list[str]:
    """Write the warnings about a verdict, a sentence each."""
    evidence, quality = report.evidence, report.evidence.quality
    counts = {
        "Lines that are not events": evidence.lines.rejected,
        "Listeners in more than one arm, who count in each": quality.changing_listeners,
        "Events of another track than was recommended just before": quality.broken_chains,
        "Events with a latency below 0, which only the latency as logged uses": (
            quality.negative_latencies
        ),
        "Events or rows after the fixed horizon, or on days far from others, which are left out": (
            evidence.left_out
        ),
    }
    texts = [f"{text}: {count(number)}." for text, number in counts.items() if number]
    if report.config.is_simulated:
        simulated = "These listeners are simulated: it says that the parts work, and nothing about"
        texts.insert(0, f"{simulated} people.")
    compared = {(effect.arm, effect.metric) for effect in evidence.effects}
    _, *arms = evidence.listeners
    for name in report.config.limits:
        lacking = [arm for arm in arms if (arm, name) not in compared]
        if lacking:
            *first, last = lacking
            listed = f"{', '.join(first)} and {last}" if first else last
            absent = report.config.all_metrics[name].absent
            label = _label(report, name)
            texts.append(f"{label} is not compared for {listed}: {absent}.")
    return texts


def preference(row: Preference) -> str:
    """Write the preference between two interleaved recommenders."""
    preferred = "neither is preferred so far"
    if row.preferred:
        preferred = f"{row.preferred} is preferred"
    ends = interval(row.effect.lower, row.effect.upper)
    return (
        f"{row.arm} interleaves {row.first} and {row.second}: {preferred}; what is heard of "
        f"{row.second}'s tracks differs by {change(row.effect.value)} ({ends})"
    )


def _change(effect: MetricEffect) -> str:
    """Format a change in %, or both values if there is none."""
    relative = effect.relative
    changed = change(relative.value, decimals(*relative))
    return _values(effect) if changed == NOTHING else changed


def _values(effect: MetricEffect) -> str:
    before, after = short(effect.control_value), short(effect.arm_value)
    return f"{after} instead of {before} {effect.unit}".rstrip()


def _ends(change: Interval) -> str:
    ends = interval(change.lower, change.upper, decimals(*change))
    return ends.replace("…", "to")


def _label(report: Report, metric: str) -> str:
    return _quoted(report.config.all_metrics[metric].display_name)


def _quoted(label: str) -> str:
    return f"'{capitalized(label)}'"
