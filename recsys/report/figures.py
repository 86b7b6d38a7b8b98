"""Draw the leaderboard and the fits of a search; the lab shows them too."""

from analysis import charts
from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow
from analysis.page.render import Figure, tabulate
from recsys.report.runs import Run, interval_of, is_baseline
from recsys.runs.leaderboard import Row

_SHOWN = 12  # trials in the figure; the table has all
_COLOURED = 6  # curves; the others are grey
_OTHERS = "the others"


def draw_leaderboard(run: Run) -> Figure | None:
    """Draw the best trials by the choosing metric; None without a score."""
    metric = run.select
    known = [row for row in run.rows if row.get(metric) is not None]
    rows = [_leader(row, run) for row in known[:_SHOWN]]
    if not rows:
        return None
    return Figure(
        f"The best {len(rows)} by {metric}",
        "With 95 % intervals over listeners. An open mark is tied with the best: the interval of "
        "their difference over the same listeners, which is narrower than these, holds 0.",
        forest=Forest(metric, {"": rows}),
    )


def _leader(row: Row, run: Run) -> IntervalRow:
    value, lower, upper = interval_of(row, run.select)
    is_tied = bool(row.get("ties")) and row is not run.candidates[0]
    note = ""
    if is_tied:
        note = " (tied)"
    elif row["state"] == "pruned":
        note = " (pruned)"
    text = f"{numbers.number(value)} ({numbers.limits(lower, upper)})"
    colour = charts.arm_colour(0 if is_baseline(row) else 1)
    label = f"{run.label(row)}{note}"
    return IntervalRow(label, text, value, lower, upper, colour, not is_tied)


def draw_curves(run: Run) -> Figure:
    """Draw the choosing metric of all trials by sweep."""
    curves = {}
    for row in run.candidates:
        curve = run.curve(row["trial"])
        # what takes no sweeps has one score, at sweep 0
        if curve and curve[-1][0]:
            curves[row["trial"]] = curve
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
        for sweep, (value, _, _) in curves[trial]:
            points.append(charts.Point(series, sweep, value, line=trial))
    for trial in coloured:
        values = {str(sweep): numbers.number(ends[0]) for sweep, ends in curves[trial]}
        texts[labels[trial]] = values
    described = "; ".join(f"{label}: {values}" for label, values in texts.items())
    picture = charts.draw_lines(points, colours, "sweep", run.select)
    return Figure(
        f"{run.select} by sweep",
        "A line that ends early is a fit that was pruned there.",
        charts.to_svg(picture, described),
        tabulate("Sweep", texts),
    )
