"""Draw the leaderboard of a search; the lab shows it too."""

from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from recsys.report.runs import Run, interval_of, is_baseline
from recsys.runs.leaderboard import Row, describe_row

_SHOWN = 12  # trials in the figure; the table has all


def draw_leaderboard(run: Run) -> Forest | None:
    """Draw the best trials by the choosing metric; None without a score."""
    metric = run.select
    known = [row for row in run.rows if row.get(metric) is not None]
    rows = [_leader(row, run) for row in known[:_SHOWN]]
    if not rows:
        return None
    return Forest(
        f"The best {len(rows)} by {metric}",
        "With 95 % intervals over listeners. An open mark is tied with the best model: the "
        "interval of their difference over the same listeners, which is narrower than these, "
        "holds 0. The other colour is of baselines.",
        metric,
        {"": rows},
    )


def _leader(row: Row, run: Run) -> IntervalRow:
    value, lower, upper = interval_of(row, run.select)
    is_tied = bool(row.get("ties")) and row is not run.candidates[0]
    text = f"{numbers.number(value)} ({numbers.limits(lower, upper)})"
    colour = arm_colour(0 if is_baseline(row) else 1)
    label = f"{describe_row(row)} ({run.state_of(row)})"
    return IntervalRow(label, text, value, lower, upper, colour, not is_tied)
