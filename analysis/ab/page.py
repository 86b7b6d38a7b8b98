"""An A/B report as one HTML page."""

from typing import Any

from analysis.ab import words
from analysis.ab.report import Report
from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from analysis.page.render import render as render_template

TONES = {
    "ship": "good",
    "do not ship": "bad",
    "do not trust": "bad",
    "wait": "wait",
}


def render(report: Report) -> str:
    """Render the page: no script, no other file, no other host; for light, dark and print."""
    return render_template([words.FOLDER], "page.html.jinja", **page_values(report))


def page_values(report: Report) -> dict[str, Any]:
    """Collect the values that `report.html.jinja` uses."""
    return {
        "report": report,
        "words": words,
        "tone": TONES[report.verdict.decision],
        "effect_figure": _draw_effects(report),
        "colours": {arm: arm_colour(i) for i, arm in enumerate(report.arms)},
    }


def _draw_effects(report: Report) -> Forest:
    """Draw primary and secondary metrics on one scale."""
    level = numbers.level(report.alpha)
    horizon = "however often they are looked at"
    if report.fixed_horizon:
        horizon = "at every interim analysis until the fixed horizon"
    groups: dict[str, list[IntervalRow]] = {}
    for effect in report.effects:
        if effect.role == "guardrail":
            continue
        relative = effect.relative
        groups.setdefault(f"{effect.role} metrics".upper(), [])  # a heading
        groups.setdefault(numbers.capitalized(effect.title), []).append(
            IntervalRow(
                label=effect.arm,
                text=words.change_with_range(effect),
                value=relative.value,
                lower=relative.lower,
                upper=relative.upper,
                colour=arm_colour(report.arms.index(effect.arm)),
                filled=effect.significant,
            )
        )
    return Forest(
        f"Primary and secondary metrics against {report.control}",
        f"Differences in % of its value, with {level} intervals: those of primary metrics hold "
        f"{horizon}, those of secondary ones for a single analysis. Where it is close to 0, both "
        "values are given. A filled mark is significant after the adjustment for many comparisons.",
        "effect, %",
        groups,
        from_zero=True,
    )
