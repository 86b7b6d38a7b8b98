"""The figures of a search: its leaderboard, its fits and the searched space. The lab shows some of them."""

from collections.abc import Sequence

import numpy as np

from analysis import charts
from analysis.page import numbers
from analysis.page.render import Figure, tabulate
from recsys.report.runs import Row, Run, interval_of

_SHOWN = 12  # trials in the figure; the table has all
_COLOURED = 6  # curves; the others are grey
_WINNER, _OTHERS = "the winner", "the others"


def draw_leaderboard(run: Run, metric: str = "") -> Figure | None:
    """Draw the best trials by a metric, by default the choosing one; None while there is no score."""
    metric = metric or run.select
    known = [row for row in run.rows if row.get(metric) is not None]
    shown = sorted(known, key=lambda row: row[metric], reverse=True)[:_SHOWN]
    if not shown:
        return None
    return _draw_intervals(
        f"The best {len(shown)} by {metric}",
        "With 95 % intervals over listeners. An open mark is tied with the best: the interval of their difference over "
        "the same listeners, which is narrower than these, holds 0.",
        [_leader(row, run, metric) for row in shown],
        metric,
    )


def _leader(row: Row, run: Run, metric: str) -> charts.IntervalRow:
    value, lower, upper = interval_of(row, metric)
    is_tied = bool(row.get("ties")) and row is not run.candidates[0]
    note = " (tied)" if is_tied else " (pruned)" if row["state"] == "pruned" else ""
    text = f"{numbers.number(value)} ({numbers.limits(lower, upper)})"
    colour = charts.arm_colour(1 if row in run.candidates else 0)
    return charts.IntervalRow(
        f"{run.label(row)}{note}", text, value, lower, upper, colour, not is_tied
    )


def draw_curves(run: Run, trials: Sequence[str] = ()) -> Figure:
    """Draw the choosing metric after each scored sweep: of some trials with intervals, by default of all without."""
    found = {
        trial: run.curve(trial)
        for trial in trials or [row["trial"] for row in run.candidates]
    }
    curves = {trial: curve for trial, curve in found.items() if curve}
    labels = {row["trial"]: run.label(row) for row in run.rows}
    coloured = list(curves)[:_COLOURED]
    points = []
    for trial, curve in reversed(
        curves.items()
    ):  # the best is drawn last, over the others
        series = labels[trial] if trial in coloured else _OTHERS
        for sweep, (value, lower, upper) in curve:
            points.append(
                charts.Point(
                    series,
                    sweep,
                    value,
                    lower if trials else None,
                    upper if trials else None,
                    trial,
                )
            )
    colours = {
        labels[trial]: charts.arm_colour(number)
        for number, trial in enumerate(coloured, start=1)
    }
    if len(curves) > len(coloured):
        colours[_OTHERS] = charts.arm_colour(0)
    texts = {
        labels[trial]: {
            str(sweep): numbers.number(ends[0]) for sweep, ends in curves[trial]
        }
        for trial in coloured
    }
    described = (
        f"{label}: {', '.join(f'{value} after {sweep}' for sweep, value in values.items())}"
        for label, values in texts.items()
    )
    return Figure(
        f"{run.select} by sweep",
        "With 95 % intervals over listeners."
        if trials
        else "A line that ends early is a fit that was pruned there.",
        charts.to_svg(
            charts.draw_lines(points, colours, charts.number_axis("sweep"), run.select),
            "; ".join(described),
        ),
        tabulate("Sweep", texts),
    )


def draw_costs(run: Run) -> Figure:
    """Draw what each fit took and how good it is."""
    # the winner over the others
    scored = sorted(run.scored(run.candidates), key=lambda row: row is run.winner)
    dots = [
        charts.Point(
            _WINNER if row is run.winner else _OTHERS,
            row["fit_s"],
            *interval_of(row, run.select),
        )
        for row in scored
    ]
    described = (
        f"{run.label(row)}: {numbers.number(row[run.select])} in {numbers.number(row['fit_s'])} s"
        for row in scored
    )
    colours = {_WINNER: charts.arm_colour(2), _OTHERS: charts.arm_colour(1)}
    return Figure(
        f"{run.select} by the time of the fit",
        "Seconds up to the best scored sweep, scoring aside; with 95 % intervals.",
        charts.to_svg(
            charts.draw_scatter(dots, colours, run.select), "; ".join(described)
        ),
    )


def draw_importance(run: Run) -> Figure | None:
    """Draw the share of the variance of the choosing metric that each hyperparameter explains by itself.

    Between the means of its values: the main effects of Hutter et al., An Efficient Approach for
    Assessing Hyperparameter Importance, 2014, exact on a whole grid. None where fewer than two have
    several values.
    """
    rows, axes = run.scored(run.candidates), run.varied
    values = np.array([row[run.select] for row in rows])
    if len(axes) < 2 or not np.ptp(values):
        return None
    shares = {}
    for name in axes:
        groups = np.array([str(row[name]) for row in rows])
        means = {
            group: values[groups == group].mean() for group in set(groups.tolist())
        }
        shares[name] = float(
            np.var([means[group] for group in groups.tolist()]) / np.var(values)
        )
    marks = [
        charts.IntervalRow(
            name,
            numbers.percent(100 * share, 0),
            100 * share,
            0,
            100 * share,
            charts.arm_colour(1),
        )
        for name, share in sorted(shares.items(), key=lambda item: -item[1])
    ]
    note = f"Share of the variance of {run.select} over the candidates that the values of one hyperparameter explain."
    return _draw_intervals("Importance", note, marks, "%")


def draw_parallel(run: Run) -> Figure | None:
    """Draw a line for each candidate through its hyperparameters and its metric; None where fewer than two vary."""
    rows, axes = (
        sorted(run.scored(run.candidates), key=lambda row: row is run.winner),
        [*run.varied, run.select],
    )
    if len(axes) < 3:
        return None
    scales = {name: sorted({row[name] for row in rows}) for name in axes}
    points = [
        charts.Point(
            _WINNER if row is run.winner else _OTHERS,
            number,
            scales[name].index(row[name]) / max(1, len(scales[name]) - 1),
            line=row["trial"],
        )
        for row in rows
        for number, name in enumerate(axes)
    ]
    colours = {_WINNER: charts.arm_colour(2), _OTHERS: charts.arm_colour(0)}
    ends = "; ".join(
        f"{name}: {_text(scales[name][0])} … {_text(scales[name][-1])}" for name in axes
    )
    return Figure(
        "Paths to the metric",
        f"A line is a candidate; values go from the smallest, below, to the largest, in equal steps. {ends}.",
        charts.to_svg(
            charts.draw_lines(
                points, colours, charts.name_axis("", axes), "largest above"
            ),
            ends,
        ),
    )


def _draw_intervals(
    title: str, note: str, rows: Sequence[charts.IntervalRow], axis: str
) -> Figure:
    described = "; ".join(f"{row.label}: {row.text}" for row in rows)
    return Figure(
        title, note, charts.to_svg(charts.draw_intervals({"": rows}, axis), described)
    )


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
