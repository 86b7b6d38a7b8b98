"""An A/B report as one HTML page."""

import math
from collections.abc import Mapping
from pathlib import Path

from analysis.ab.effects import MetricEffect
from analysis.ab.report import Report
from analysis.ab.verdict import Decision
from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from analysis.page.render import render as render_template
from analysis.statistics.sample_ratio import SampleRatio

TONES: dict[Decision, str] = {
    "ship": "good",
    "do not ship": "bad",
    "do not trust": "bad",
    "wait": "wait",
}
_RARE = 0.005  # share of an arm's sessions below which a position's mean is chance


def render(report: Report) -> str:
    """Render the page: no script, no other file, no other host; for light, dark and print."""
    return render_template(
        Path(__file__).parent,
        "page.html.jinja",
        report=report,
        tone=TONES[report.verdict.decision],
        level=numbers.level(report.alpha),
        arm_numbers={arm: number for number, arm in enumerate(report.arms)},
        checks=_checks(report),
        effect_figure=draw_effects(report),
        heard=_heard_by_position(report),
    )


def draw_effects(report: Report) -> Forest:
    """Draw primary and secondary metrics on one scale."""
    level = numbers.level(report.alpha)
    groups: dict[str, list[IntervalRow]] = {}
    for effect in report.effects:
        if effect.role == "guardrail":
            continue
        relative = effect.relative
        groups.setdefault(f"{effect.role} metrics".upper(), [])  # a heading
        groups.setdefault(numbers.capitalized(effect.title), []).append(
            IntervalRow(
                label=effect.arm,
                text=_change(effect),
                value=relative.effect_pct,
                lower=relative.lower_pct,
                upper=relative.upper_pct,
                colour=arm_colour(report.arms.index(effect.arm)),
                filled=effect.significant,
            )
        )
    return Forest(
        f"Primary and secondary metrics against {report.control}",
        f"Differences in % of its value, with {level} intervals: of primary metrics those "
        "that decide, of secondary ones those for one look. Where its value is close to 0, "
        "both values are given. A filled mark is significant after the adjustment for many "
        "comparisons.",
        "effect, %",
        groups,
        from_zero=True,
    )


def _change(effect: MetricEffect) -> str:
    """Format the effect with its interval, or both values where the control's is 0."""
    relative = effect.relative
    if math.isfinite(relative.effect_pct):
        ends = numbers.interval(relative.lower_pct, relative.upper_pct, 1)
        return f"{numbers.change(relative.effect_pct, 1)} ({ends})"
    return (
        f"{numbers.number(effect.control_value)} → {numbers.number(effect.arm_value)}"
    )


def _heard_by_position(report: Report) -> Mapping[str, Mapping[int, float]]:
    """Return arm → position in the session → mean share heard; rare positions are left out."""
    opened = {spot.arm: spot.events for spot in report.positions if spot.position == 1}
    heard: dict[str, dict[int, float]] = {arm: {} for arm in opened}
    for spot in report.positions:
        if spot.events >= _RARE * opened[spot.arm]:
            heard[spot.arm][spot.position] = spot.mean_time
    return heard


def _checks(report: Report) -> list[tuple[str, str, str]]:
    """Return what was checked, what was found, and whether that is "good", "wait" or "bad"."""
    lines, quality = report.lines, report.quality
    rejected = _counted(lines.rejected, lines.read, "lines")
    in_two_arms = _counted(quality.changing_listeners, report.in_all, "listeners")
    checks = [
        _ratio_check(report.srm),
        ("Lines that are not events", *rejected),
        ("Listeners in more than one arm", *in_two_arms),
    ]
    for name, found in (
        ("Events in sessions that were not closed", quality.dropped_events),
        ("Events without an arm", quality.outside),
        ("Events that were logged twice", quality.duplicates),
        ("Tracks that were not the recommended one", quality.broken_chains),
        (
            "Events with a latency below 0, which only the original table uses",
            quality.negative_latencies,
        ),
    ):
        checks.append((name, *_counted(found, quality.events, "events")))
    return checks


def _ratio_check(srm: SampleRatio) -> tuple[str, str, str]:
    state = "bad" if srm.mismatch else "good"
    found = f"{numbers.p_is(srm.p_value)}, wrong below {srm.threshold}"
    return "Sample ratio", found, "wait" if srm.p_value is None else state


def _counted(found: int, total: int, things: str) -> tuple[str, str]:
    if not found:
        return "none", "good"
    share = numbers.percent(100 * found / total if total else None)
    return f"{numbers.count(found)} of {numbers.count(total)} {things}, {share}", "wait"
