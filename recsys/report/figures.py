"""Draw the leaderboard and the fits of a search; the lab shows them too."""

from collections.abc import Sequence

from analysis import charts
from analysis.page import numbers
from analysis.page.render import Figure, tabulate
from recsys.report.runs import LeaderboardRow, Run, interval_of

_SHOWN = 12  # trials in the figure; the table has all
_COLOURED = 6  # curves; the others are grey
_OTHERS = "the others"


def draw_leaderboard(run: Run, metric: str = "") -> Figure | None:
    """Draw the best trials by a metric, by default the choosing one; None without a score."""
    metric = metric or run.select
    known = [row for row in run.rows if row.get(metric) is not None]
    known.sort(key=lambda row: float(row[metric]), reverse=True)
    rows = [_leader(row, run, metric) for row in known[:_SHOWN]]
    if not rows:
        return None
    described = "; ".join(f"{row.label}: {row.text}" for row in rows)
    picture = charts.draw_intervals({"": rows}, metric)
    return Figure(
        f"The best {len(rows)} by {metric}",
        "With 95 % intervals over listeners. An open mark is tied with the best: the interval of "
        "their difference over the same listeners, which is narrower than these, holds 0.",
        charts.to_svg(picture, described),
    )


def _leader(row: LeaderboardRow, run: Run, metric: str) -> charts.IntervalRow:
    value, lower, upper = interval_of(row, metric)
    is_tied = bool(row.get("ties")) and row is not run.candidates[0]
    note = ""
    if is_tied:
        note = " (tied)"
    elif row["state"] == "pruned":
        note = " (pruned)"
    text = f"{numbers.number(value)} ({numbers.limits(lower, upper)})"
    colour = charts.arm_colour(1 if row in run.candidates else 0)
    label = f"{run.label(row)}{note}"
    return charts.IntervalRow(label, text, value, lower, upper, colour, not is_tied)


def draw_curves(run: Run, trials: Sequence[str] = ()) -> Figure:
    """Draw the choosing metric by sweep, of some trials with intervals or of all without."""
    curves = {}
    for trial in trials or [row["trial"] for row in run.candidates]:
        curve = run.curve(trial)
        if curve:
            curves[trial] = curve
    labels = {row["trial"]: run.label(row) for row in run.rows}
    coloured = list(curves)[:_COLOURED]
    colours = {
        labels[trial]: charts.arm_colour(number)
        for number, trial in enumerate(coloured, start=1)
    }
    if len(curves) > len(coloured):
        colours[_OTHERS] = charts.arm_colour(0)
    points = []
    texts = {}
    for trial in reversed(curves):  # the best is drawn last, over the others
        series = labels[trial] if trial in coloured else _OTHERS
        for sweep, (value, lower, upper) in curves[trial]:
            point = charts.Point(series, sweep, value, line=trial)
            if trials:
                point = point._replace(lower=lower, upper=upper)
            points.append(point)
    for trial in coloured:
        values = {str(sweep): numbers.number(ends[0]) for sweep, ends in curves[trial]}
        texts[labels[trial]] = values
    described = "; ".join(f"{label}: {values}" for label, values in texts.items())
    picture = charts.draw_lines(points, colours, "sweep", run.select)
    note = "A line that ends early is a fit that was pruned there."
    if trials:
        note = "With 95 % intervals over listeners."
    return Figure(
        f"{run.select} by sweep",
        note,
        charts.to_svg(picture, described),
        tabulate("Sweep", texts),
    )
