"""The pictures of a search that its report and the lab share."""

from collections.abc import Sequence

from analysis.page import numbers
from analysis.page.figures import Chart, Forest, Key, Mark, Plane, Table, Tick, arm_style
from analysis.page.scales import Scale, covering
from recsys.report.runs import Interval, Row, Run, interval_of

_SHOWN = 12  # trials in the picture; the table has all
_OTHERS = "others"


def draw_leaderboard(run: Run) -> Forest | None:
    """The best trials by the choosing metric with intervals; None while there is no leaderboard."""
    scored = [row for row in run.rows if row.get(run.select) is not None][:_SHOWN]
    if not scored:
        return None
    scale = covering((end for row in scored for end in interval_of(row, run.select)), margin=0.08)
    return Forest(
        title=f"The best {len(scored)} by {run.select}",
        note="With 95 % intervals over listeners. An open mark cannot be told from the best: the interval of their "
        "difference over the same listeners, which is narrower than these, reaches 0.",
        description="; ".join(f"{run.label(row)}: {numbers.number(row[run.select])}" for row in scored),
        x_title=run.select,
        ticks=tuple(Tick(scale.at(value), numbers.tick(value)) for value in scale.ticks(4)),
        zero=-10,
        groups=(("", tuple(_mark(row, run, scale) for row in scored)),),
        legend=(),
        table=Table(
            ("Model", "Trial", run.select, "Lower", "Upper"),
            tuple((run.label(row), row["trial"], *map(numbers.number, interval_of(row, run.select))) for row in scored),
            texts=2,
        ),
    )


def draw_curves(run: Run, trials: Sequence[str], others: Sequence[str] = ()) -> Chart:
    """The choosing metric of some trials after each scored sweep, from the ledger.

    Args:
        run: Whose ledger.
        trials: Drawn in colours of their own, with intervals where they are two at most.
        others: Drawn in grey behind them.
    """
    labels = {row["trial"]: run.label(row) for row in run.rows}
    curves = {trial: run.curve(trial) for trial in trials}
    behind = [run.curve(trial) for trial in others]
    points = [(sweep, *ends) for curve in (*curves.values(), *behind) for sweep, ends in curve]
    with_ends = len(trials) <= 2
    plane = Plane(
        covering((sweep for sweep, *_ in points), include=0.0),
        covering(value for _, *ends in points for value in (ends if with_ends else ends[:1])),
    )
    styles = {trial: arm_style(place) for place, trial in enumerate(trials, start=1)}
    bands = curves.items() if with_ends else ()
    return Chart(
        title=f"{run.select} by sweep",
        note="With 95 % intervals over listeners." if with_ends else "A line that ends early was given up there.",
        description="; ".join(_describe(labels[trial], curve) for trial, curve in curves.items()),
        x_title="sweep",
        y_title=run.select,
        x_ticks=plane.x_ticks((sweep, str(sweep)) for sweep in sorted({sweep for sweep, *_ in points})),
        y_ticks=plane.y_ticks((value, numbers.tick(value)) for value in plane.y.ticks(4)),
        zero=None,
        areas=tuple(plane.band([(s, e[1], e[2]) for s, e in curve], styles[t]) for t, curve in bands if curve),
        lines=(
            *(plane.line([(s, e[0]) for s, e in curve], _OTHERS) for curve in behind if curve),
            *(plane.line([(s, e[0]) for s, e in curve], styles[t]) for t, curve in curves.items() if curve),
        ),
        dots=tuple(plane.dot(s, e[0], None, styles[t]) for t, curve in curves.items() for s, e in curve),
        legend=(
            *(Key(styles[trial], "line", labels[trial]) for trial in trials),
            *([Key(_OTHERS, "line", "the others")] if behind else []),
        ),
        table=Table(
            ("Model", "Trial", "Sweep", run.select, "Lower", "Upper"),
            tuple(
                (labels[trial], trial, str(sweep), *map(numbers.number, ends))
                for trial in (*trials, *others)
                for sweep, ends in run.curve(trial)
            ),
            texts=2,
        ),
    )


def draw_costs(run: Run) -> Chart:
    """What each fit took, and what came of it."""
    scored = [row for row in run.candidates if row.get(run.select) is not None]
    plane = Plane(
        covering((row["fit_s"] for row in scored), include=0.0),
        covering(end for row in scored for end in interval_of(row, run.select)),
    )
    winner = run.winner
    ordered = sorted(scored, key=lambda row: (row is winner, row["place"]))  # the winner is drawn last, over the others
    return Chart(
        title=f"{run.select} by the time of the fit",
        note="Seconds up to the best scored sweep, scoring aside; with 95 % intervals.",
        description="; ".join(
            f"{run.label(row)}: {numbers.number(row[run.select])} in {numbers.number(row['fit_s'])} s" for row in scored
        ),
        x_title="seconds",
        y_title=run.select,
        x_ticks=plane.x_ticks((value, numbers.tick(value)) for value in plane.x.ticks(5) if value >= 0),
        y_ticks=plane.y_ticks((value, numbers.tick(value)) for value in plane.y.ticks(4)),
        zero=None,
        areas=(),
        lines=(),
        dots=tuple(
            plane.dot(
                row["fit_s"], row[run.select], interval_of(row, run.select)[1:], arm_style(2 if row is winner else 1)
            )
            for row in ordered
        ),
        legend=(Key(arm_style(2), "dot", "the winner"), Key(arm_style(1), "dot", "the others")),
        table=Table(
            ("Model", run.select, "Fit, s", "Score, s", "Peak memory, MB"),
            tuple(
                (
                    run.label(row),
                    numbers.number(row[run.select]),
                    numbers.number(row["fit_s"]),
                    numbers.number(row["score_s"]),
                    numbers.count(megabytes(row)),
                )
                for row in scored
            ),
        ),
    )


def megabytes(row: Row) -> float | None:
    """The largest memory of the workers of a row's best step; None where nobody looked."""
    return None if row.get("peak_bytes") is None else row["peak_bytes"] / 1e6


def _mark(row: Row, run: Run, scale: Scale) -> Mark:
    value, lower, upper = interval_of(row, run.select)
    is_best = row is run.candidates[0]
    return Mark(
        label=run.label(row),
        arm="",
        text=f"{numbers.number(value)}  ({numbers.number(lower)} … {numbers.number(upper)})",
        style=arm_style(1 if row in run.candidates else 0),
        at=scale.at(value),
        low=scale.at(lower),
        high=scale.at(upper),
        sure=is_best or not row.get("ties"),
        hint="a tie" if row.get("ties") and not is_best else "pruned" if row["state"] == "pruned" else "",
    )


def _describe(label: str, curve: Sequence[tuple[int, Interval]]) -> str:
    return f"{label}: " + ", ".join(f"{numbers.number(ends[0])} after {sweep}" for sweep, ends in curve)
