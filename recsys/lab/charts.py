"""The lab's pictures."""

from collections.abc import Sequence

from analysis.page import numbers
from analysis.page.figures import Chart, Forest, Key, Mark, Plane, Table, Tick, arm_style
from analysis.page.scales import Scale, covering
from recsys.lab.runs import Interval, Row, Run

_SHOWN = 12  # trials in the picture; the table has all


def draw_leaderboard(run: Run) -> Forest | None:
    """The best trials by the choosing metric with intervals; None while there is no leaderboard."""
    scored = [row for row in run.rows if row.get(run.select) is not None][:_SHOWN]
    if not scored:
        return None
    scale = covering((end for row in scored for end in interval_of(row, run.select)), margin=0.08)
    return Forest(
        title=f"The best {len(scored)} by {run.select}",
        note="With 95 % intervals over listeners; a filled mark can be told from the best.",
        description="; ".join(f"{row['trial']} {numbers.number(row[run.select])}" for row in scored),
        x_title=run.select,
        ticks=tuple(Tick(scale.at(value), numbers.tick(value)) for value in scale.ticks(4)),
        zero=-10,
        groups=(("", tuple(_mark(row, run, scale) for row in scored)),),
        legend=(),
        table=Table(
            ("Trial", run.select, "Lower", "Upper"),
            tuple((row["trial"], *map(numbers.number, interval_of(row, run.select))) for row in scored),
        ),
    )


def draw_curves(run: Run, trials: Sequence[str]) -> Chart:
    """The choosing metric of some trials after each scored sweep, from the ledger."""
    curves = {trial: run.curve(trial) for trial in trials}
    points = [(sweep, *ends) for curve in curves.values() for sweep, ends in curve]
    plane = Plane(
        covering((sweep for sweep, *_ in points), include=0.0),
        covering(value for _, *ends in points for value in ends),
    )
    styles = {trial: arm_style(place) for place, trial in enumerate(trials, start=1)}
    return Chart(
        title=f"{run.select} by sweep",
        note="With 95 % intervals over listeners.",
        description="; ".join(_describe(trial, curve) for trial, curve in curves.items()),
        x_title="sweep",
        y_title=run.select,
        x_ticks=plane.x_ticks((sweep, str(sweep)) for sweep in sorted({sweep for sweep, *_ in points})),
        y_ticks=plane.y_ticks((value, numbers.tick(value)) for value in plane.y.ticks(4)),
        zero=None,
        areas=tuple(plane.band([(s, e[1], e[2]) for s, e in curve], styles[t]) for t, curve in curves.items() if curve),
        lines=tuple(plane.line([(s, e[0]) for s, e in curve], styles[t]) for t, curve in curves.items() if curve),
        dots=tuple(plane.dot(s, e[0], None, styles[t]) for t, curve in curves.items() for s, e in curve),
        legend=tuple(Key(styles[trial], "line", trial) for trial in trials),
        table=Table(
            ("Trial", "Sweep", run.select, "Lower", "Upper"),
            tuple((t, str(s), *map(numbers.number, e)) for t, curve in curves.items() for s, e in curve),
        ),
    )


def interval_of(row: Row, metric: str) -> Interval:
    """A metric of a row: value, lower, upper."""
    return row[metric], row[f"{metric} lower"], row[f"{metric} upper"]


def _mark(row: Row, run: Run, scale: Scale) -> Mark:
    value, lower, upper = interval_of(row, run.select)
    is_best = row is run.rows[0]
    return Mark(
        label=row["trial"],
        arm="",
        text=f"{numbers.number(value)}  ({numbers.number(lower)} … {numbers.number(upper)})",
        style=arm_style(1),
        at=scale.at(value),
        low=scale.at(lower),
        high=scale.at(upper),
        sure=is_best or not row.get("ties"),
        hint=_hint(row, run),
    )


def _hint(row: Row, run: Run) -> str:
    """What tells the trial from the others."""
    return ", ".join(f"{name} {row[name]}" for name in run.axes if row[name] is not None) or str(row["model"])


def _describe(trial: str, curve: Sequence[tuple[int, Interval]]) -> str:
    return f"{trial}: " + ", ".join(f"{numbers.number(ends[0])} after {sweep}" for sweep, ends in curve)
