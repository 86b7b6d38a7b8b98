"""`python -m analysis.power`: how many listeners and days an experiment takes, from a log of the same listeners.

The longer an experiment runs, the more listeners it has and the better each is known: both the
listeners and the variance at the end of each day are those that the log shows for an experiment
begun on its first day.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Annotated

import typer

from looplib.cli import importing, make_app, run

with importing():
    import numpy as np
    import pyarrow as pa

    from analysis.ab.metrics import Metric
    from analysis.errors import AnalysisError
    from analysis.planning import (
        Logs,
        MetricName,
        OutFile,
        answer,
        parse_effect,
        read_values,
    )
    from analysis.statistics.moments import Moments
    from analysis.statistics.power import Design, detectable_effect, needed_listeners

_FEWEST = 3  # listeners of whom a variance says anything

PROG = "python -m analysis.power"

app = make_app(
    "Plan an experiment: how many listeners and days find an effect at the 5 % level, from a log of theirs."
)


@app.command(
    epilog="Example: python -m analysis.power out/demo/log --effect 5% --metric mean_time_per_session"
)
def main(
    logs: Logs,
    effect: Annotated[
        str,
        typer.Option(help="The relative effect that must not be missed, such as 5%."),
    ],
    metric: MetricName = "mean_time_per_session",
    power: Annotated[
        float, typer.Option(help="Chance of finding the effect when it is there.")
    ] = 0.8,
    ratio: Annotated[
        float, typer.Option(help="Listeners of the arm for each one of the control.")
    ] = 1.0,
    share: Annotated[
        float,
        typer.Option(help="Share of all listeners who are in the experiment, 0 to 1."),
    ] = 1.0,
    out: OutFile = None,
) -> None:
    """Plan an experiment that tests at the 5 % level."""
    relative, design = parse_effect(effect), Design(power=power, ratio=ratio)
    planned = plan(*read_values(logs, metric, "day"), relative, design, share)
    answer(planned, describe(planned), out)


@dataclass(frozen=True)
class Day:
    """An experiment that began with the log, at the end of a day."""

    day: int  # 1 is the first
    listeners: int  # in the experiment so far, both arms
    needed: int  # listeners that it would take with what is known of each by then
    # the smallest effect that is found with the wanted power, in % of the mean
    detectable_pct: float


@dataclass(frozen=True)
class Plan:
    """What an experiment takes."""

    metric: str  # what is compared
    mean: float  # its mean in the log
    variance: float  # of one listener's share in it, at the end of the log
    effect: float  # the relative effect to be found
    design: Design  # level, power, and listeners of the arm for each one of the control
    share: float  # share of all listeners who are in the experiment
    listeners: (
        int | None
    )  # listeners needed, both arms, when it ends; None where it never does
    days: int | None  # days until then; None where it never does
    # that is later than the log goes, and so extrapolated from its latest arrivals
    beyond_log: bool
    arrivals_per_day: float  # new listeners a day in the latter half of the log
    timeline: tuple[Day, ...]  # every day of the log with a session


def plan(
    metric: Metric, rows: pa.Table, effect: float, design: Design, share: float = 1.0
) -> Plan:
    """Plan an experiment on a metric of the listeners of a log by day; further arguments are fields of `Plan`.

    Raises:
        AnalysisError: The metric does not vary or has no mean, or the share is not one.
    """
    if not 0 < share <= 1:
        raise AnalysisError(
            f"share {share}: the share of the listeners in the experiment is above 0 and at most 1"
        )
    quantity, timeline = metric.quantity, []
    moments = _moments_by_day(metric, rows)
    for day, found in moments.items():
        listeners, mean, variance = (
            int(found.count * share),
            found.mean(quantity),
            found.variance(quantity),
        )
        if listeners >= _FEWEST and variance > 0 and mean:
            needed = ceil(needed_listeners(variance, effect * mean, design))
            detectable = (
                100 * detectable_effect(variance, listeners, design) / abs(mean)
            )
            timeline.append(Day(day, listeners, needed, detectable))
    if not timeline:
        raise AnalysisError(
            f"metric {metric.name}: the log has too few listeners, or all have the same; nothing to plan from"
        )
    arrivals = share * _arrivals_per_day(rows)
    end = _find_end(timeline, arrivals)
    return Plan(
        metric=metric.name,
        mean=found.mean(quantity),
        variance=found.variance(quantity),
        effect=effect,
        design=design,
        share=share,
        listeners=end.needed if end else None,
        days=end.day if end else None,
        beyond_log=end is not None and end.day > timeline[-1].day,
        arrivals_per_day=arrivals,
        timeline=tuple(timeline),
    )


def _moments_by_day(metric: Metric, rows: pa.Table) -> dict[int, Moments]:
    """Return the moments of all listeners so far by the day of the log, counted from 1."""
    users, listener = np.unique(rows["user"].to_numpy(), return_inverse=True)
    values = np.stack([rows[name].to_numpy() for name in metric.sums])
    days = rows["part"].to_numpy()
    sums = np.zeros((len(values), len(users)))
    seen = np.zeros(len(users), dtype=bool)
    moments = {}
    for day in np.unique(days).tolist():
        is_today = days == day
        sums[:, listener[is_today]] += values[:, is_today]
        seen[listener[is_today]] = True
        columns = dict(zip(metric.sums, sums[:, seen], strict=True))
        moments[day - int(days.min()) + 1] = metric.moments(columns)
    return moments


def _find_end(timeline: Sequence[Day], arrivals: float) -> Day | None:
    """Return the day from which on there are always enough listeners, beyond the log if need be; None if there is none.

    An early variance is of few and may mislead, so a first day with enough is not trusted.
    """
    too_few = [
        index for index, day in enumerate(timeline) if day.listeners < day.needed
    ]
    first, last = (too_few[-1] + 1 if too_few else 0), timeline[-1]
    if first < len(timeline):
        return timeline[first]
    return (
        replace(last, day=last.day + ceil((last.needed - last.listeners) / arrivals))
        if arrivals
        else None
    )


def describe(planned: Plan) -> str:
    """Return the plan as lines for the terminal."""
    last = planned.timeline[-1]
    lines = [
        f"{planned.metric}: mean {planned.mean:.4g}, standard deviation {planned.variance**0.5:.4g} over listeners",
        f"this log: {last.listeners:,} listeners in {last.day} days find an effect of {last.detectable_pct:.2f} % "
        f"with power {planned.design.power:g} at level {planned.design.alpha:g}",
    ]
    takes = f"an effect of {100 * planned.effect:+.4g} % takes"
    if planned.listeners is None:
        lines.append(
            f"{takes} {last.needed:,} listeners in all arms, and no more arrive: it cannot be found"
        )
    else:
        guess = (
            f", extrapolated from {planned.arrivals_per_day:.3g} new listeners a day"
            if planned.beyond_log
            else ""
        )
        lines.append(
            f"{takes} {planned.listeners:,} listeners in all arms, {planned.days:,} days{guess}"
        )
    return "\n".join(lines)


def _arrivals_per_day(rows: pa.Table) -> float:
    """Return the new listeners a day in the latter half of the log, or of its only day."""
    first_days = (
        rows.group_by("user").aggregate([("part", "min")])["part_min"].to_numpy()
    )
    start, end = int(first_days.min()), int(rows["part"].to_numpy().max())
    middle = (start + end + 1) // 2
    return float(np.count_nonzero(first_days >= middle)) / (end - middle + 1)


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
