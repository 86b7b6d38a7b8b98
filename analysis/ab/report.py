"""An A/B report: the tree that `report.json`, the page and the terminal show.

Percentages are of the control's value. A number that does not exist, such as the effect on a
control whose mean is 0, is NaN, and null in JSON. Everything by arm names the control first. The
parts of the tree are defined beside what computes them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.effects import Measured, MetricEffect, metric_effects, surely_better
from analysis.ab.evidence import Evidence
from analysis.ab.looks import Look
from analysis.ab.measures import (
    check_files,
    measure,
    measure_original,
    read_histograms,
    read_listeners,
)
from analysis.ab.metrics import METRICS, ORIGINAL_METRICS, Metric
from analysis.ab.parts.data_quality import Trust, assess
from analysis.ab.parts.interleaving import Preference, preferences
from analysis.ab.parts.positions import Position, positions
from analysis.ab.parts.segments import Segments, segment_effects
from analysis.ab.tables import Loaded, load
from analysis.ab.verdict import Verdict, decide
from analysis.errors import AnalysisError
from analysis.logs.lines import LineCounts
from analysis.statistics import effects
from analysis.statistics.effects import Interval
from analysis.statistics.moments import skewness
from analysis.statistics.sample_ratio import SampleRatio, check_sample_ratio
from looplib.arrays import FloatArray
from looplib.experiments import Experiment

# column → values, each of shape (listeners,)
Listeners = Mapping[str, FloatArray]


@dataclass(frozen=True)
class OriginalRow:
    """A row of the original table: an effect on a mean, with Welch's 95 % interval."""

    arm: str  # the arm that is compared with the control
    metric: str  # one of the original service's five
    # difference of the means, in % of the control's, which counts as known exactly
    effect_pct: float
    lower_pct: float  # lower end of its interval
    upper_pct: float  # upper end
    control_mean: float  # mean over the control's listeners
    arm_mean: float  # mean over the arm's listeners
    significant: bool  # whether the interval excludes 0


@dataclass(frozen=True)
class Report:
    """An A/B report."""

    experiment: str  # its name
    control: str  # the arm that the others are compared with
    arms: tuple[str, ...]  # all arms, the control first
    is_aa: bool  # whether all arms are the same, so that no effect is expected
    alpha: float  # two-sided error rate of the intervals and tests, 0.05 for 95 %
    horizon: str | None  # the declared one, by whose bounds is decided
    at_horizon: bool  # whether it is reached
    is_adjusted: bool  # whether what listeners' past predicts was taken out of the effects (CUPED)
    # each arm's own recommender, configured or the one that answered most
    recommenders: dict[str, str | None]
    listeners: Mapping[str, int]  # listeners by arm
    sessions: Mapping[str, int]  # closed sessions by arm
    lines: LineCounts  # of the logs
    srm: SampleRatio  # the sample ratio
    verdict: Verdict  # what to do
    original_table: tuple[OriginalRow, ...]  # the original table
    sources: tuple[str, ...]  # the logs or the store that was read
    # What the original table alone does not have
    first_day: str | None = None  # ISO date of the first event in the experiment
    last_day: str | None = None  # of the last
    # every configured metric and arm; primary ones first
    effects: tuple[MetricEffect, ...] = ()
    segments: tuple[Segments, ...] = ()  # primary metrics by segment
    preferences: tuple[Preference, ...] = ()  # of arms that interleave two recommenders
    positions: tuple[Position, ...] = ()  # listening time by position in the session
    trust: Trust | None = None  # data quality
    # the experiment's file: owner, hypothesis, arms; None where none was given
    plan: Mapping[str, Any] | None = None

    def to_json(self) -> bytes:
        """Return the report as JSON, keys in the order of the attributes."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def build_report(
    paths: Sequence[str | Path],
    experiment: str,
    config: AbConfig,
    plan: Experiment | None = None,
) -> Report:
    """Make the report of an experiment.

    Args:
        paths: Files, folders and patterns of logs, and session stores.
        experiment: Its name in the log; "" where that has one alone.
        config: Metrics, roles, trust.
        plan: The experiment's file.

    Raises:
        EventLogError: A path cannot be read.
        AnalysisError: A metric's file is wrong, or there is nothing to compare.
    """
    check_files(config)
    with load(
        paths,
        experiment,
        plan=plan,
        memory=config.memory,
        table_only=config.table_only,
    ) as loaded:
        experiment = _find_experiment(loaded, experiment)
        arms = _arms(loaded, experiment, config)
        if config.horizon:
            loaded.stop_at(config.horizon)
        if config.table_only:
            measure_original(loaded)
        else:
            measure(loaded, config)
        metrics = [] if config.table_only else config.reported
        listeners = {
            arm: read_listeners(loaded.connection, arm, metrics) for arm in arms
        }
        evidence = _weigh(loaded, listeners, config)
        report = replace(
            summarize(experiment, evidence, config, plan),
            sessions={arm: int(listeners[arm]["sessions"].sum()) for arm in arms},
            original_table=original_table(listeners, config.control),
            sources=loaded.names,
        )
        if config.table_only:
            return report
        first_day, last_day = map(_iso_date, evidence.span_ms)
        return replace(
            report,
            first_day=first_day,
            last_day=last_day,
            segments=segment_effects(loaded.connection, arms, config),
            preferences=preferences(loaded, arms, Look(config, loaded.progress)),
            positions=positions(loaded.connection, arms),
        )


def _weigh(
    loaded: Loaded, listeners: Mapping[str, Listeners], config: AbConfig
) -> Evidence:
    """Return what the verdict depends on; without effects for the original table alone."""
    counts = {arm: len(rows["sessions"]) for arm, rows in listeners.items()}
    look = Look(config, loaded.progress)
    srm = check_sample_ratio(counts, config.shares)
    evidence = Evidence(
        counts,
        loaded.lines,
        srm,
        at_horizon=look.at_horizon,
        recommenders={arm: loaded.own_recommenders.get(arm) for arm in counts},
    )
    if config.table_only:
        return evidence
    counted = queries.fetch_row(loaded.connection, "ab/quality")
    measured = _measured(listeners, counts, loaded, config)
    return replace(
        evidence,
        trust=assess(counted, loaded.rejected),
        effects=metric_effects(measured, look),
        beats=surely_better(measured, look),
        skewness=measured.skewness,
        span_ms=(counted["first_ms"], counted["last_ms"]),
        left_out=loaded.left_out,
        renamed=counted["renamed"],
    )


def _measured(
    listeners: Mapping[str, Listeners],
    counts: Mapping[str, int],
    loaded: Loaded,
    config: AbConfig,
) -> Measured:
    """Return what effects are estimated from."""
    moments, histograms = {}, {}
    for metric in config.reported:
        if metric.quantile is None:
            by_arm = {arm: metric.moments(rows) for arm, rows in listeners.items()}
            moments[metric.name] = by_arm
        else:
            histograms[metric.name] = read_histograms(
                loaded.connection, metric.source, counts
            )
    skewed = {
        metric.name: [skewness(metric.shares(rows)) for rows in listeners.values()]
        for metric in config.deciding
    }
    most = {name: max(map(abs, values)) for name, values in skewed.items()}
    return Measured(moments, histograms, most)


def summarize(
    name: str, evidence: Evidence, config: AbConfig, plan: Experiment | None = None
) -> Report:
    """Return the report on the evidence alone, a session for each listener.

    The plan is the experiment's file, which is kept but for testers.
    """
    recommenders = {arm.name: arm.recommender for arm in plan.arms} if plan else {}
    recommenders |= {arm: own for arm, own in evidence.recommenders.items() if own}
    evidence = replace(evidence, recommenders=recommenders)
    return Report(
        experiment=name,
        control=config.control,
        arms=tuple(evidence.listeners),
        is_aa=config.aa,
        alpha=config.alpha,
        listeners=evidence.listeners,
        recommenders={arm: recommenders.get(arm) for arm in evidence.listeners},
        horizon=str(config.horizon) if config.horizon else None,
        at_horizon=evidence.at_horizon,
        sessions=evidence.listeners,
        lines=evidence.lines,
        srm=evidence.srm,
        verdict=decide(evidence, config),
        original_table=(),
        effects=evidence.effects,
        is_adjusted=config.cuped,
        sources=(name,),
        trust=evidence.trust,
        plan=plan.model_dump(mode="json", exclude={"overrides"}) if plan else None,
    )


def _iso_date(moment_ms: int) -> str:
    """Return the date of a moment in ms since the epoch, UTC."""
    return str(np.datetime_as_string(np.datetime64(moment_ms, "ms"), unit="D"))


def original_table(
    listeners: Mapping[str, Listeners], control: str
) -> tuple[OriginalRow, ...]:
    """Make the original table, by arm and metric; at 95 % whatever the report's alpha."""
    return tuple(
        _original_row(arm, METRICS[name], listeners[control], listeners[arm])
        for arm in listeners
        if arm != control
        for name in ORIGINAL_METRICS
    )


