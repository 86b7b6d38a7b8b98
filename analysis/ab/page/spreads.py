"""The pictures of an A/B report's sessions and listeners: how they are spread, and how the arms are filled."""

from collections.abc import Iterable, Mapping, Sequence

from analysis.ab.page.effects import capital, styles
from analysis.ab.report import Distribution, Exposure, Position, Report
from analysis.page import numbers
from analysis.page.figures import CONTROL, Bar, Bars, Chart, Key, Plane, Table, spread_evenly
from analysis.page.scales import Scale

_RARE = 0.005  # share of an arm's sessions below which a position's mean is chance
_FEW = 12  # points that may each have a dot of their own


def draw_distributions(report: Report) -> list[Chart]:
    """How sessions are spread, by arm."""
    return [_draw_distribution(one, report) for one in report.distributions if one.edges]


def _draw_distribution(distribution: Distribution, report: Report) -> Chart:
    edges, colours = distribution.edges, styles(report)
    highest = max((share for shares in distribution.shares.values() for share in shares), default=1.0)
    plane = Plane(Scale(0, len(edges)), Scale(0, 108 * highest or 1.0))
    names = [f"{edge:g}" for edge in edges[:-1]] + [f"{edges[-1]:g}+"]
    outlines = {arm: _outline(shares) for arm, shares in distribution.shares.items()}
    medians = ", ".join(f"{arm} {numbers.tick(of[1])}" for arm, of in distribution.quantiles.items())
    return Chart(
        title=capital(distribution.name),
        note=f"Share of an arm's sessions. Medians: {medians}.",
        description=f"{distribution.name} by arm. Medians: {medians}.",
        x_title="from …",
        y_title="sessions, %",
        x_ticks=plane.x_ticks((i, names[i]) for i in spread_evenly(len(edges), 8)),
        y_ticks=plane.y_ticks((value, numbers.tick(value)) for value in plane.y.ticks(4)),
        zero=None,
        areas=tuple(
            plane.band([(x, 0.0, y) for x, y in line], colours[arm])
            for arm, line in outlines.items()
            if arm != report.control
        ),
        lines=tuple(plane.line(line, colours[arm]) for arm, line in outlines.items()),
        dots=(),
        legend=_arm_keys(report),
        table=_distribution_table(distribution, names),
    )


def _outline(shares: Sequence[float]) -> list[tuple[float, float]]:
    """The upper edge of bars of width 1, in %."""
    return [(float(x), 100 * share) for bar, share in enumerate(shares) for x in (bar, bar + 1)]


def _distribution_table(distribution: Distribution, names: Sequence[str]) -> Table:
    arms = distribution.shares
    bins = [
        (f"from {name}", *(numbers.percent(100 * arms[arm][place]) for arm in arms)) for place, name in enumerate(names)
    ]
    quantiles = [
        (f"{share}th percentile", *(numbers.number(distribution.quantiles[arm][place]) for arm in arms))
        for place, share in enumerate((10, 50, 90, 99))
    ]
    return Table(("", *arms), (*bins, *quantiles))


def draw_positions(report: Report) -> Chart | None:
    """Listening time by position in the session; None where there is no session."""
    by_arm = {arm: _frequent([one for one in report.positions if one.arm == arm]) for arm in report.arms}
    by_arm = {arm: places for arm, places in by_arm.items() if places}
    if not by_arm:
        return None
    every = [one for places in by_arm.values() for one in places]
    last = max(one.position for one in every)
    plane = Plane(Scale(0.5, last + 0.5), Scale(0, 1.08 * max(one.mean_time for one in every) or 1.0))
    colours = styles(report)
    return Chart(
        title="Listening time by position in the session",
        note="Mean share of a track that is heard. The listener chose the first one.",
        description="Mean share of a track that is heard, by position. "
        + " ".join(f"{arm}: {_ends_of(places)}." for arm, places in by_arm.items()),
        x_title="position",
        y_title="share heard",
        x_ticks=plane.x_ticks((1 + place, str(1 + place)) for place in spread_evenly(last, 8)),
        y_ticks=plane.y_ticks((value, numbers.tick(value)) for value in plane.y.ticks(4)),
        zero=None,
        areas=(),
        lines=tuple(
            plane.line(((one.position, one.mean_time) for one in places), colours[arm])
            for arm, places in by_arm.items()
        ),
        dots=tuple(plane.dot(one.position, one.mean_time, None, colours[one.arm]) for one in every if last <= _FEW),
        legend=_arm_keys(report),
        table=_positions_table(by_arm, last),
    )


