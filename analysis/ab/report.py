"""An A/B report: the tree that `report.json`, the page and the terminal show.

`build_report` reads as the line of values that it is: events, a table of listeners, moments of
arms, effects, a verdict. Percentages are of the control's value. A number that does not exist, such
as the effect on a control whose mean is 0, is NaN, and null in JSON. Everything by arm names the
control first.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from analysis.ab.config import AbConfig, expect
from analysis.ab.effects import (
    Measurements,
    Novelty,
    compare_arms,
    daily_effects,
    find_novelty,
    metric_effects,
)
from analysis.ab.events import (
    DAY_MS,
    NO_END,
    Events,
    assign_arms,
    find_end,
    find_experiment,
    read_arrivals,
    read_events,
)
from analysis.ab.evidence import Evidence, summarize_quality
from analysis.ab.interim import InterimAnalysis
from analysis.ab.interleaving import preferences
from analysis.ab.listeners import (
    check_metrics,
    measure,
    open_first_days,
    open_values,
    read_histograms,
)
from analysis.ab.moments import (
    RATIO,
    MetricMoments,
    by_metric,
    find_constant,
    read_moments,
)
from analysis.ab.table import Table, read_table
from analysis.ab.verdict import ArmVerdict, Verdict, Weigh, decide
from analysis.errors import AnalysisError
from analysis.logs.lines import LineCounts
from analysis.statistics.moments import Moments
from analysis.statistics.sample_ratio import check_sample_ratio
from looplib.experiments import Experiment

# of the configuration, that a report shows
_SETTINGS = {
    "control",
    "alpha",
    "min_listeners",
    "min_days",
    "smallest_effect_pct",
    "is_simulated",
}
_OVERSHOOT = 1.1  # times the planned listeners that a last day may bring


@dataclass(frozen=True, kw_only=True)
class Report(Evidence):
    """An A/B report: the evidence, the verdict on it, and what is shown beside."""

    experiment: str  # its name
    control: str  # the arm that the others are compared with
    alpha: float  # two-sided error rate of the intervals and tests, 0.05 for 95 %
    # that every arm needs, and days that it runs, before anything is decided
    min_listeners: int
    min_days: int
    smallest_effect_pct: float  # worth shipping
    is_simulated: bool = False  # the listeners are no people
    fixed_horizon: int | None  # planned listeners, by whose bounds is decided
    verdict: Verdict  # what to do
    # of the metrics: `label` for people, and why one is `absent`
    metrics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    sources: tuple[str, ...]  # the logs, the store or the table that was read
    # the experiment's file: owner, hypothesis, arms; None where none was given
    plan: Mapping[str, Any] | None = None

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms, the control first."""
        return tuple(self.listeners)

    @property
    def subject(self) -> ArmVerdict | None:
        """The arm that is shipped or waited for."""
        arms = (arm for arm in self.verdict.arms if arm.outcome == "subject")
        return next(arms, None)

    @property
    def fading(self) -> Novelty | None:
        """A gain of the subject that falls with a listener's days."""
        subject = self.subject.arm if self.subject else None
        for row in self.novelty:
            if row.arm == subject and row.p_value < self.alpha:
                gain = self.effect(row.arm, row.metric).gain
                if gain(row.first) > max(0.0, gain(row.later)):
                    return row
        return None


def build_report(
    paths: Sequence[str | Path],
    experiment: str,
    config: AbConfig,
    plan: Experiment | None = None,
) -> Report:
    """Report on an experiment from its logs.

    Args:
        paths: Files, folders and patterns of logs, and session stores.
        experiment: Its name in the log; "" where that has one alone.
        config: Metrics, roles, trust.
        plan: The experiment's file.

    Raises:
        AnalysisError: A path cannot be read, a metric's file is wrong, or there is nothing to
            compare.
    """
    check_metrics(config)
    with read_events(paths, memory=config.memory) as events:
        name, names = find_experiment(events, experiment)
        logged = assign_arms(events, name, plan)
        where = f"experiment {name} (events name {', '.join(names) or 'no experiment'})"
        _order_arms(logged, config.control, where)
        days, listeners, total = read_arrivals(events)
        last = find_end(days, listeners, config.horizon or math.inf, config.min_days)
        first_days = days < days[0] + config.min_days
        config = expect(config, int(listeners[first_days].sum()))
        start_ms = min(row["first_ms"] for row in logged.values())
        answering = {arm: row["own"] for arm, row in logged.items() if row["own"]}
        weigh = partial(
            _weigh_events,
            events,
            name=name,
            recommenders=answering | config.recommenders,
            start_ms=max(start_ms, int(days[0]) * DAY_MS),
            total=total,
        )
        ended = days[days <= last].tolist()
        evidence = weigh(config, (last + 1) * DAY_MS, days=ended)
        return conclude(evidence, config, name, plan, events.sources, weigh)


