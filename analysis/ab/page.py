"""An A/B report as an HTML page."""

import math
from collections.abc import Iterator
from pathlib import Path

from analysis.ab import words
from analysis.ab.effects import MetricEffect
from analysis.ab.report import Report
from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from analysis.page.render import render as render_template

FOLDER = Path(__file__).parent
TONES = {
    "ship": "good",
    "do not ship": "bad",
    "do not trust": "bad",
    "wait": "wait",
}


def render(report: Report) -> str:
    """Render the page: no script, no other file, no other host; for light, dark and print."""
    evidence, tone = report.evidence, TONES[report.verdict.decision]
    return render_template(
        [FOLDER],
        "page.html.jinja",
        summary={
            "kind": "Experiment",
            "data": f"{report.experiment} {' to '.join(evidence.dates)}",
            "outcome": words.headline(report),
            "tone": tone,
        },
        report=report,
        evidence=evidence,
        words=words,
        tone=tone,
        effect_figure=_draw_effects(report),
        day_figures=_draw_days(report),
        colours={arm: arm_colour(i) for i, arm in enumerate(evidence.listeners)},
    )


def _draw_effects(report: Report) -> Forest:
    """Draw primary and secondary metrics on a common scale."""
    groups: dict[str, list[IntervalRow]] = {}
    for effect in report.evidence.effects:
        if effect.role == "guardrail":
            continue
        groups.setdefault(f"{effect.role} metrics".upper(), [])  # a heading
        rows = groups.setdefault(numbers.capitalized(effect.title), [])
        rows.append(_row(report, effect, effect.arm))
    level = numbers.level(report.config.alpha)
    return Forest(
        f"Primary and secondary metrics against {report.config.control}",
        f"Differences in % of its value, with {level} intervals. For primary metrics they hold "
        f"{words.validity(report)}, for secondary metrics at a single analysis. If the control's "
        "value is close to 0, both values are given. A filled mark is significant after the "
        "adjustment for many comparisons.",
        "effect, %",
        groups,
        from_zero=True,
    )


def _draw_days(report: Report) -> Iterator[Forest]:
    """Draw each primary metric by day, if there are several days."""
    level = numbers.level(report.config.alpha)
    for metric in report.config.primary:
        daily = [
            effect
            for effect in report.evidence.by_day
            if effect.metric == metric and math.isfinite(effect.relative.value)
        ]
        groups: dict[str, list[IntervalRow]] = {}
        for effect in daily:
            groups.setdefault(effect.arm, []).append(_row(report, effect, effect.day))
        if min(map(len, groups.values()), default=0) < 2:
            continue
        last = daily[-1]
        yield Forest(
            f"By day: {last.title}",
            f"By the end of each day, with {level} intervals that hold {words.validity(report)}; "
            "intervals of the first days may be cut off. An arm whose band is without 0 is "
            "significantly better or worse.",
            "effect, %",
            groups,
            from_zero=True,
            limit=3 * max(-last.relative.lower, last.relative.upper),
        )


def _row(report: Report, effect: MetricEffect, label: str) -> IntervalRow:
    """Describe an effect in a figure."""
    return IntervalRow(
        label,
        words.change_with_range(effect),
        effect.relative.value,
        effect.relative.lower,
        effect.relative.upper,
        arm_colour([*report.evidence.listeners].index(effect.arm)),
        effect.significant,
    )
