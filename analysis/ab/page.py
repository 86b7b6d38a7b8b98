"""An A/B report as one HTML page."""

from collections.abc import Mapping

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
_RARE = 0.005  # share of an arm's sessions below which a position's mean is chance


def render(report: Report) -> str:
    """Render the page: no script, no other file, no other host; for light, dark and print."""
    return render_template(
        words.FOLDER,
        "page.html.jinja",
        report=report,
        words=words,
        tone=TONES[report.verdict.decision],
        effect_figure=draw_effects(report),
        shares_by_position=_shares_by_position(report),
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
        f"Differences in % of its value, with {level} intervals: of primary metrics those "
        "that decide, of secondary ones those for a single analysis. Where it is close to 0, "
        "both values are given. A filled mark is significant after the adjustment for many "
        "comparisons.",
        "effect, %",
        groups,
        from_zero=True,
    )


def _shares_by_position(report: Report) -> Mapping[str, Mapping[int, float]]:
    """Arrange mean shares heard by arm and position in the session; rare positions are left out."""
    opened = {spot.arm: spot.events for spot in report.positions if spot.position == 1}
    return {
        arm: {
            spot.position: spot.mean_time
            for spot in report.positions
            if spot.arm == arm and spot.events >= _RARE * first
        }
        for arm, first in opened.items()
    }
