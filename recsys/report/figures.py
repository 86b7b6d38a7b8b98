"""Draw the leaderboard of a search; the lab shows it too."""

from pathlib import Path

from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from recsys.report.runs import RunFolder, interval_of, is_baseline
from recsys.search.leaderboard import Row, label_rows
from recsys.search.ledger import Score

TEMPLATES = Path(__file__).parent
_SHOWN = 12  # trials in the figure; the table has all
_CURVES = 6  # of them by iteration, as many as there are colours


def draw_leaderboard(run: RunFolder) -> Forest | None:
    """Draw the best trials by the choosing metric; None without a score."""
    metric = run.select
    scored = [row for row in run.rows if row.get(metric) is not None]
    if not scored:
        return None
    labels, same = label_rows(run.rows)
    rows = [_leader(row, run, labels[row["trial"]]) for row in scored[:_SHOWN]]
    return Forest(
        f"The best {len(rows)} by {metric}",
        "With 95 % intervals over listeners. An open mark is tied with the best model: the "
        "interval of their difference over the same listeners, which is narrower than these, "
        "holds 0. The other colour is of baselines."
        + (f" The same in all: {same}." if same else ""),
        metric,
        {"": rows},
    )


def draw_curves(run: RunFolder) -> Forest | None:
    """Draw the best trials by iteration; None where none was scored twice."""
    labels, _ = label_rows(run.rows)
    trials = [
        row["trial"] for row in run.candidates if len(run.scores[row["trial"]]) > 1
    ]
    groups = {
        labels[trial]: [
            _point(score, run.select, arm_colour(position))
            for score in run.scores[trial]
            if score.metrics
        ]
        for position, trial in enumerate(trials[:_CURVES], start=1)
    }
    if not groups:
        return None
    note = f"The best {len(groups)}. A curve that still rises at its end asks for more."
    return Forest(f"{run.select} by iteration", note, "iterations", groups)


def _point(score: Score, metric: str, colour: str) -> IntervalRow:
    value, *_ = score.metrics[metric]
    text = numbers.number(value)
    return IntervalRow(str(score.iteration), text, value, None, None, colour)


def _leader(row: Row, run: RunFolder, label: str) -> IntervalRow:
    value, lower, upper = interval_of(row, run.select)
    is_tied = bool(row.get("ties")) and row is not run.candidates[0]
    text = f"{numbers.number(value)} ({numbers.limits(lower, upper)})"
    colour = arm_colour(0 if is_baseline(row) else 1)
    label = f"{label} ({run.state_of(row)})"
    return IntervalRow(label, text, value, lower, upper, colour, not is_tied)
