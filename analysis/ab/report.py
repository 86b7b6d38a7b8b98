"""An A/B report: the tree that `report.json`, the page and the terminal show.

Percentages are of the control's value. A number that does not exist, such as the effect on a
control whose mean is 0, is NaN, and null in JSON. Everything by arm names the control first. The
parts of the tree are defined beside what computes them.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from analysis import queries
from analysis.ab.config import AbConfig
from analysis.ab.effects import Measured, metric_effects, surely_better
from analysis.ab.evidence import Evidence, Quality
from analysis.ab.looks import Look
from analysis.ab.measures import (
    check_files,
    measure,
    own_recommenders,
    read_histograms,
    read_listeners,
)
from analysis.ab.metrics import METRICS, ORIGINAL_METRICS
from analysis.ab.parts.interleaving import Preference, preferences
from analysis.ab.parts.segments import SegmentEffect, segment_effects
from analysis.ab.table import Table, read_table
from analysis.ab.tables import load
from analysis.ab.verdict import Verdict, decide
from analysis.errors import AnalysisError
from analysis.logs.lines import LineCounts
from analysis.statistics import effects
from analysis.statistics.effects import Interval
from analysis.statistics.moments import skewness
from analysis.statistics.sample_ratio import check_sample_ratio
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
class Position:
    """Listening time of the n-th track of a session."""

    arm: str
    position: int  # from 1, the organic track
    events: int  # how many there are
    mean_time: float  # mean share of the track that was heard


@dataclass(frozen=True, kw_only=True)
class Report(Evidence):
    """An A/B report: the evidence, the verdict on it, and what is shown beside."""

    experiment: str  # its name
    control: str  # the arm that the others are compared with
    alpha: float  # two-sided error rate of the intervals and tests, 0.05 for 95 %
    horizon: str | None  # the declared one, by whose bounds is decided
    is_adjusted: bool  # whether what listeners' past predicts was taken out of the effects (CUPED)
    verdict: Verdict  # what to do
    sources: tuple[str, ...]  # the logs, the store or the table that was read
    # the experiment's file: owner, hypothesis, arms; None where none was given
    plan: Mapping[str, Any] | None = None
    # closed sessions by arm; of a table a session for each listener
    sessions: Mapping[str, int]
    # What a table does not have
    original_table: tuple[OriginalRow, ...] = ()  # the original table
    segments: tuple[SegmentEffect, ...] = ()  # primary metrics by segment
    preferences: tuple[Preference, ...] = ()  # of arms that interleave two recommenders
    positions: tuple[Position, ...] = ()  # listening time by position in the session

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms, the control first."""
        return tuple(self.listeners)

    @property
    def dates(self) -> tuple[str, ...]:
        """ISO dates of the first and the last event; none where times are unknown."""
        days = np.array(self.span_ms, "datetime64[ms]").astype("datetime64[D]")
        return tuple(map(str, days)) if self.span_ms[1] else ()


def build_report(
    paths: Sequence[str | Path],
    experiment: str,
    config: AbConfig,
    plan: Experiment | None = None,
) -> Report:
    """Make the report of an experiment from its logs.

    Args:
        paths: Files, folders and patterns of logs, and session stores.
        experiment: Its name in the log; "" where that has one alone.
        config: Metrics, roles, trust.
        plan: The experiment's file.

    Raises:
        AnalysisError: A path cannot be read, a metric's file is wrong, or there is nothing to
            compare.
    """
    check_files(config)
    with load(paths, experiment, plan=plan, memory=config.memory) as loaded:
        named = ", ".join(loaded.experiments) or "no experiment"
        where = f"experiment {loaded.experiment} (events name {named})"
        _check_arms(loaded.arms, config.control, where)
        arms = sorted(loaded.arms, key=lambda arm: arm != config.control)
        if config.horizon:
            loaded.stop_at(config.horizon.listeners)
        measure(loaded, config)
        connection = loaded.connection
        own = own_recommenders(loaded, config)
        listeners = {
            arm: read_listeners(connection, arm, config.reported) for arm in arms
        }
        counts = {arm: len(rows["sessions"]) for arm, rows in listeners.items()}
        (counted,) = queries.fetch_table(connection, "ab/quality").to_pylist()
        look = Look(config, loaded.progress)
        facts = {
            "lines": loaded.lines,
            "recommenders": {arm: own.get(arm) for arm in arms},
            "span_ms": (counted.pop("first_ms"), counted.pop("last_ms")),
            "renamed": counted.pop("renamed"),
            "quality": Quality(**counted),
            "left_out": loaded.left_out,
            "rejected": tuple(loaded.rejected),
        }
        return _make_report(
            str(loaded.experiment),
            _measured(listeners, counts, connection, config),
            counts,
            look,
            facts,
            plan,
            sources=loaded.names,
            sessions={arm: int(listeners[arm]["sessions"].sum()) for arm in arms},
            original_table=original_table(listeners, config.control),
            segments=segment_effects(connection, arms, config),
            preferences=preferences(connection, own, arms, look),
            positions=_positions(connection, arms),
        )


