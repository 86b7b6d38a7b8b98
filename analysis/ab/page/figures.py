"""The figures of an A/B report: its effects, by metric and over time, and what is heard within a session."""

from collections.abc import Iterable
from statistics import median

from analysis.ab.effects import MetricEffect, RelativeEffect
from analysis.ab.parts.timeline import Position, Timeline
from analysis.ab.report import Report
from analysis.charts import intervals
from analysis.charts.days import Span, draw_days
from analysis.charts.lines import Point, draw_lines, number_axis
from analysis.charts.svg import arm_colour, around_zero, to_svg
from analysis.page import numbers
from analysis.page.figures import Figure, Table, tabulate

_ROLES = {
    "primary": "Primary metrics",
    "secondary": "Secondary metrics",
    "guardrail": "Guardrails",
    "diagnostic": "Diagnostics",
}
_FAR = 4.0  # an interval that reaches so many times as far as most leaves the scale
_RARE = 0.005  # share of an arm's sessions below which a position's mean is chance


def effects_in_order(report: Report) -> list[MetricEffect]:
    """Return the effects by role and metric, the arms of a metric together."""
    roles, metrics = ["primary", "guardrail", "secondary", "diagnostic"], [effect.metric for effect in report.effects]
    return sorted(report.effects, key=lambda effect: (roles.index(effect.role), metrics.index(effect.metric)))


def draw_effects(report: Report) -> list[Figure]:
    """Draw primary and secondary metrics on one scale, and the primary ones over the days or hours."""
    timelines = [_draw_timeline(timeline, report) for timeline in report.timelines if len(timeline.days) > 1]
    return [_draw_forest(report), *timelines] if report.effects else timelines


def _colours(report: Report) -> dict[str, str]:
    return {arm: arm_colour(position) for position, arm in enumerate(report.arms)}


def _draw_forest(report: Report) -> Figure:
    effects = [effect for effect in effects_in_order(report) if effect.role in {"primary", "secondary"}]
    groups: dict[str, list[intervals.Row]] = {}
    for effect in effects:
        groups.setdefault(_ROLES[effect.role].upper(), [])
        groups.setdefault(capital(effect.label), []).append(_row(effect, report))
    found = "; ".join(f"{effect.label}, {effect.arm}: {_change(effect)}" for effect in effects if effect.significant)
    return Figure(
        f"Primary and secondary metrics against {report.control}",
        f"Differences in % of its value, with {numbers.percent(100 * (1 - report.alpha), 0)} intervals: those that "
        "decide for primary metrics, else for one look; from value to value where its own is next to 0. "
        "A filled mark is significant after the adjustment for many comparisons.",
        to_svg(
            intervals.draw_intervals(groups, "effect, %", _domain(effects)),
            f"{len(effects)} effects with intervals. Significant: {found or 'none'}.",
        ),
    )


def _row(effect: MetricEffect, report: Report) -> intervals.Row:
    relative = shown(effect)
    label = f"{effect.arm}: {effect.guardrail}" if effect.guardrail else effect.arm
    ends = relative.effect_pct, relative.lower_pct, relative.upper_pct
    return intervals.Row(label, _change(effect), *ends, _colours(report)[effect.arm], effect.significant)


def shown(effect: MetricEffect) -> RelativeEffect:
    """Return the one interval of an effect that the page shows: the one that decides, where one does."""
    return effect.deciding.relative if effect.role in {"primary", "guardrail"} else effect.relative


def capital(label: str) -> str:
    """Return a metric's name as it begins a line."""
    return label[:1].upper() + label[1:]


def _change(effect: MetricEffect) -> str:
    """Format the effect with its interval, or both values where the control's is 0."""
    relative, values = shown(effect), (effect.control_value, effect.arm_value)
    if relative.effect_pct is None:
        return numbers.NOTHING if None in values else " → ".join(map(numbers.number, values))
    return f"{numbers.change(relative.effect_pct, 1)} ({numbers.interval(relative.lower_pct, relative.upper_pct, 1)})"


