"""`python -m analysis.power`: how many listeners and days an experiment takes, from a log's variance and arrivals.

The longer an experiment runs, the more listeners it has and the better each is known: both the listeners and the
variance at the end of each day are those that the log shows for an experiment begun on its first day.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import orjson
import typer

from analysis.errors import AnalysisError
from analysis.planning.listener_days import ListenerDays, find_metric, parse_effect, read_listener_days
from analysis.statistics.moments import Moments
from analysis.statistics.power import Design, detectable_effect, needed_listeners
from looplib.cli import make_app, run
from looplib.files import atomic_write

PROG = "python -m analysis.power"
_FEWEST = 3  # listeners of whom a variance says anything

app = make_app("How many listeners and days an experiment needs to find an effect, from a log of the same listeners.")


@dataclass(frozen=True)
class Day:
    """An experiment that began with the log, at the end of a day.

    Attributes:
        day: 1 is the first.
        listeners: Listeners in the experiment so far, both arms.
        needed: Listeners that it would take with what is known of each by then.
        detectable_pct: The smallest effect that is found with the wanted power, in % of the mean.
    """

    day: int
    listeners: int
    needed: int
    detectable_pct: float


@dataclass(frozen=True)
class Plan:
    """What an experiment takes.

    Attributes:
        metric: What is compared.
        mean: Its mean in the log.
        variance: Of one listener's share in it, at the end of the log.
        effect: The relative effect to be found.
        design: Level, power, and listeners of the arm for each one of the control.
        share: Share of all listeners who are in the experiment.
        listeners: Listeners needed, both arms, when it ends; None where it never does.
        days: Days until then; None where it never does.
        beyond_log: Whether that is later than the log goes, and so a guess from its latest arrivals.
        arrivals_per_day: New listeners a day in the latter half of the log.
        timeline: Every day of the log on which somebody came.
    """

    metric: str
    mean: float
    variance: float
    effect: float
    design: Design
    share: float
    listeners: int | None
    days: int | None
    beyond_log: bool
    arrivals_per_day: float
    timeline: tuple[Day, ...]


@app.command(epilog="Example: python -m analysis.power out/demo/log --effect 5% --metric mean_time_per_session")
def main(
    logs: Annotated[
        list[str], typer.Argument(metavar="LOG…", help="Event logs, folders, patterns, or a session store.")
    ],
    effect: Annotated[str, typer.Option(help="The relative effect that must not be missed, such as 5%.")],
    metric: Annotated[str, typer.Option(help="What is compared.")] = "mean_time_per_session",
    power: Annotated[float, typer.Option(help="Chance of finding the effect when it is there.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Chance of finding one when there is none.")] = 0.05,
    ratio: Annotated[float, typer.Option(help="Listeners of the arm for each one of the control.")] = 1.0,
    share: Annotated[float, typer.Option(help="Share of all listeners who are in the experiment, 0 to 1.")] = 1.0,
    out: Annotated[Path | None, typer.Option(help="Write the plan to this JSON file.")] = None,
) -> None:
    """Plan an experiment."""
    relative, design = parse_effect(effect), Design(alpha, power, ratio)
    find_metric(metric)
    planned = plan(read_listener_days(logs), metric, relative, design, share)
    if out:
        with atomic_write(out) as file:
            file.write(orjson.dumps(asdict(planned), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    typer.echo("\n".join(describe(planned)))


def plan(days: ListenerDays, metric: str, effect: float, design: Design, share: float = 1.0) -> Plan:
    """Plans an experiment.

    Args:
        days: A log's listeners.
        metric: What will be compared.
        effect: The relative effect to be found.
        design: Level, power and ratio.
        share: Share of all listeners who will be in the experiment.

    Raises:
        AnalysisError: There is no such metric, it does not vary or has no mean, or the share is not one.
    """
    if not 0 < share <= 1:
        raise AnalysisError(f"share {share}: the share of the listeners in the experiment is above 0 and at most 1")
    first = int(days.day.min())
    timeline = []
    mean = variance = float("nan")
    for day, sample in days.samples_by_day(find_metric(metric)):
        moments = Moments.of(sample.columns)
        if moments.count < _FEWEST:
            continue
        mean, variance = moments.mean(sample.quantity), moments.variance(sample.quantity)
        listeners = int(moments.count * share)
        if variance > 0 and mean and listeners >= _FEWEST:
            timeline.append(_day(day - first + 1, listeners, mean, variance, effect, design))
    if not timeline:
        raise AnalysisError(
            f"metric {metric}: the log has too few listeners, or all have the same; nothing to plan from"
        )
    return _plan(days, metric, (mean, variance), effect, design, share, timeline)


def describe(planned: Plan) -> list[str]:
    """The plan in lines for people."""
    last = planned.timeline[-1]
    lines = [
        f"{planned.metric}: mean {planned.mean:.4g}, standard deviation {planned.variance**0.5:.4g} over listeners",
        f"this log: {last.listeners:,} listeners in {last.day} days find {last.detectable_pct:.2f} % "
        f"with power {planned.design.power:g} at level {planned.design.alpha:g}",
    ]
    if planned.listeners is None:
        return [
            *lines,
            f"an effect of {planned.effect:+.2%} takes {last.needed:,} listeners in all arms, "
            "and no more arrive: it cannot be found with this metric and power",
        ]
    guess = f", guessed from {planned.arrivals_per_day:.3g} new listeners a day" if planned.beyond_log else ""
    return [
        *lines,
        f"an effect of {planned.effect:+.2%} takes {planned.listeners:,} listeners in all arms, "
        f"{planned.days:,} days{guess}",
    ]


def _day(day: int, listeners: int, mean: float, variance: float, effect: float, design: Design) -> Day:
    needed = int(np.ceil(needed_listeners(variance, effect * mean, design)))
    detectable = 100 * detectable_effect(variance, listeners, design) / abs(mean)
    return Day(day, listeners, needed, detectable)


def _plan(
    days: ListenerDays,
    metric: str,
    moments: tuple[float, float],
    effect: float,
    design: Design,
    share: float,
    timeline: list[Day],
) -> Plan:
    last = timeline[-1]
    arrivals = share * _arrivals_per_day(days)
    enough = _enough(timeline)
    listeners: int | None = None
    when: int | None = None
    if enough:
        listeners, when = enough.needed, enough.day
    elif arrivals:
        listeners, when = last.needed, last.day + int(np.ceil((last.needed - last.listeners) / arrivals))
    return Plan(
        metric=metric,
        mean=moments[0],
        variance=moments[1],
        effect=effect,
        design=design,
        share=share,
        listeners=listeners,
        days=when,
        beyond_log=enough is None and when is not None,
        arrivals_per_day=arrivals,
        timeline=tuple(timeline),
    )


def _enough(timeline: list[Day]) -> Day | None:
    """The first day from which on there are always enough listeners; an early variance is of few and may mislead."""
    too_few = [place for place, one in enumerate(timeline) if one.listeners < one.needed]
    later = timeline[too_few[-1] + 1 :] if too_few else timeline
    return later[0] if later else None


def _arrivals_per_day(days: ListenerDays) -> float:
    """New listeners a day in the latter half of the log, the one day where there is no more."""
    first_day = np.full(len(days.users), np.iinfo(np.int64).max)
    np.minimum.at(first_day, days.listener, days.day)
    start, end = int(days.day.min()), int(days.day.max())
    middle = (start + end + 1) // 2
    return float(np.count_nonzero(first_day >= middle)) / (end - middle + 1)


if __name__ == "__main__":
    raise SystemExit(run(app, PROG))
