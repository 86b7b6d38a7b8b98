"""The figures of an A/B report: its effects by metric, and what is heard within a session."""

import math

from analysis import charts
from analysis.ab.effects import MetricEffect
from analysis.ab.report import Report
from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow
from analysis.page.render import Figure, tabulate

_RARE = 0.005  # share of an arm's sessions below which a position's mean is chance


def draw_effects(report: Report) -> Figure | None:
    """Draw primary and secondary metrics on one scale; None without an effect."""
    if not report.effects:
        return None
    colours, level = _colours(report), numbers.level(report.alpha)
    groups: dict[str, list[IntervalRow]] = {}
    for effect in report.effects:
        if effect.role not in {"primary", "secondary"}:
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
                colour=colours[effect.arm],
                filled=effect.significant,
            )
        )
    return Figure(
        f"Primary and secondary metrics against {report.control}",
        f"Differences in % of its value, with {level} intervals: of primary metrics those "
        "that decide, of secondary ones those for one look. Where its value is close to 0, "
        "both values are given. A filled mark is significant after the adjustment for many "
        "comparisons.",
        forest=Forest("effect, %", groups, from_zero=True),
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


def draw_positions(report: Report) -> Figure | None:
    """Draw the listening time by position in the session; None where there is none."""
    opened = {spot.arm: spot.events for spot in report.positions if spot.position == 1}
    points = []
    heard: dict[str, dict[str, str]] = {arm: {} for arm in opened}
    for spot in report.positions:
        if spot.events >= _RARE * opened[spot.arm]:
            points.append(charts.Point(spot.arm, spot.position, spot.mean_time))
            heard[spot.arm][str(spot.position)] = numbers.number(spot.mean_time)
    if not points:
        return None
    return Figure(
        "Listening time by position in the session",
        "Mean share of a track that is heard. The listener chose the first one.",
        charts.to_svg(
            charts.draw_lines(
                points, _colours(report), "position", "share heard", from_zero=True
            ),
            "Mean share of a track that is heard, by position in the session and arm.",
        ),
        tabulate("Position", heard),
    )


def _colours(report: Report) -> dict[str, str]:
    return {
        arm: charts.arm_colour(position) for position, arm in enumerate(report.arms)
    }
