"""The pictures of an A/B report's effects: all of them under one another, and the primary ones day by day."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from analysis.ab.report import Day, Interval, MetricEffect, Report, Timeline
from analysis.page import numbers
from analysis.page.figures import CONTROL, Chart, Forest, Key, Mark, Plane, Table, Tick, arm_style, spread_evenly
from analysis.page.scales import Scale, covering

ROLES = {"primary": "Primary metrics", "secondary": "Secondary metrics", "guardrail": "Guardrails"}
_FAR = 4.0  # an interval that reaches so many times as far as most leaves the forest's scale
_WIDE = 3.0  # a day's interval that reaches so many times as far as the last day's leaves the chart

_CROWDED = 31  # days that may each have an interval of their own


class _Ends(NamedTuple):
    """An interval that has all its numbers, in %."""

    value: float
    lower: float
    upper: float


def styles(report: Report) -> dict[str, str]:
    """The colour of each arm."""
    return {arm: arm_style(place) for place, arm in enumerate(report.arms)}


def level(report: Report) -> str:
    """How sure the intervals are: 95 %."""
    return numbers.percent(100 * (1 - report.alpha), 0)


def in_order(report: Report) -> list[MetricEffect]:
    """The effects by role and metric, the arms of a metric together."""
    roles, metrics = list(ROLES), [one.metric for one in report.effects]
    return sorted(report.effects, key=lambda one: (roles.index(one.role), metrics.index(one.metric)))


def capital(label: str) -> str:
    """A metric's name at the beginning of a line."""
    return label[:1].upper() + label[1:]


def draw_forest(report: Report) -> Forest:
    """All effects in % of the control's value, with intervals."""
    effects = in_order(report)
    scale = _forest_scale(effects)
    found = [one for one in effects if one.significant]
    seen = "; ".join(f"{one.label}, {one.arm}: {numbers.change(one.relative.effect_pct)}" for one in found)
    return Forest(
        title=f"Every metric against {report.control}",
        note=f"Differences in % of its value, with {level(report)} intervals; from value to value where its own is 0. "
        "A filled mark is significant after the adjustment for many comparisons.",
        description=f"{len(effects)} effects with intervals. Significant: {seen or 'none'}.",
        x_title=f"effect ({level(report)} interval)",
        ticks=tuple(Tick(scale.at(value), numbers.tick(value, "%")) for value in scale.ticks(4)),
        zero=scale.at(0),
        groups=tuple(
            (heading, _marks([one for one in effects if one.role == role], report, scale))
            for role, heading in ROLES.items()
            if any(one.role == role for one in effects)
        ),
        legend=tuple(Key(styles(report)[arm], "dot", arm) for arm in report.arms[1:]) if len(report.arms) > 2 else (),
        table=Table(
            ("Metric", "Arm", "Effect", "Lower", "Upper"),
            tuple((capital(one.label), one.arm, *_interval_texts(one.relative)) for one in effects),
            texts=2,
        ),
    )


def _interval_texts(interval: Interval) -> tuple[str, str, str]:
    return (
        numbers.change(interval.effect_pct),
        numbers.change(interval.lower_pct),
        numbers.change(interval.upper_pct),
    )


def _marks(effects: Sequence[MetricEffect], report: Report, scale: Scale) -> tuple[Mark, ...]:
    before = [None, *(one.metric for one in effects)]
    return tuple(
        _mark(one, report, scale, label="" if one.metric == last else capital(one.label))
        for one, last in zip(effects, before, strict=False)
    )


def _mark(effect: MetricEffect, report: Report, scale: Scale, label: str) -> Mark:
    relative, ends = effect.relative, _ends(effect.relative)
    value = relative.effect_pct
    return Mark(
        label=label,
        arm=effect.arm if len(report.arms) > 2 else "",
        text=_text(effect, ends),
        style=styles(report)[effect.arm],
        at=scale.at(value) if value is not None and scale.contains(value) else None,
        low=scale.at(ends.lower) if ends else None,
        high=scale.at(ends.upper) if ends else None,
        sure=effect.significant,
        hint=effect.guardrail or "",
    )


def _text(effect: MetricEffect, ends: _Ends | None) -> str:
    """The effect with its interval; where the control has none of it, so that there are no %, both values."""
    if effect.relative.effect_pct is None:
        values = effect.control_value, effect.arm_value
        return numbers.NOTHING if None in values else " → ".join(map(numbers.number, values))
    around = f"  ({numbers.interval(ends.lower, ends.upper, 1)})" if ends else ""
    return numbers.change(effect.relative.effect_pct, 1) + around