def _weigh_events(
    events: Events,
    config: AbConfig,
    end_ms: int,
    *,
    name: str,
    recommenders: Mapping[str, str],
    start_ms: int,
    total: int,
    days: Sequence[int] = (),
) -> Evidence:
    """Weigh the events in arms from a start to an end, of so many in total."""
    metrics = measure(events, config, recommenders, start_ms, end_ms, days)
    moments = [
        row
        for metric in metrics
        for row in read_moments(open_values(events, metric), metric)
    ]
    measurements, sizes = _arrange(moments, config, name)
    analysis = InterimAnalysis.at(config, sizes.values())
    first_days = [
        row
        for metric in config.deciding
        if metric.has_past
        for row in read_moments(open_first_days(events, metric), metric)
    ]
    histograms = read_histograms(events, config.reported, sizes)
    quality = events.connection.table("quality").to_arrow_table()
    facts = summarize_quality(quality, start_ms)
    by_arm = {arm: recommenders.get(arm) for arm in sizes}
    credited = events.connection.table("credited").order("user").to_arrow_table()
    return _weigh(
        {**measurements, **histograms},
        moments,
        analysis,
        listeners=sizes,
        sessions={
            arm: round(row.count * row.mean(RATIO))
            for arm, row in measurements["sessions"].items()
        },
        recommenders=by_arm,
        lines=events.lines,
        left_out=total - facts["quality"].events,
        rejected=events.rejected,
        novelty=find_novelty(first_days, [*sizes], analysis),
        preferences=preferences(credited, by_arm, analysis),
        **facts,
    )


def report_on_table(
    table: Table,
    config: AbConfig,
    name: str,
    plan: Experiment | None,
) -> Report:
    """Report on a table of listeners, of sessions, or of aggregates.

    Args:
        table: It.
        config: Of metrics that are its columns.
        name: The experiment's.
        plan: The experiment's file.

    Raises:
        AnalysisError: It cannot be read, or has nothing to compare.
    """
    if "control" not in config.model_fields_set:
        config = config.model_copy(update={"control": table.find_control()})
    weigh = partial(_weigh_table, table)
    source = name or table.name
    return conclude(weigh(config, NO_END), config, source, plan, (source,), weigh)


def _weigh_table(table: Table, config: AbConfig, end_ms: int) -> Evidence:
    """Weigh what a table has until an end, where it has times."""
    moments, facts = read_table(table, config, end_ms)
    config = expect(config, facts.pop("first_listeners", 0))
    for metric in config.reported:  # each has the control and another arm
        compared = {row.arm for row in moments if row.metric == metric.name}
        _order_arms(compared, config.control, table.name)
    measurements, sizes = _arrange(moments, config, table.name)
    total = sum(sizes.values())
    planned = config.horizon or math.inf
    can_be_cut = facts.get("left_out") or any(facts.get("span_ms", ()))
    if total > _OVERSHOOT * planned and not can_be_cut:
        problem = f"{total:,} listeners, and {planned:,} are planned"
        advice = "leave out those who came after the day on which these were reached"
        raise AnalysisError(f"{table.name}: {problem}; {advice}")
    return _weigh(
        measurements,
        moments,
        InterimAnalysis.at(config, sizes.values()),
        listeners=sizes,
        sessions=sizes,
        recommenders=dict.fromkeys(sizes) | config.recommenders,
        lines=LineCounts(total, total),
        **facts,
    )


def _arrange(
    rows: Sequence[MetricMoments], config: AbConfig, where: str
) -> tuple[dict[str, dict[str, Moments]], dict[str, int]]:
    """Arrange the moments of the whole experiment.

    Returns:
        Those by metric and arm, and the listeners of each arm: those of the metric that has most.
    """
    arms = _order_arms({row.arm for row in rows}, config.control, where)
    measurements = by_metric(rows, arms)
    return measurements, {
        arm: max(by_arm[arm].count for by_arm in measurements.values()) for arm in arms
    }


def _weigh(
    measurements: Measurements,
    moments: Sequence[MetricMoments],
    analysis: InterimAnalysis,
    *,
    listeners: Mapping[str, int],
    **facts: Any,  # noqa: ANN401  of `Evidence`
) -> Evidence:
    """Estimate the effects, and check what speaks against them."""
    config = analysis.config
    return Evidence(
        listeners=listeners,
        srm=check_sample_ratio(listeners, config.shares),
        effects=metric_effects(measurements, analysis),
        by_day=daily_effects(moments, [*listeners], config),
        between=compare_arms(measurements, analysis),
        is_final=analysis.is_final,
        expected_listeners=config.expected_listeners,
        constant=find_constant(measurements, config.primary),
        **facts,
    )


def conclude(
    evidence: Evidence,
    config: AbConfig,
    name: str,
    plan: Experiment | None,
    sources: tuple[str, ...],
    weigh: Weigh | None = None,
) -> Report:
    """Decide by the evidence; the experiment's file stands in the report without testers."""
    return Report(
        **vars(evidence),
        **config.model_dump(include=_SETTINGS),
        experiment=name,
        fixed_horizon=config.horizon,
        verdict=decide(evidence, config, weigh),
        metrics={
            metric.name: {"label": metric.display_name, "absent": metric.absent}
            for metric in config.reported
        },
        sources=sources,
        plan=plan.model_dump(mode="json", exclude={"overrides"}) if plan else None,
    )


def _order_arms(arms: Iterable[str], control: str, where: str) -> list[str]:
    """Put the control first.

    Raises:
        AnalysisError: There is none, or no other arm.
    """
    ordered = sorted(arms, key=lambda arm: (arm != control, arm))
    if len(ordered) < 2 or ordered[0] != control:
        names = ", ".join(ordered) or "none"
        advice = ""
        if len(ordered) > 1:
            named = f"control={ordered[0]!r}"
            advice = f'; or name the control: --set "{named}", in Python {named}'
        raise AnalysisError(
            f"{where}: {control} and another arm are expected; found are {names}{advice}"
        )
    return ordered
