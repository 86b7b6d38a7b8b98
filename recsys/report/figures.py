"""Draw the leaderboard of a search; the lab shows it too."""

from pathlib import Path

from analysis.page import numbers
from analysis.page.forest import Forest, IntervalRow, arm_colour
from recsys.report.runs import RunFolder, interval_of, is_baseline
from recsys.search.leaderboard import Row, label_rows

TEMPLATES = Path(__file__).parent
_SHOWN = 12  # trials in the figure; the table has all


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


def _leader(row: Row, run: RunFolder, label: str) -> IntervalRow:
    value, lower, upper = interval_of(row, run.select)
    is_tied = bool(row.get("ties")) and row is not run.candidates[0]
    text = f"{numbers.number(value)} ({numbers.limits(lower, upper)})"
    colour = arm_colour(0 if is_baseline(row) else 1)
    label = f"{label} ({run.state_of(row)})"
    return IntervalRow(label, text, value, lower, upper, colour, not is_tied)