def _original_row(
    arm: str, metric: Metric, control: Listeners, treated: Listeners
) -> OriginalRow:
    before, after = metric.moments(control), metric.moments(treated)
    effect = effects.compare_moments(before, after, metric.quantity)
    relative = effect.pct_of_control
    # in the original formula 0 degrees of freedom by 0: there is no interval
    if not effect.standard_error > 0:
        relative = Interval(relative.value, math.nan, math.nan)
    return OriginalRow(
        arm=arm,
        metric=metric.name,
        effect_pct=relative.value,
        lower_pct=relative.lower,
        upper_pct=relative.upper,
        control_mean=effect.control.value,
        arm_mean=effect.arm.value,
        significant=relative.excludes_zero,
    )


def _find_experiment(loaded: Loaded, asked: str) -> str:
    """Return the experiment's name: the one that is asked for, or else the only one."""
    found = sorted(loaded.experiments)
    if asked or len(found) == 1:
        return asked or found[0]
    if not found:
        raise AnalysisError(f"{loaded.names[0]}: no event is in an experiment")
    raise AnalysisError(
        f"experiment: which of {', '.join(found)}? Events name {len(found)}; name one"
    )


def _arms(loaded: Loaded, experiment: str, config: AbConfig) -> tuple[str, ...]:
    """Return the arms, the control first.

    Raises:
        AnalysisError: There are not two, or no control.
    """
    arms = sorted(loaded.arms)
    if not arms:
        known = "no event names any"
        if loaded.experiments:
            known = f"events name {', '.join(sorted(loaded.experiments))}"
        raise AnalysisError(f"experiment {experiment}: nobody is in it; {known}")
    if config.control not in arms:
        raise AnalysisError(
            f"control {config.control}: nobody is in it; "
            f"the arms of {experiment} are {', '.join(arms)}"
        )
    if len(arms) < 2:
        raise AnalysisError(
            f"experiment {experiment}: {arms[0]} is its only arm, so there is nothing to compare"
        )
    return (config.control, *(arm for arm in arms if arm != config.control))
