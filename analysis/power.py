"""`listening-loop power`: how many listeners and days an experiment takes, from a log.

What is planned is the verdict that will decide: its rule of looking, all arms, primary metrics and
guardrails of its configuration. The longer an experiment runs, the more listeners it has and the
better each is known: both are those that the log shows at the end of each day for an experiment
begun on its first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite, log1p
from pathlib import Path
from typing import Annotated, Literal

import typer

from looplib.arrays import FloatArray
from looplib.cli import Overrides, importing, make_app, run

with importing():
    import numpy as np
    import pyarrow as pa

    from analysis.ab.config import AbConfig, Horizon, plan_document
    from analysis.ab.evidence import enough_listeners
    from analysis.ab.looks import Look
    from analysis.ab.metrics import Metric
    from analysis.errors import AnalysisError
    from analysis.planning import Logs, OutFile, answer, parse_effect, read_metrics
    from analysis.statistics.moments import skewness
    from analysis.statistics.power import Decision
    from looplib.config import load_config
    from looplib.experiments import Guardrail, load_experiment

_FEWEST = 10  # listeners of whom a variance says anything
_MOST_LOOKS = 60  # one a day, of more days so many at equal distances

Rule = Literal["any-time", "horizon"]

PROG = "listening-loop power"
GONE = {
    "--power": "write --set power=0.9",
    "--ratio": "write --set 'shares={C: 90, T1: 10}'",
}

app = make_app(
    "Plan an experiment: how many listeners and days until an effect is shipped, from a log."
)


@app.command(epilog="Example: listening-loop power out/demo/log --effect 5% --arms 3")
def main(
    logs: Logs,
    effect: Annotated[
        str,
        typer.Option(help="The relative effect that must not be missed, such as 5%."),
    ],
    metric: Annotated[
        str | None, typer.Option(help="What decides, in place of the configuration's.")
    ] = None,
    arms: Annotated[
        int, typer.Option(min=2, help="Arms with the control, where shares name none.")
    ] = 2,
    rule: Annotated[
        Rule | None,
        typer.Option(help="When it may end; by default as the configuration says."),
    ] = None,
    share: Annotated[
        float,
        typer.Option(help="Share of all listeners who are in the experiment, 0 to 1."),
    ] = 1.0,
    experiment: Annotated[
        Path | None,
        typer.Option(help="The experiment's YAML file: arms, metrics, guardrails."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The report's YAML, such as configs/ab.yaml.")
    ] = None,
    overrides: Overrides = None,
    out: OutFile = None,
) -> None:
    """Plan an experiment that ends in a verdict by the configuration."""
    relative, given = parse_effect(effect), {"primary": [metric] if metric else None}
    document = plan_document(load_experiment(experiment)) if experiment else None
    settings = load_config(AbConfig, config, overrides or [], given, document)
    planned = plan(
        read_metrics(logs, settings, "day"),
        relative,
        settings,
        arms=arms,
        rule=rule,
        share=share,
    )
    answer(planned, describe(planned), out)


@dataclass(frozen=True)
class Day:
    """An experiment that began with the log, at the end of a day."""

    day: int  # 1 is the first
    listeners: int  # in the experiment so far, all arms
    power: float  # the chance that the effect was shipped by then


@dataclass(frozen=True)
class Plan:
    """What an experiment takes."""

    metric: str  # the first primary metric, which has the effect
    mean: float  # its mean in the log
    # standard deviation of one listener's share in it, at the end of the log
    deviation: float
    skewness: float  # of these shares
    effect: float  # the relative effect to be found
    power: float  # the wanted chance that it is shipped
    rule: Rule  # looked at again and again without an end, or on the way to a horizon
    arms: int  # with the control
    guardrails: tuple[str, ...]  # that must surely be kept
    # guardrails that are quantiles, whose noise is not known
    not_planned: tuple[str, ...]
    share: float  # share of all listeners who are in the experiment
    listeners: int  # listeners needed, all arms
    # With fewer the report warns, as arms are unequal and few listeners have most; else 0
    least: int
    days: int | None  # days until then; None where they never arrive
    # whether that is later than the log goes, and so extrapolated from its latest arrivals
    beyond_log: bool
    arrivals_per_day: float  # new listeners a day in the latter half of the log
    # the smallest effect with the wanted power at the end of the log, in %; None where none has it
    detectable_pct: float | None
    timeline: tuple[Day, ...]  # every day of the log with a session


def plan(
    tables: Sequence[tuple[Metric, pa.Table]],
    effect: float,
    config: AbConfig,
    *,
    arms: int = 2,
    rule: Rule | None = None,
    share: float = 1.0,
) -> Plan:
    """Plan an experiment on metrics by day: what decides, and guardrails; the rest is as in `Plan`.

    Raises:
        AnalysisError: A metric does not vary or has no mean, or the share is not one.
    """
    if not 0 < share <= 1:
        raise AnalysisError(
            f"share {share}: the share of the listeners in the experiment is above 0 and at most 1"
        )
    rule = rule or ("horizon" if config.horizon else "any-time")
    config = _under_rule(config, rule)
    weights = np.array([*config.shares.values()] or [1.0] * arms)
    metrics = [metric for metric, _ in tables]
    timeline, decisions = [], {}
    for day, count, columns in _listeners_by_day(tables):
        decision = _decision(metrics, columns, config, weights / weights.sum(), day)
        if decision:
            listeners = int(count * share)
            timeline.append(Day(day, listeners, decision.power(effect, listeners)))
            decisions[day] = decision
    if not timeline:
        raise AnalysisError(
            f"metric {metrics[0].name}: the log has too few listeners, or all have the same; "
            "nothing to plan from"
        )
    arrivals = share * _arrivals_per_day(tables[0][1])
    last, first = timeline[-1], _first_with_power(timeline, config.power)
    needed, days = _find_end(
        decisions[(first or last).day], effect, config.power, last, arrivals
    )
    shares = metrics[0].shares(columns)
    skewed = skewness(shares)
    detectable = decisions[last.day].detectable(last.listeners, config.power)
    return Plan(
        metric=metrics[0].name,
        mean=metrics[0].moments(columns).mean(metrics[0].quantity),
        deviation=float(shares.std(ddof=1)),
        skewness=skewed,
        effect=effect,
        power=config.power,
        rule=rule,
        arms=len(weights),
        guardrails=tuple(metric.name for metric in metrics[1:]),
        not_planned=tuple(
            name for name in config.limits if config.known[name].quantile is not None
        ),
        share=share,
        listeners=needed,
        least=ceil(
            enough_listeners(skewed, weights.tolist()) / min(weights) * sum(weights)
        ),
        days=first.day if first else days,
        beyond_log=first is None,
        arrivals_per_day=arrivals,
        detectable_pct=100 * detectable if isfinite(detectable) else None,
        timeline=tuple(timeline),
    )


def _find_end(
    decision: Decision, effect: float, power: float, last: Day, arrivals: float
) -> tuple[int, int | None]:
    """Return the listeners needed, and the day after the log on which they have come, if ever."""
    needed, days = ceil(decision.needed(effect, power)), None
    if last.power < power and arrivals:
        # looks are daily, so the days that it takes depend a little on themselves
        for _ in range(2):
            days = last.day + max(1, ceil((needed - last.listeners) / arrivals))
            decision = replace(decision, looks=min(days, _MOST_LOOKS))
            needed = ceil(decision.needed(effect, power))
    return needed, days


def _under_rule(config: AbConfig, rule: Rule) -> AbConfig:
    """Return the configuration with a horizon, or without one."""
    horizon = None
    if rule == "horizon":
        horizon = config.horizon or Horizon(listeners=1)
    return config.model_copy(update={"horizon": horizon})


def _decision(
    metrics: Sequence[Metric],
    columns: Mapping[str, FloatArray],
    config: AbConfig,
    weights: FloatArray,
    days: int,
) -> Decision | None:
    """Return how an experiment on such listeners decides; None where too little is known."""
    shares = np.stack([metric.shares(columns) for metric in metrics])
    means = np.array(
        [metric.moments(columns).mean(metric.quantity) for metric in metrics]
    )
    varies = shares.any(axis=1) & (means != 0)  # other guardrails are kept
    if shares.shape[1] < _FEWEST or not varies[0]:
        return None
    limits = zip(metrics[1:], means[1:].tolist(), strict=True)
    margins = np.array(
        [_margin(config.limits[metric.name], metric, mean) for metric, mean in limits]
    )
    shares, means = shares[varies], means[varies]

    def errors(progress: float, listeners: float, level: float) -> float:
        return Look(config, progress).errors(level, listeners)

    return Decision(
        deviations=shares.std(axis=1, ddof=1) / np.abs(means),
        correlations=np.atleast_2d(np.corrcoef(shares)),
        margins=margins[varies[1:]],
        comparisons=len(config.deciding) * (len(weights) - 1),
        weights=weights,
        alpha=config.alpha,
        looks=min(days, _MOST_LOOKS),
        errors=errors,
        least=config.min_listeners,
    )


def _margin(guardrail: Guardrail, metric: Metric, mean: float) -> float:
    """Return how much worse a guardrail may get, as the logarithm of a ratio above 0."""
    if guardrail.margin_pct is not None:
        relative = guardrail.margin_pct / 100
    else:
        relative = (guardrail.margin or 0.0) / (abs(mean) or 1.0)
    return (
        -log1p(-min(relative, 0.99)) if metric.better == "higher" else log1p(relative)
    )


def _listeners_by_day(
    tables: Sequence[tuple[Metric, pa.Table]],
) -> Iterator[tuple[int, int, dict[str, FloatArray]]]:
    """Yield the days of the log, counted from 1, with all listeners so far and their columns."""
    rows = tables[0][1]
    users, listener = np.unique(rows["user"].to_numpy(), return_inverse=True)
    columns = {name: table[name] for metric, table in tables for name in metric.sums}
    values = np.stack([column.to_numpy() for column in columns.values()])
    days = rows["part"].to_numpy()
    sums = np.zeros((len(values), len(users)))
    seen = np.zeros(len(users), dtype=np.bool_)
    for day in np.unique(days).tolist():
        is_today = days == day
        sums[:, listener[is_today]] += values[:, is_today]
        seen[listener[is_today]] = True
        so_far = dict(zip(columns, sums[:, seen], strict=True))
        yield day - int(days.min()) + 1, int(seen.sum()), so_far


def _first_with_power(timeline: Sequence[Day], power: float) -> Day | None:
    """Return the day from which on the power is always enough; None if there is none.

    An early variance is of few and may mislead, so a first day with enough is not trusted.
    """
    end = None
    for day in reversed(timeline):
        if day.power < power:
            break
        end = day
    return end


def describe(planned: Plan) -> str:
    """Return the plan as lines for the terminal."""
    last, rule = (
        planned.timeline[-1],
        "a horizon, looks on the way",
    )
    if planned.rule == "any-time":
        rule = "no horizon, looks at any time"
    guardrails = (
        f", guardrails {', '.join(planned.guardrails)}" if planned.guardrails else ""
    )
    if planned.not_planned:
        guardrails += f" (not planned for: {', '.join(planned.not_planned)})"
    takes = (
        f"an effect of {100 * planned.effect:+.4g} % takes "
        f"{planned.listeners:,} listeners in all arms"
    )
    if planned.days is None:
        takes += ", and no more arrive: it cannot be found"
    else:
        takes += f", {planned.days:,} days"
    if planned.least > planned.listeners:
        takes += f"; {planned.least:,} for unequal arms of such skewed values"
    if planned.beyond_log and planned.days is not None:
        takes += (
            f", extrapolated from {planned.arrivals_per_day:.3g} new listeners a day"
        )
    detects = "no effect that it could have"
    if planned.detectable_pct is not None:
        detects = f"an effect of {planned.detectable_pct:.2f} %"
    return (
        f"{planned.metric}: mean {planned.mean:.4g}, standard deviation "
        f"{planned.deviation:.4g}, skewness {planned.skewness:.3g} over listeners\n"
        f"planned: {planned.arms} arms, {rule}{guardrails}\n"
        f"this log: {last.listeners:,} listeners in {last.day} days find {detects} "
        f"with power {planned.power:g}\n{takes}"
    )


def _arrivals_per_day(rows: pa.Table) -> float:
    """Return the new listeners a day in the latter half of the log, or of its only day."""
    by_user = rows.group_by("user").aggregate([("part", "min")])
    first_days = by_user["part_min"].to_numpy()
    start, end = int(first_days.min()), int(rows["part"].to_numpy().max())
    middle = (start + end + 1) // 2
    return float(np.count_nonzero(first_days >= middle)) / (end - middle + 1)


if __name__ == "__main__":
    raise SystemExit(run(app, PROG, gone=GONE))
