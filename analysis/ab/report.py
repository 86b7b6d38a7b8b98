"""An A/B report: the tree that `report.json`, the page and the terminal show, made from logs and a configuration.

Percentages are of the control's value. A number that does not exist, such as the effect on a control whose mean is 0,
is None. Everything by arm names the control first. The parts of the tree are defined beside what computes them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.data_quality import Trust, assess
from analysis.ab.effects import Listeners, MetricEffect, compare_winners, metric_effects, number
from analysis.ab.metrics import METRICS, ORIGINAL_METRICS, Metric
from analysis.ab.tables import DAY_MS, Loaded, load, read_listeners, tabulate, tabulate_original
from analysis.ab.timeline import Distribution, Position, Timeline, distributions, iso_date, positions, timelines
from analysis.ab.verdict import Evidence, Verdict, decide
from analysis.errors import AnalysisError
from analysis.logs.lines import LineCounts
from analysis.statistics import effects
from analysis.statistics.effects import Interval
from analysis.statistics.sample_ratio import SampleRatio, check_sample_ratio


@dataclass(frozen=True)
class OriginalRow:
    """A row of the original table: the effect on a mean over listeners, with Welch's 95 % interval."""

    arm: str  # the arm that is compared with the control
    metric: str  # one of the original service's five
    effect_pct: float | None  # difference of the means, in % of the control's, which counts as known exactly
    lower_pct: float | None  # lower end of its interval
    upper_pct: float | None  # upper end
    control_mean: float | None  # mean over the control's listeners
    arm_mean: float | None  # mean over the arm's listeners
    significant: bool  # whether the interval excludes 0


@dataclass(frozen=True)
class Report:
    """An A/B report."""

    experiment: str  # its name
    control: str  # the arm that the others are compared with
    arms: tuple[str, ...]  # all arms, the control first
    is_aa: bool  # whether all arms are the same, so that no effect is expected
    alpha: float  # two-sided error rate of the intervals and tests, 0.05 for 95 %
    first_day: str | None  # ISO date of the first event in the experiment; None in the original table alone
    last_day: str | None  # of the last
    at_horizon: bool  # whether the declared horizon is reached, so that intervals for one look decide
    recommenders: dict[str, str | None]  # each arm's own recommender, configured or the one that answered most
    listeners: dict[str, int]  # listeners by arm
    sessions: dict[str, int]  # closed sessions by arm
    lines: LineCounts  # of the logs
    srm: SampleRatio  # the sample ratio
    verdict: Verdict  # what to do
    original_table: tuple[OriginalRow, ...]  # the original table
    effects: tuple[MetricEffect, ...]  # every configured metric and arm; primary ones first
    timelines: tuple[Timeline, ...]  # primary metrics by day
    distributions: tuple[Distribution, ...]  # over sessions
    positions: tuple[Position, ...]  # listening time by position in the session
    trust: Trust | None  # data quality; None in the original table alone
    sources: tuple[str, ...]  # the logs or the store that was read

    def to_json(self) -> bytes:
        """Return the report as JSON, keys in the order of the attributes."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def build_report(
    paths: Sequence[str | Path], experiment: str, config: AbConfig, *, is_aa: bool = False, table_only: bool = False
) -> Report:
    """Make the report of an experiment.

    Args:
        paths: Files, folders and patterns of logs, and folders of session stores.
        experiment: Its name in the log.
        config: Metrics, roles, and when to trust.
        is_aa: Whether all arms are the same, so that no effect is expected.
        table_only: Only the original table and the sample ratio; much faster.

    Raises:
        EventLogError: A path cannot be read.
        AnalysisError: There is no such experiment, no control, nothing to compare it with, or an arm without a share.
    """
    with load(paths, experiment, memory=config.memory, table_only=table_only) as loaded:
        connection, arms = loaded.connection, _arms(loaded, experiment, config)
        if config.horizon:
            loaded.stop_at(config.horizon)
        if table_only:
            tabulate_original(loaded)
        else:
            tabulate(loaded, skip_below=config.skip_below, recommenders=config.recommenders, positions=config.positions)
        listeners = {arm: read_listeners(connection, arm) for arm in arms}
        counts = {arm: len(columns["sessions"]) for arm, columns in listeners.items()}
        lines, srm = loaded.lines, check_sample_ratio(counts, config.shares)
        evidence = Evidence(is_aa, counts, lines, srm)
        first_day = last_day = None
        if not table_only:
            first_ms, last_ms = queries.fetch_row(connection, "ab/span").values()
            first_day, last_day = iso_date(first_ms), iso_date(last_ms)
            evidence = _gather(loaded, replace(evidence, days=(last_ms - first_ms) / DAY_MS), listeners, config)
        return Report(
            experiment=experiment,
            control=config.control,
            arms=arms,
            is_aa=is_aa,
            alpha=config.alpha,
            first_day=first_day,
            last_day=last_day,
            listeners=counts,
            recommenders={arm: loaded.own_recommenders.get(arm) for arm in arms},
            at_horizon=loaded.end_ms is not None,
            sessions={arm: int(columns["sessions"].sum()) for arm, columns in listeners.items()},
            lines=lines,
            srm=srm,
            verdict=decide(evidence, config),
            original_table=original_table(listeners, config.control),
            effects=tuple(evidence.effects),
            timelines=() if table_only else timelines(connection, arms, config, loaded.period_ms),
            distributions=() if table_only else distributions(connection, arms),
            positions=() if table_only else positions(connection, arms),
            trust=evidence.trust,
            sources=loaded.names,
        )


def original_table(listeners: Mapping[str, Listeners], control: str) -> tuple[OriginalRow, ...]:
    """Make the original table, by arm and metric; its intervals are at 95 % whatever the report's alpha."""
    return tuple(
        _original_row(arm, METRICS[name], listeners[control], listeners[arm])
        for arm in listeners
        if arm != control
        for name in ORIGINAL_METRICS
    )


