"""The figures of a search: its leaderboard, its fits, the searched space and the data. The lab shows some of them."""

import itertools
from collections.abc import Sequence

import numpy as np

from analysis.charts import intervals
from analysis.charts.heat import Cell, draw_heat
from analysis.charts.lines import Point, draw_lines, draw_scatter, draw_shares, name_axis, number_axis
from analysis.charts.svg import arm_colour, to_svg
from analysis.page import numbers
from analysis.page.render import Figure, tabulate
from recsys.dataset.dataset import Dataset
from recsys.report.runs import Row, Run, interval_of

_SHOWN = 12  # trials in the figure; the table has all
_COLOURED = 6  # curves; the others are grey
_OTHERS = "the others"
_MAPS = 6
_LONGEST = 15  # session lengths from here on are one bin
_NAMED = (1, 5, 10, 20, 50)  # shares of the tracks in the table, %


def draw_leaderboard(run: Run, metric: str = "") -> Figure | None:
    """Draw the best trials by a metric, by default the choosing one; None while there is no score."""
    metric = metric or run.select
    known = [row for row in run.rows if row.get(metric) is not None]
    shown = sorted(known, key=lambda row: row[metric], reverse=True)[:_SHOWN]
    if not shown:
        return None
    described = "; ".join(f"{run.label(row)}: {numbers.number(row[metric])}" for row in shown)
    return Figure(
        f"The best {len(shown)} by {metric}",
        "With 95 % intervals over listeners. An open mark is tied with the best: the interval of their difference over "
        "the same listeners, which is narrower than these, holds 0.",
        to_svg(intervals.draw_intervals({"": [_leader(row, run, metric) for row in shown]}, metric), described),
    )


def _leader(row: Row, run: Run, metric: str) -> intervals.Row:
    value, lower, upper = interval_of(row, metric)
    is_tied = bool(row.get("ties")) and row is not run.candidates[0]
    note = " (tied)" if is_tied else " (pruned)" if row["state"] == "pruned" else ""
    text = f"{numbers.number(value)} ({numbers.limits(lower, upper)})"
    colour = arm_colour(1 if row in run.candidates else 0)
    return intervals.Row(f"{run.label(row)}{note}", text, value, lower, upper, colour, not is_tied)


def draw_curves(run: Run, trials: Sequence[str] = ()) -> Figure:
    """Draw the choosing metric after each scored sweep: of some trials with intervals, by default of all without."""
    found = {trial: run.curve(trial) for trial in trials or [row["trial"] for row in run.candidates]}
    curves = {trial: curve for trial, curve in found.items() if curve}
    labels = {row["trial"]: run.label(row) for row in run.rows}
    coloured = list(curves)[:_COLOURED]
    points = []
    for trial, curve in reversed(curves.items()):  # the best is drawn last, over the others
        series = labels[trial] if trial in coloured else _OTHERS
        for sweep, (value, lower, upper) in curve:
            points.append(Point(series, sweep, value, lower if trials else None, upper if trials else None, trial))
    colours = {labels[trial]: arm_colour(number) for number, trial in enumerate(coloured, start=1)}
    if len(curves) > len(coloured):
        colours[_OTHERS] = arm_colour(0)
    texts = {
        labels[trial]: {str(sweep): numbers.number(ends[0]) for sweep, ends in curves[trial]} for trial in coloured
    }
    described = (
        f"{label}: {', '.join(f'{value} after {sweep}' for sweep, value in values.items())}"
        for label, values in texts.items()
    )
    return Figure(
        f"{run.select} by sweep",
        "With 95 % intervals over listeners." if trials else "A line that ends early is a fit that was pruned there.",
        to_svg(draw_lines(points, colours, number_axis("sweep"), run.select), "; ".join(described)),
        tabulate("Sweep", texts),
    )


def draw_costs(run: Run) -> Figure:
    """Draw what each fit took and how good it is."""
    scored = sorted(run.scored(run.candidates), key=lambda row: row is run.winner)  # the winner over the others
    dots = [
        Point("the winner" if row is run.winner else _OTHERS, row["fit_s"], *interval_of(row, run.select))
        for row in scored
    ]
    described = (
        f"{run.label(row)}: {numbers.number(row[run.select])} in {numbers.number(row['fit_s'])} s" for row in scored
    )
    colours = {"the winner": arm_colour(2), _OTHERS: arm_colour(1)}
    return Figure(
        f"{run.select} by the time of the fit",
        "Seconds up to the best scored sweep, scoring aside; with 95 % intervals.",
        to_svg(draw_scatter(dots, colours, run.select), "; ".join(described)),
    )


def draw_importance(run: Run) -> Figure | None:
    """Draw the share of the variance of the choosing metric that each hyperparameter explains by itself.

    Between the means of its values: the main effects of Hutter et al., An Efficient Approach for Assessing
    Hyperparameter Importance, 2014, exact on a whole grid. None where fewer than two have several values.
    """
    rows, axes = run.scored(run.candidates), run.varied
    values = np.array([row[run.select] for row in rows])
    if len(axes) < 2 or not np.ptp(values):
        return None
    shares = {}
    for name in axes:
        groups = np.array([str(row[name]) for row in rows])
        means = {group: values[groups == group].mean() for group in set(groups.tolist())}
        shares[name] = float(np.var([means[group] for group in groups.tolist()]) / np.var(values))
    texts = {name: numbers.percent(100 * share, 0) for name, share in shares.items()}
    marks = [
        intervals.Row(name, texts[name], 100 * share, 0, 100 * share, arm_colour(1))
        for name, share in sorted(shares.items(), key=lambda item: -item[1])
    ]
    return Figure(
        "Importance",
        f"Share of the variance of {run.select} over the candidates that the values of one hyperparameter explain.",
        to_svg(
            intervals.draw_intervals({"": marks}, "%"), "; ".join(f"{name}: {text}" for name, text in texts.items())
        ),
    )