def _domain(effects: Iterable[MetricEffect]) -> tuple[float, float]:
    """Return limits that hold 0 and all intervals but those that would leave no room for most."""
    spans = [span[1:] for effect in effects for span in _spans([shown(effect)])]
    reach = _FAR * median([max(map(abs, span)) for span in spans]) if spans else 1.0
    return around_zero(end for span in spans if max(map(abs, span)) <= reach for end in span)


def _spans(days: Iterable[RelativeEffect]) -> list[Span]:
    """Return the intervals that have all their numbers, with their position."""
    return [
        Span(day, interval.effect_pct, interval.lower_pct, interval.upper_pct)
        for day, interval in enumerate(days)
        if interval.effect_pct is not None and interval.lower_pct is not None and interval.upper_pct is not None
    ]


def _draw_timeline(timeline: Timeline, report: Report) -> Figure:
    days, last = timeline.days, timeline.days[-1]
    deciding = [day.cumulative if report.at_horizon else day.sequential for day in days]
    chart = draw_days(
        [_short(day.date) for day in days],
        _spans(day.daily for day in days),
        _spans(deciding),
        [],
        _colours(report)[timeline.arm],
    )
    described = (
        f"Effect of {timeline.arm} on {timeline.label} over {len(days)} days; after the last one "
        f"{numbers.change(last.cumulative.effect_pct)}, interval {_interval(deciding[-1])}."
    )
    rows = (
        (
            numbers.day(day.date),
            numbers.count(day.control_listeners),
            numbers.count(day.arm_listeners),
            numbers.change(day.daily.effect_pct),
            numbers.change(day.cumulative.effect_pct),
            _interval(found),
        )
        for day, found in zip(days, deciding, strict=True)
    )
    columns = ("Day", "Control's listeners", "Arm's listeners", "Day alone", "So far", "Interval")
    return Figure(
        f"{capital(timeline.label)}: {timeline.arm} against {report.control}",
        f"The line is the effect of all days so far, with its {numbers.percent(100 * (1 - report.alpha), 0)} interval, "
        f"{'for the one look at the horizon' if report.at_horizon else 'which may be looked at at any time'}. Grey: a "
        "day or hour alone.",
        to_svg(chart, described),
        Table(columns, tuple(rows)),
    )


def _interval(interval: RelativeEffect) -> str:
    return numbers.interval(interval.lower_pct, interval.upper_pct)


def _short(iso: str) -> str:
    return numbers.day(iso).split(" ")[-1] if "T" in iso else numbers.day(iso).rsplit(" ", 1)[0]


def draw_positions(report: Report) -> list[Figure]:
    """Draw how long tracks are listened to by their position in the session; nothing where there is none."""
    by_arm = {arm: found for arm in report.arms if (found := _frequent(report.positions, arm))}
    if not by_arm:
        return []
    heard = {
        arm: {str(spot.position): numbers.number(spot.mean_time) for spot in found} for arm, found in by_arm.items()
    }
    ends = "; ".join(
        f"{arm}: {heard[arm][str(spot.position)]} at {spot.position}"
        for arm, found in by_arm.items()
        for spot in (found[0], found[-1])
    )
    points = [Point(arm, spot.position, spot.mean_time) for arm, found in by_arm.items() for spot in found]
    axis = number_axis("position", from_zero=False)
    return [
        Figure(
            "Listening time by position in the session",
            "Mean share of a track that is heard. The listener chose the first one.",
            to_svg(
                draw_lines(points, _colours(report), axis, "share heard", from_zero=True),
                f"Mean share of a track that is heard, by position. {ends}.",
            ),
            tabulate("Position", heard),
        )
    ]


def _frequent(positions: Iterable[Position], arm: str) -> list[Position]:
    """Return an arm's positions that are reached often enough for a mean, in order."""
    ordered = sorted((spot for spot in positions if spot.arm == arm), key=lambda spot: spot.position)
    return [spot for spot in ordered if spot.events >= _RARE * ordered[0].events]