def _original_row(arm: str, metric: Metric, control: Listeners, treated: Listeners) -> OriginalRow:
    effect = effects.compare_moments(metric.moments(control), metric.moments(treated), metric.quantity)
    relative = effect.of_control_pct
    if not effect.standard_error > 0:  # in the original formula 0 degrees of freedom by 0: there is no interval
        relative = Interval(relative.value, math.nan, math.nan)
    return OriginalRow(
        arm=arm,
        metric=metric.name,
        effect_pct=number(relative.value),
        lower_pct=number(relative.lower),
        upper_pct=number(relative.upper),
        control_mean=number(effect.control.value),
        arm_mean=number(effect.arm.value),
        significant=relative.excludes_zero,
    )


def _gather(loaded: Loaded, evidence: Evidence, listeners: Mapping[str, Listeners], config: AbConfig) -> Evidence:
    """Return the evidence with the data quality and the effects."""
    at_horizon = loaded.end_ms is not None
    return replace(
        evidence,
        trust=assess(loaded.connection, tuple(listeners), loaded.rejected, config.trust),
        effects=metric_effects(loaded.connection, listeners, config, at_horizon=at_horizon),
        left_out=loaded.left_out,
        compare_winners=lambda winners: compare_winners(listeners, winners, config, at_horizon=at_horizon),
    )


def _arms(loaded: Loaded, experiment: str, config: AbConfig) -> tuple[str, ...]:
    """Return the arms, the control first, or raise an AnalysisError where there are not two or no control."""
    arms = sorted(loaded.arms)
    if not loaded.lines.good:
        refused = [f"{line.file}:{line.line}: {line.reason}" for line in loaded.rejected]
        why = f"the first line refused is {refused[0]}" if refused else "no line but blank ones"
        raise AnalysisError(f"{', '.join(loaded.names)}: no event in {loaded.lines.read:,} lines; {why}")
    if not arms:
        known = f"events name {', '.join(sorted(loaded.experiments))}" if loaded.experiments else "no event names any"
        raise AnalysisError(f"experiment {experiment}: nobody is in it; {known}")
    if config.control not in arms:
        raise AnalysisError(
            f"control {config.control}: nobody is in it; the arms of {experiment} are {', '.join(arms)}"
        )
    if len(arms) < 2:
        raise AnalysisError(f"experiment {experiment}: {arms[0]} is its only arm, so there is nothing to compare")
    return (config.control, *(arm for arm in arms if arm != config.control))