def draw_parallel(run: Run) -> Figure | None:
    """Draw a line for each candidate through its hyperparameters and its metric; None where fewer than two vary."""
    rows, axes = sorted(run.scored(run.candidates), key=lambda row: row is run.winner), [*run.varied, run.select]
    if len(axes) < 3:
        return None
    scales = {name: sorted({row[name] for row in rows}) for name in axes}
    points = [
        Point(
            "the winner" if row is run.winner else _OTHERS,
            number,
            scales[name].index(row[name]) / max(1, len(scales[name]) - 1),
            line=row["trial"],
        )
        for row in rows
        for number, name in enumerate(axes)
    ]
    colours = {"the winner": arm_colour(2), _OTHERS: arm_colour(0)}
    ends = "; ".join(f"{name}: {_text(scales[name][0])} … {_text(scales[name][-1])}" for name in axes)
    return Figure(
        "Paths to the metric",
        f"A line is a candidate; values go from the smallest, below, to the largest, in equal steps. {ends}.",
        to_svg(draw_lines(points, colours, name_axis("", axes), "largest above"), ends),
    )


def draw_heat_maps(run: Run) -> list[Figure]:
    """Draw a map for each two hyperparameters with several values; none where fewer than two have."""
    pairs = itertools.islice(itertools.combinations(run.varied, 2), _MAPS)
    return [_draw_heat(run, run.varied, pair) for pair in pairs]


def _draw_heat(run: Run, axes: Sequence[str], pair: tuple[str, str]) -> Figure:
    values = (sorted({row[name] for row in run.candidates}) for name in pair)
    cells = [
        _cell(run, [row for row in run.candidates if (row[pair[0]], row[pair[1]]) == at], at)
        for at in itertools.product(*values)
    ]
    others = [name for name in axes if name not in pair]
    over = f" Each is the best over {', '.join(others)}." if others else ""
    described = "; ".join(f"{cell.row}, {cell.column}: {cell.text}" for cell in cells)
    return Figure(
        " and ".join(pair),
        f"{run.select} at the best scored sweep; the stronger the colour, the better; the best is outlined.{over}",
        to_svg(draw_heat(cells, *pair), described),
    )


def _cell(run: Run, tried: Sequence[Row], at: Sequence[object]) -> Cell:
    best = max((row[run.select] for row in run.scored(tuple(tried))), default=None)
    text = numbers.number(best) if best is not None else "failed" if tried else numbers.NOTHING
    return Cell(_text(at[0]), _text(at[1]), text, best)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def draw_popularity(dataset: Dataset) -> Figure:
    """Draw how much of the listening goes to the most popular tracks (a Lorenz curve from above)."""
    popularity = np.sort(dataset.popularity())[::-1]
    sums = np.concatenate([[0], np.cumsum(popularity)]) / max(1, popularity.sum())
    at = np.union1d(100 * np.linspace(0, 1, 61) ** 2, _NAMED)  # closer together where the curve is steep
    shares = 100 * np.interp(at / 100 * len(popularity), np.arange(len(sums)), sums)
    curve = list(zip(at.tolist(), shares.tolist(), strict=True))
    texts = {numbers.percent(x, 0): numbers.percent(y, 1) for x, y in curve if x in _NAMED}
    points = [Point("this data", x, y) for x, y in curve] + [Point("all equal", x, x) for x in (0, 100)]
    colours = {"this data": arm_colour(1), "all equal": arm_colour(0)}
    chart = draw_lines(points, colours, number_axis("% of the tracks"), "% of the interactions", from_zero=True)
    return Figure(
        "Popularity",
        "The share of the training interactions that the most popular tracks have.",
        to_svg(chart, "; ".join(f"the {tracks} most popular tracks have {share}" for tracks, share in texts.items())),
        tabulate("Most popular tracks", {"Interactions": texts}),
    )


def draw_session_lengths(dataset: Dataset) -> Figure | None:
    """Draw how many sessions have each length; None where nothing is known of sessions."""
    lengths = dataset.session_lengths()
    if set(lengths) == {1}:  # interactions without sessions, each on its own
        return None
    shown = {str(length): lengths.get(length, 0) for length in range(min(lengths), min(_LONGEST, max(lengths) + 1))}
    if max(lengths) >= _LONGEST:
        shown[f"{_LONGEST}+"] = sum(count for length, count in lengths.items() if length >= _LONGEST)
    sessions = sum(lengths.values())
    mean = sum(length * count for length, count in lengths.items()) / sessions
    shares = {"sessions": [count / sessions for count in shown.values()]}
    described = f"Tracks in a session, the organic one included; {numbers.number(mean)} on average."
    return Figure(
        "Session lengths",
        described,
        to_svg(draw_shares(shares, {"sessions": arm_colour(1)}, list(shown), "tracks"), described),
        tabulate("Tracks", {"Sessions": {name: numbers.count(count) for name, count in shown.items()}}),
    )
