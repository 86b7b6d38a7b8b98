"""Weigh the moments of arms: effects, and findings that forbid to trust an experiment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from analysis.ab.config import AbConfig, expect
from analysis.ab.effects import (
    Measurements,
    MetricEffect,
    Novelty,
    compare,
    daily_effects,
    find_novelty,
    metric_effects,
    relative_effect,
)
from analysis.ab.events import DAY_MS
from analysis.ab.interim import InterimAnalysis
from analysis.ab.interleaving import Preference, preferences
from analysis.ab.moments import MetricMoments, by_metric, find_constant
from analysis.ab.quality import Quality
from analysis.errors import AnalysisError
from analysis.logs.lines import LineCounts, Reject
from analysis.statistics.effects import Effect, Interval
from analysis.statistics.moments import Moments
from analysis.statistics.sample_ratio import SampleRatio, check_sample_ratio

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The results of an experiment by some time: all that a verdict depends on."""

    listeners: Mapping[str, int]  # listeners by arm, the control first
    # closed sessions by arm; a table counts a session for each listener
    sessions: Mapping[str, int]
    # each arm's own recommender, configured or by the number of answers
    recommenders: Mapping[str, str | None] = field(default_factory=dict)
    lines: LineCounts  # lines of the logs
    srm: SampleRatio  # the sample ratio
    # every configured metric and arm, adjusted; primary metrics first
    effects: tuple[MetricEffect, ...] = ()
    # primary metrics by the end of each `day`
    by_day: tuple[MetricEffect, ...] = ()
    # Relative effects on the first primary metric between the arms beside the control, by arm and
    # by the arm that it is compared with
    between: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    # effects against the control by arm, had a single analysis been planned
    single: Mapping[str, Interval] = field(default_factory=dict)
    is_final: bool = False  # whether the fixed horizon is reached
    # first and last event; both 0 if times are unknown, as in a data frame
    span_ms: tuple[int, int] = (0, 0)
    # events, or times of a table, after the fixed horizon; events on days far from the others
    left_out: int = 0
    # an arm that began late or was paused, with the first and the last day without listeners
    absent: tuple[str, str, str] | None = None
    # a metric and an arm whose row of aggregates stood still while another arm's moved
    frozen: tuple[str, str] | None = None
    # a metric and an arm whose effect is far from its value in the row before
    jumped: tuple[str, str] | None = None
    # listeners with which always-valid intervals are narrow; None for any number
    expected_listeners: int | None = None
    # a primary metric and an arm all of whose listeners have the same value
    constant: tuple[str, str] | None = None
    quality: Quality = field(default_factory=Quality)  # counts of faulty events
    rejected: tuple[Reject, ...] = ()  # the first lines that are not events
    # A table has neither of these.
    novelty: tuple[Novelty, ...] = ()  # whether effects change with a listener's days
    preferences: tuple[Preference, ...] = ()  # arms that interleave two recommenders

    @property
    def listener_count(self) -> int:
        """Listeners of all arms."""
        return sum(self.listeners.values())

    @property
    def calendar_days(self) -> int:
        """Days (UTC) from the first event to the last, both included."""
        first_ms, last_ms = self.span_ms
        return last_ms // DAY_MS - first_ms // DAY_MS + 1

    @property
    def dates(self) -> tuple[str, ...]:
        """ISO dates of the first and the last event; none if times are unknown."""
        days = np.array(self.span_ms, "datetime64[ms]").astype("datetime64[D]")
        return tuple(map(str, days)) if self.span_ms[1] else ()

    def title(self, arm: str) -> str:
        """Name an arm with its recommender, such as "T3 (in_order)"."""
        recommender = self.recommenders.get(arm)
        return arm if recommender in {None, "", arm} else f"{arm} ({recommender})"

    def primary(self, arm: str) -> list[MetricEffect]:
        """Select the effects of an arm on primary metrics."""
        return [row for row in self.effects if (row.arm, row.role) == (arm, "primary")]

    def effect(self, arm: str, metric: str) -> MetricEffect:
        """Find the effect of an arm on a metric.

        Raises:
            KeyError: There is none.
        """
        return {(row.arm, row.metric): row for row in self.effects}[arm, metric]


def weigh(
    rows: Sequence[MetricMoments],
    config: AbConfig,
    where: str,
    *,
    first_listeners: int = 0,
    recommenders: Mapping[str, str] = _NOTHING,
    quantiles: Measurements = _NOTHING,
    credited: Mapping[str, Moments] = _NOTHING,
) -> Evidence:
    """Estimate the effects of arms, and check their listeners.

    Args:
        rows: Moments by metric and arm, of the whole experiment and by day.
        config: Metrics, and the rule that decides.
        where: Name of the log or the table in messages.
        first_listeners: Listeners of the first `min_days`; 0 if days are unknown.
        recommenders: Each arm's own recommender.
        quantiles: Histograms by metric and arm.
        credited: Moments of interleaved recommenders by arm.

    Raises:
        AnalysisError: A metric lacks the control, or has no other arm.
    """
    config = expect(config, first_listeners)
    arms = order_arms({row.arm for row in rows}, config.control, where)
    measurements = by_metric(rows, arms)
    for by_arm in measurements.values():
        order_arms(by_arm, config.control, where)
    listeners = dict.fromkeys(arms, 0)
    for row in rows:
        listeners[row.arm] = max(listeners[row.arm], row.listeners)
    analysis = InterimAnalysis.at(config, listeners.values())
    deciding, (control, *treated) = config.deciding[0], arms

    def compared(arm: str, other: str) -> Effect:
        by_arm = measurements[deciding.name]
        return compare(deciding, by_arm[other], by_arm[arm], config)[0]

    return Evidence(
        listeners=listeners,
        sessions=listeners,
        recommenders={arm: recommenders.get(arm) for arm in arms},
        lines=LineCounts(*[sum(listeners.values())] * 2),
        srm=check_sample_ratio(listeners, config.shares),
        effects=metric_effects({**measurements, **quantiles}, analysis),
        by_day=daily_effects(rows, arms, config),
        between={
            arm: {
                other: relative_effect(analysis.widen(compared(arm, other)))
                for other in treated
                if other != arm
            }
            for arm in treated
        },
        single={arm: relative_effect(compared(arm, control)) for arm in treated},
        is_final=analysis.is_final,
        expected_listeners=config.expected_listeners,
        constant=find_constant(measurements, config.primary),
        novelty=find_novelty(rows, arms, analysis),
        preferences=preferences(credited, recommenders, analysis),
    )


def order_arms(arms: Iterable[str], control: str, where: str) -> list[str]:
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