def _forest_scale(effects: Sequence[MetricEffect]) -> Scale:
    """Holds 0 and all intervals but those that would leave no room for most."""
    intervals = [ends for one in effects if (ends := _ends(one.relative))]
    reach = _FAR * median([max(map(abs, ends)) for ends in intervals]) if intervals else 1.0
    near = (ends for ends in intervals if max(map(abs, ends)) <= reach)
    return covering((end for ends in near for end in ends), include=0.0, margin=0.08)


def draw_timelines(report: Report) -> list[Chart]:
    """Daily and cumulative effects, with the sequential band, of each primary metric and arm."""
    return [_draw_timeline(timeline, report) for timeline in report.timelines if timeline.days]


def _draw_timeline(timeline: Timeline, report: Report) -> Chart:
    days, style = timeline.days, styles(report)[timeline.arm]
    daily, so_far, band = (_by_day(day) for day in zip(*map(_intervals, days), strict=True))
    plane = Plane(Scale(-0.5, len(days) - 0.5), _days_scale(so_far, band))
    return Chart(
        title=f"{capital(timeline.label)}: {timeline.arm} against {report.control}",
        note="The wide band holds on all days at once, so that it may be looked at every day.",
        description=_describe(timeline),
        x_title="day, UTC",
        y_title="effect, %",
        x_ticks=plane.x_ticks((i, numbers.short_day(days[i].date)) for i in spread_evenly(len(days), 5)),
        y_ticks=plane.y_ticks((value, numbers.tick(value)) for value in plane.y.ticks(5)),
        zero=plane.zero,
        areas=(plane.band(_area(band), style), plane.band(_area(so_far), f"{style} inner")),
        lines=(plane.line(((x, ends.value) for x, ends in so_far), style),),
        dots=(
            *(plane.dot(x, ends.value, ends[1:] if len(days) <= _CROWDED else None, CONTROL) for x, ends in daily),
            *(plane.dot(x, ends.value, None, style) for x, ends in so_far[-1:]),
        ),
        legend=(
            Key(style, "line", "all days so far"),
            Key(f"{style} inner", "area", f"{level(report)} interval for one look"),
            Key(style, "area", "always-valid interval"),
            Key(CONTROL, "dot", "the day alone"),
        ),
        table=_days_table(days),
    )


def _describe(timeline: Timeline) -> str:
    last = timeline.days[-1]
    return (
        f"Effect of {timeline.arm} on {timeline.label} over {len(timeline.days)} days; after the last one "
        f"{numbers.change(last.cumulative.effect_pct)}, always-valid interval "
        f"{numbers.interval(last.sequential.lower_pct, last.sequential.upper_pct)}."
    )


def _intervals(day: Day) -> tuple[Interval, Interval, Interval]:
    return day.daily, day.cumulative, day.sequential


def _by_day(intervals: Iterable[Interval]) -> list[tuple[float, _Ends]]:
    """Of the days that have one, the number of the day and the interval."""
    return [(float(day), ends) for day, interval in enumerate(intervals) if (ends := _ends(interval))]


def _area(days: Sequence[tuple[float, _Ends]]) -> list[tuple[float, float, float]]:
    """Lower and upper end by day; an only day is as wide as a day."""
    if len(days) == 1:
        return [(days[0][0] + side, days[0][1].lower, days[0][1].upper) for side in (-0.4, 0.4)]
    return [(day, ends.lower, ends.upper) for day, ends in days]


def _days_scale(so_far: Sequence[tuple[float, _Ends]], band: Sequence[tuple[float, _Ends]]) -> Scale:
    """Holds 0 and what is known at the end; the first days, of which little is known, reach out."""
    if not band:
        return covering((ends.value for _, ends in so_far), include=0.0)
    last = band[-1][1]
    reach = _WIDE * max(map(abs, last))
    return covering((end for _, ends in (*so_far, *band) for end in ends if abs(end) <= reach), include=0.0)


def _days_table(days: Sequence[Day]) -> Table:
    def row(day: Day) -> tuple[str, ...]:
        return (
            numbers.day(day.date),
            numbers.count(day.control_listeners),
            numbers.count(day.arm_listeners),
            numbers.change(day.daily.effect_pct),
            numbers.change(day.cumulative.effect_pct),
            numbers.interval(day.cumulative.lower_pct, day.cumulative.upper_pct),
            numbers.interval(day.sequential.lower_pct, day.sequential.upper_pct),
        )

    columns = ("Day", "Control's listeners", "Arm's listeners", "Day alone", "So far", "One look", "Always valid")
    return Table(columns, tuple(map(row, days)))


def _ends(interval: Interval) -> _Ends | None:
    if interval.effect_pct is None or interval.lower_pct is None or interval.upper_pct is None:
        return None
    return _Ends(interval.effect_pct, interval.lower_pct, interval.upper_pct)
