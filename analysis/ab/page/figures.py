"""The figures of an A/B report: its effects, by metric and over time, and what is heard within a session."""

from collections.abc import Iterable
from statistics import median

from analysis import charts
from analysis.ab.effects import MetricEffect, RelativeEffect
from analysis.ab.report import Report
from analysis.page import numbers
from analysis.page.render import Figure, tabulate

_ROLES = ("primary", "guardrail", "secondary", "diagnostic")
_FAR = 4.0  # an interval that reaches so many times as far as most leaves the scale
_RARE = 0.005  # share of an arm's sessions below which a position's mean is chance


def effects_in_order(report: Report) -> list[MetricEffect]:
    """Return the effects by role and metric, the arms of a metric together."""
    metrics = [effect.metric for effect in report.effects]
    return sorted(
        report.effects,
        key=lambda effect: (_ROLES.index(effect.role), metrics.index(effect.metric)),
    )


def shown(effect: MetricEffect) -> RelativeEffect:
    """Return the one interval of an effect that the page shows: the one that decides, where one does."""
    return (
        effect.deciding.relative
        if effect.role in {"primary", "guardrail"}
        else effect.relative
    )


def draw_effects(report: Report) -> Figure | None:
    """Draw primary and secondary metrics on one scale; None without an effect."""
    if not report.effects:
        return None
    effects = [
        effect
        for effect in effects_in_order(report)
        if effect.role in {"primary", "secondary"}
    ]
    groups: dict[str, list[charts.IntervalRow]] = {}
    for effect in effects:
        groups.setdefault(f"{effect.role} metrics".upper(), [])
        relative = shown(effect)
        ends = relative.effect_pct, relative.lower_pct, relative.upper_pct
        row = charts.IntervalRow(
            effect.arm,
            _change(effect),
            *ends,
            _colours(report)[effect.arm],
            effect.significant,
        )
        groups.setdefault(_capital(effect.label), []).append(row)
    found = "; ".join(
        f"{effect.label}, {effect.arm}: {_change(effect)}"
        for effect in effects
        if effect.significant
    )
    return Figure(
        f"Primary and secondary metrics against {report.control}",
        f"Differences in % of its value, with {_level(report)} intervals: those that "
        "decide for primary metrics, else for one look; from value to value where its own is next to 0. "
        "A filled mark is significant after the adjustment for many comparisons.",
        charts.to_svg(
            charts.draw_intervals(groups, "effect, %", _domain(effects)),
            f"{len(effects)} effects with intervals. Significant: {found or 'none'}.",
        ),
    )


def _change(effect: MetricEffect) -> str:
    """Format the effect with its interval, or both values where the control's is 0."""
    relative, values = shown(effect), (effect.control_value, effect.arm_value)
    if relative.effect_pct is None:
        return (
            numbers.NOTHING
            if None in values
            else " → ".join(map(numbers.number, values))
        )
    return f"{numbers.change(relative.effect_pct, 1)} ({numbers.interval(relative.lower_pct, relative.upper_pct, 1)})"


def _domain(effects: Iterable[MetricEffect]) -> tuple[float, float]:
    """Return limits that hold 0 and all intervals but those that would leave no room for most."""
    spans = [point.ends for point in _points(map(shown, effects))]
    reach = _FAR * median([max(map(abs, span)) for span in spans]) if spans else 1.0
    return charts.around_zero(
        end for span in spans if max(map(abs, span)) <= reach for end in span
    )


def _points(found: Iterable[RelativeEffect]) -> list[charts.Point]:
    """Return the effects that have all their numbers, at their position."""
    rows = (
        (day, effect.effect_pct, effect.lower_pct, effect.upper_pct)
        for day, effect in enumerate(found)
    )
    return [charts.Point("", *row) for row in rows if None not in row]


def draw_positions(report: Report) -> list[Figure]:
    """Draw how long tracks are listened to by their position in the session; nothing where there is none."""
    opened = {spot.arm: spot.events for spot in report.positions if spot.position == 1}
    frequent = [
        spot for spot in report.positions if spot.events >= _RARE * opened[spot.arm]
    ]
    if not frequent:
        return []
    heard: dict[str, dict[str, str]] = {arm: {} for arm in opened}
    for spot in frequent:
        heard[spot.arm][str(spot.position)] = numbers.number(spot.mean_time)
    ends = "; ".join(
        f"{arm}: {texts[position]} at {position}"
        for arm, texts in heard.items()
        for position in (next(iter(texts)), next(reversed(texts)))
    )
    points = [
        charts.Point(spot.arm, spot.position, spot.mean_time) for spot in frequent
    ]
    axis = charts.number_axis("position", from_zero=False)
    return [
        Figure(
            "Listening time by position in the session",
            "Mean share of a track that is heard. The listener chose the first one.",
            charts.to_svg(
                charts.draw_lines(
                    points, _colours(report), axis, "share heard", from_zero=True
                ),
                f"Mean share of a track that is heard, by position. {ends}.",
            ),
            tabulate("Position", heard),
        )
    ]


def _colours(report: Report) -> dict[str, str]:
    return {
        arm: charts.arm_colour(position) for position, arm in enumerate(report.arms)
    }


def _level(report: Report) -> str:
    return numbers.percent(100 * (1 - report.alpha), 0)


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]