def _frequent(places: Sequence[Position]) -> list[Position]:
    """The positions that are reached often enough for a mean, in order."""
    ordered = sorted(places, key=lambda one: one.position)
    return [one for one in ordered if one.events >= _RARE * ordered[0].events]


def _ends_of(places: Sequence[Position]) -> str:
    first, last = places[0], places[-1]
    return f"{numbers.number(first.mean_time)} at {first.position}, {numbers.number(last.mean_time)} at {last.position}"


def _positions_table(by_arm: Mapping[str, Sequence[Position]], last: int) -> Table:
    found = {(arm, one.position): one for arm, places in by_arm.items() for one in places}

    def cells(position: int) -> Iterable[str]:
        for arm in by_arm:
            one = found.get((arm, position))
            yield numbers.number(one.mean_time if one else None)
            yield numbers.count(one.events if one else None)

    columns = ("Position", *(f"{arm}: {what}" for arm in by_arm for what in ("share heard", "tracks")))
    return Table(columns, tuple((str(position), *cells(position)) for position in range(1, last + 1)))


def draw_balance(report: Report) -> Bars:
    """Listeners of each arm against what the configured shares let expect."""
    srm, colours = report.srm, styles(report)
    scale = Scale(0, 1.04 * max((*srm.observed.values(), *srm.expected.values(), 1)))
    off = {arm: _off(srm.observed.get(arm, 0), due) for arm, due in srm.expected.items()}
    described = "; ".join(
        f"{arm}: {numbers.count(srm.observed.get(arm, 0))} of {numbers.count(due)} expected"
        for arm, due in srm.expected.items()
    )
    return Bars(
        title="Assignment balance",
        note=f"Listeners by arm. Sample ratio test: p = {numbers.p_value(srm.p_value)}.",
        description=f"Listeners by arm. {described}.",
        bars=tuple(
            Bar(
                label=arm,
                text=f"{numbers.count(srm.observed.get(arm, 0))} ({numbers.change(off[arm], 1)})",
                style=colours.get(arm, CONTROL),
                length=scale.at(srm.observed.get(arm, 0)),
                due=scale.at(due),
            )
            for arm, due in srm.expected.items()
        ),
        legend=(Key(CONTROL, "due", "expected"),),
        table=Table(
            ("Arm", "Listeners", "Expected", "Difference"),
            tuple(
                (arm, numbers.count(srm.observed.get(arm, 0)), numbers.count(due), numbers.change(off[arm]))
                for arm, due in srm.expected.items()
            ),
        ),
    )


def _off(observed: int, expected: float) -> float | None:
    return 100 * (observed / expected - 1) if expected else None


def draw_exposure(report: Report) -> Chart | None:
    """Listeners of each arm by day; None where there is no day."""
    days = report.trust.exposure if report.trust else ()
    if not days:
        return None
    arms, colours = report.arms, styles(report)
    counts = [day.active.get(arm, 0) for day in days for arm in arms]
    plane = Plane(Scale(-0.5, len(days) - 0.5), Scale(0, 1.08 * max(counts) or 1.0))
    return Chart(
        title="Listeners by day",
        note="Listeners with a session that ended on that day.",
        description=f"Active listeners over {len(days)} days, between {min(counts)} and {max(counts)} an arm and day.",
        x_title="day, UTC",
        y_title="listeners",
        x_ticks=plane.x_ticks((i, numbers.short_day(days[i].date)) for i in spread_evenly(len(days), 5)),
        y_ticks=plane.y_ticks((value, numbers.tick(value)) for value in plane.y.ticks(4)),
        zero=None,
        areas=(),
        lines=tuple(
            plane.line(((i, day.active.get(arm, 0)) for i, day in enumerate(days)), colours[arm]) for arm in arms
        ),
        dots=tuple(
            plane.dot(i, day.active.get(arm, 0), None, colours[arm])
            for arm in arms
            for i, day in enumerate(days)
            if len(days) <= _FEW
        ),
        legend=_arm_keys(report),
        table=_exposure_table(days, arms),
    )


def _exposure_table(days: Sequence[Exposure], arms: Sequence[str]) -> Table:
    columns = ("Day", *(f"{arm}: {what}" for arm in arms for what in ("active", "new")))
    rows = tuple(
        (
            numbers.day(day.date),
            *(numbers.count(of.get(arm, 0)) for arm in arms for of in (day.active, day.new)),
        )
        for day in days
    )
    return Table(columns, rows)


def _arm_keys(report: Report) -> tuple[Key, ...]:
    return tuple(Key(style, "line", arm) for arm, style in styles(report).items())