def report_on_table(
    table: Table,
    config: AbConfig,
    name: str,
    plan: Experiment | None,
) -> Report:
    """Make the report on a table of listeners, of sessions, or of aggregates.

    The name is the experiment's, and the plan its file.

    Raises:
        AnalysisError: It cannot be read, or has nothing to compare.
    """
    measured, span_ms = read_table(table, config.reported)
    for by_arm in measured.values.values():
        _check_arms(by_arm, config.control, table.name)
    return report_on_moments(measured, config, name or table.name, span_ms, plan)


def report_on_moments(
    measured: Measured,
    config: AbConfig,
    name: str,
    span_ms: tuple[int, int] = (0, 0),
    plan: Experiment | None = None,
) -> Report:
    """Make the report on moments alone."""
    counts = {config.control: 0} | measured.listeners
    total = sum(counts.values())
    planned = config.horizon.listeners if config.horizon else 1
    facts = {
        "lines": LineCounts(total, total),
        "recommenders": dict.fromkeys(counts) | config.recommenders,
        "span_ms": span_ms,
    }
    look = Look(config, total / planned)
    return _make_report(
        name, measured, counts, look, facts, plan, sources=(name,), sessions=counts
    )


def _make_report(
    name: str,
    measured: Measured,
    counts: Mapping[str, int],
    look: Look,
    facts: Mapping[str, Any],
    plan: Experiment | None,
    **shown: Any,  # noqa: ANN401  other attributes of Report
) -> Report:
    """Return the report on what was measured of so many listeners by arm.

    The facts are other attributes of `Evidence`. The experiment's file stands without testers.
    """
    config = look.config
    known = {
        **facts,
        "listeners": counts,
        "srm": check_sample_ratio(counts, config.shares),
        "effects": metric_effects(measured, look),
        "beats": surely_better(measured, look),
        "at_horizon": look.at_horizon,
        "skewness": measured.skewness,
    }
    return Report(
        **known,
        experiment=name,
        control=config.control,
        alpha=config.alpha,
        horizon=str(config.horizon) if config.horizon else None,
        is_adjusted=config.cuped,
        verdict=decide(Evidence(**known), config),
        plan=plan.model_dump(mode="json", exclude={"overrides"}) if plan else None,
        **shown,
    )


def _measured(
    listeners: Mapping[str, Listeners],
    counts: Mapping[str, int],
    connection: queries.Connection,
    config: AbConfig,
) -> Measured:
    """Return what effects are estimated from."""
    values: dict[str, Mapping[str, Any]] = {}
    for metric in config.reported:
        if metric.quantile is None:
            values[metric.name] = {
                arm: metric.moments(rows) for arm, rows in listeners.items()
            }
        else:
            values[metric.name] = read_histograms(connection, metric.source, counts)
    most = {
        metric.name: max(
            abs(skewness(metric.shares(rows))) for rows in listeners.values()
        )
        for metric in config.deciding
    }
    return Measured(values, most)


def _positions(
    connection: queries.Connection, arms: Sequence[str]
) -> tuple[Position, ...]:
    """Average the listening time by arm and position in the session."""
    rows = queries.fetch_table(connection, "ab/listening_by_position").to_pylist()
    rows.sort(key=lambda row: arms.index(row["arm"]))
    return tuple(Position(**row) for row in rows)


def original_table(
    listeners: Mapping[str, Listeners], control: str
) -> tuple[OriginalRow, ...]:
    """Make the original table, by arm and metric; at 95 % whatever the report's alpha."""
    rows = []
    treated = [arm for arm in listeners if arm != control]
    for arm, name in product(treated, ORIGINAL_METRICS):
        metric = METRICS[name]
        before, after = (metric.moments(listeners[side]) for side in (control, arm))
        effect = effects.compare_moments(before, after, metric.quantity)
        relative = effect.pct_of_control
        # in the original formula 0 degrees of freedom by 0: there is no interval
        if not effect.standard_error > 0:
            relative = Interval(relative.value, math.nan, math.nan)
        row = OriginalRow(
            arm=arm,
            metric=name,
            effect_pct=relative.value,
            lower_pct=relative.lower,
            upper_pct=relative.upper,
            control_mean=effect.control.value,
            arm_mean=effect.arm.value,
            significant=relative.excludes_zero,
        )
        rows.append(row)
    return tuple(rows)


def _check_arms(arms: Collection[str], control: str, where: str) -> None:
    """Refuse arms without the control, or with that alone."""
    if control not in arms or len(arms) < 2:
        found = ", ".join(arms) or "none"
        raise AnalysisError(
            f"{where}: {control} and another arm are expected; found are {found}"
        )
