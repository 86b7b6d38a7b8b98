"""An A/B report as one HTML page."""

from pathlib import Path

from analysis.ab.page import effects as page_effects
from analysis.ab.page import spreads as page_spreads
from analysis.ab.page.checks import list_checks
from analysis.ab.report import Decision, Report
from analysis.page import numbers
from analysis.page.render import render as render_template

_TONES: dict[Decision, str] = {
    "ship": "good",
    "do not ship": "bad",
    "do not trust": "bad",
    "not yet": "wait",
    "as expected": "calm",
}


def render(report: Report) -> str:
    """The whole page: no script, no other file, no other host; readable in light and dark, and printed."""
    return render_template(
        Path(__file__).parent,
        "page.html.jinja",
        report=report,
        numbers=numbers,
        tone=_TONES[report.verdict.decision],
        level=page_effects.level(report),
        colours=page_effects.styles(report),
        capital=page_effects.capital,
        checks=list_checks(report),
        effects=page_effects.in_order(report),
        forest=page_effects.draw_forest(report) if report.effects else None,
        timelines=page_effects.draw_timelines(report),
        balance=page_spreads.draw_balance(report),
        exposure=page_spreads.draw_exposure(report),
        spreads=[*page_spreads.draw_distributions(report), *filter(None, [page_spreads.draw_positions(report)])],
    )
