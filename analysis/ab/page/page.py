"""An A/B report as one HTML page."""

from pathlib import Path

from analysis.ab.report import Report
from analysis.ab.verdict import Decision
from analysis.page import numbers
from analysis.page.render import render as render_template

_TONES: dict[Decision, str] = {
    "ship": "good",
    "do not ship": "bad",
    "do not trust": "bad",
    "wait": "wait",
    "as expected": "calm",
}


def render(report: Report) -> str:
    """Render the page: no script, no other file, no other host; readable in light and dark, and printed."""
    from analysis.ab.page import figures  # imports altair: half a second that only those who render a page pay

    return render_template(
        Path(__file__).parent,
        "page.html.jinja",
        report=report,
        tone=_TONES[report.verdict.decision],
        level=numbers.percent(100 * (1 - report.alpha), 0),
        positions={arm: position for position, arm in enumerate(report.arms)},
        effects=figures.effects_in_order(report),
        shown=figures.shown,
        suspicious=sum(sum(kind.listeners.values()) for kind in report.trust.suspicions) if report.trust else None,
        effect_figures=figures.draw_effects(report),
        listener_figures=figures.draw_listeners(report),
        session_figures=figures.draw_sessions(report),
    )
