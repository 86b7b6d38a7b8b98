"""An A/B report as one HTML page."""

from pathlib import Path

from analysis.ab.report import Report
from analysis.ab.verdict import Decision
from analysis.page import numbers
from analysis.page.render import render as render_template
from analysis.statistics.sample_ratio import SampleRatio

TONES: dict[Decision, str] = {
    "ship": "good",
    "do not ship": "bad",
    "do not trust": "bad",
    "wait": "wait",
}


def render(report: Report) -> str:
    """Render the page: no script, no other file, no other host; for light, dark and print."""
    # imports altair: half a second that only those who render a page pay
    from analysis.ab.page import figures

    return render_template(
        Path(__file__).parent,
        "page.html.jinja",
        report=report,
        tone=TONES[report.verdict.decision],
        level=numbers.level(report.alpha),
        positions={arm: position for position, arm in enumerate(report.arms)},
        checks=_checks(report),
        effect_figure=figures.draw_effects(report),
        session_figure=figures.draw_positions(report),
    )


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
