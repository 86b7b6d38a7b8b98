"""`listening-loop power`: how many listeners and days an experiment takes, from a log.

The longer an experiment runs, the more listeners it has and the better each is known: both the
listeners and the variance at the end of each day are those that the log shows for an experiment
begun on its first day.
"""

from collections.abc import Iterator, Sequence
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

PROG = "listening-loop power"

app = make_app(
    "Plan an experiment: how many listeners and days find an effect at the 5 % level, "
    "from a log of theirs."
)


@app.command(
    epilog="Example: listening-loop power out/demo/log --effect 5% "
    "--metric mean_time_per_session"
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
    # listeners needed, both arms, when it ends; None where it never does
    listeners: int | None
    days: int | None  # days until then; None where it never does
    # that is later than the log goes, and so extrapolated from its latest arrivals
    beyond_log: bool
    arrivals_per_day: float  # new listeners a day in the latter half of the log
    timeline: tuple[Day, ...]  # every day of the log with a session


def plan(
    metric: Metric, rows: pa.Table, effect: float, design: Design, share: float = 1.0
) -> Plan:
    """Plan an experiment on a metric by day; further arguments are fields of `Plan`.

    Raises:
        AnalysisError: The metric does not vary or has no mean, or the share is not one.
    """
    if not 0 < share <= 1:
        raise AnalysisError(
            f"share {share}: the share of the listeners in the experiment is above 0 and at most 1"
        )
    timeline = []
    for day, moments in _moments_by_day(metric, rows):
        listeners = int(moments.count * share)
        mean = moments.mean(metric.quantity)
        variance = moments.variance(metric.quantity)
        if listeners >= _FEWEST and variance > 0 and mean:
            needed = ceil(needed_listeners(variance, effect * mean, design))
            detectable = detectable_effect(variance, listeners, design)
            detectable_pct = 100 * detectable / abs(mean)
            timeline.append(Day(day, listeners, needed, detectable_pct))
    if not timeline:
        raise AnalysisError(
            f"metric {metric.name}: the log has too few listeners, or all have the same; "
            "nothing to plan from"
        )
    arrivals = share * _arrivals_per_day(rows)
    end = _find_end(timeline, arrivals)
    return Plan(
        metric=metric.name,
        mean=mean,
        variance=variance,
        effect=effect,
        design=design,
        share=share,
        listeners=end.needed if end else None,
        days=end.day if end else None,
        beyond_log=end is not None and end.day > timeline[-1].day,
        arrivals_per_day=arrivals,
        timeline=tuple(timeline),
    )


def _moments_by_day(metric: Metric, rows: pa.Table) -> Iterator[tuple[int, Moments]]:
    """Yield the days of the log, counted from 1, and the moments of all listeners so far."""
    users, listener = np.unique(rows["user"].to_numpy(), return_inverse=True)
    values = np.stack([rows[name].to_numpy() for name in metric.sums])
    days = rows["part"].to_numpy()
    sums = np.zeros((len(values), len(users)))
    seen = np.zeros(len(users), dtype=np.bool_)
    for day in np.unique(days).tolist():
        is_today = days == day
        sums[:, listener[is_today]] += values[:, is_today]
        seen[listener[is_today]] = True
        columns = dict(zip(metric.sums, sums[:, seen], strict=True))
        yield day - int(days.min()) + 1, metric.moments(columns)


def _find_end(timeline: Sequence[Day], arrivals: float) -> Day | None:
    """Return the day from which on there are always enough listeners; None if there is none.

    It is beyond the log if need be. An early variance is of few and may mislead, so a first day
    with enough is not trusted.
    """
    end = None
    for day in reversed(timeline):
        if day.listeners < day.needed:
            break
        end = day
    last = timeline[-1]
    if end is None and arrivals:
        more_days = ceil((last.needed - last.listeners) / arrivals)
        end = replace(last, day=last.day + more_days)
    return end


def describe(planned: Plan) -> str:
    """Return the plan as lines for the terminal."""
    last, design = planned.timeline[-1], planned.design
    takes = f"an effect of {100 * planned.effect:+.4g} % takes"
    if planned.listeners is None:
        takes += f" {last.needed:,} listeners in all arms, and no more arrive: it cannot be found"
    else:
        takes += f" {planned.listeners:,} listeners in all arms, {planned.days:,} days"
    if planned.beyond_log:
        takes += (
            f", extrapolated from {planned.arrivals_per_day:.3g} new listeners a day"
        )
    deviation = planned.variance**0.5
    return (
        f"{planned.metric}: mean {planned.mean:.4g}, "
        f"standard deviation {deviation:.4g} over listeners\n"
        f"this log: {last.listeners:,} listeners in {last.day} days find an effect of "
        f"{last.detectable_pct:.2f} % "
        f"with power {design.power:g} at level {design.alpha:g}\n{takes}"
    )


def _arrivals_per_day(rows: pa.Table) -> float:
    """Return the new listeners a day in the latter half of the log, or of its only day."""
    by_user = rows.group_by("user").aggregate([("part", "min")])
    first_days = by_user["part_min"].to_numpy()
    start, end = int(first_days.min()), int(rows["part"].to_numpy().max())
    middle = (start + end + 1) // 2
    return float(np.count_nonzero(first_days >= middle)) / (end - middle + 1)


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
