"""An A/B report as one HTML page."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis.ab import words
from analysis.ab.effects import MetricEffect
from analysis.ab.report import Report
from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from analysis.page.render import render as render_template

_FOLDER = Path(__file__).parent
TONES = {
    "ship": "good",
    "do not ship": "bad",
    "do not trust": "bad",
    "wait": "wait",
}


def render(report: Report) -> str:
    """Render the page: no script, no other file, no other host; for light, dark and print."""
    return render_template([_FOLDER], "page.html.jinja", **page_values(report))


def page_values(report: Report) -> dict[str, Any]:
    """Collect the values that `report.html.jinja` uses."""
    return {
        "report": report,
        "evidence": report.evidence,
        "words": words,
        "tone": TONES[report.verdict.decision],
        "effect_figure": _draw_effects(report),
        "day_figures": _draw_days(report),
        "colours": {
            arm: arm_colour(i) for i, arm in enumerate(report.evidence.listeners)
        },
    }


def _draw_effects(report: Report) -> Forest:
    """Draw primary and secondary metrics on one scale."""
    groups: dict[str, list[IntervalRow]] = {}
    for effect in report.evidence.effects:
        if effect.role == "guardrail":
            continue
        groups.setdefault(f"{effect.role} metrics".upper(), [])  # a heading
        rows = groups.setdefault(numbers.capitalized(effect.title), [])
        rows.append(_row(report, effect, effect.arm))
    return Forest(
        f"Primary and secondary metrics against {report.config.control}",
        f"Differences in % of its value, with {numbers.level(report.config.alpha)} intervals: those of "
        f"primary metrics hold {_validity(report)}, those of secondary ones for a single analysis. "
        "Where it is close to 0, both values are given. A filled mark is significant after the "
        "adjustment for many comparisons.",
        "effect, %",
        groups,
        from_zero=True,
    )


def _draw_days(report: Report) -> Iterator[Forest]:
    """Draw each primary metric by day, where there are several."""
    level = numbers.level(report.config.alpha)
    latest: dict[str, MetricEffect] = {}
    by_metric: dict[str, dict[str, list[IntervalRow]]] = {}
    for effect in report.evidence.by_day:
        if math.isfinite(effect.relative.value):
            latest[effect.metric] = effect
            by_arm = by_metric.setdefault(effect.metric, {})
            by_arm.setdefault(effect.arm, []).append(_row(report, effect, effect.day))
    for metric, last in latest.items():
        groups = by_metric[metric]
        if any(len(rows) < 2 for rows in groups.values()):
            continue
        yield Forest(
            f"By day: {last.title}",
            f"By the end of each day, with {level} intervals that hold {_validity(report)}; those "
            "of the first days may be cut off. An arm whose band is without 0 is significantly "
            "better or worse, before the adjustment for many comparisons.",
            "effect, %",
            groups,
            from_zero=True,
            limit=3 * max(-last.relative.lower, last.relative.upper),
        )


def _row(report: Report, effect: MetricEffect, label: str) -> IntervalRow:
    """Describe an effect in a figure."""
    relative = effect.relative
    return IntervalRow(
        label,
        words.change_with_range(effect),
        relative.value,
        relative.lower,
        relative.upper,
        arm_colour([*report.evidence.listeners].index(effect.arm)),
        effect.significant,
    )


def _validity(report: Report) -> str:
    """Say when the intervals that decide hold."""
    if report.config.fixed_horizon:
        return "at every interim analysis until the fixed horizon"
    return "however often they are looked at"
