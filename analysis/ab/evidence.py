"""Weigh the moments of arms: effects, and findings that forbid to trust an experiment."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from analysis.ab.config import AbConfig, expect
from analysis.ab.effects import (
    LargestListener,
    Measurements,
    MetricEffect,
    Novelty,
    Preference,
    compare,
    find_largest,
    find_novelty,
    find_preferences,
    metric_effects,
    relative_effect,
    segment_effects,
)
from analysis.ab.interim import InterimAnalysis
from analysis.ab.moments import RATIO, UNTIL, MetricMoments, by_metric
from analysis.ab.quality import Finding, find_past_differences, iso_date
from analysis.errors import AnalysisError
from analysis.logs.lines import LineCounts, Reject
from analysis.statistics.effects import Interval
from analysis.statistics.multiplicity import benjamini_hochberg
from analysis.statistics.sample_ratio import SampleRatio, check_sample_ratio

DAY_MS = 86_400_000
# least standard deviation of listeners' values over their mean; below it is rounding
_LEAST_VARIATION = 1e-7
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Quality:
    """Counts of faults in the events: `sql/ab/quality.sql`."""

    events: int = 0  # events of the experiment
    outside: int = 0  # events of listeners who are in no arm at that time
    # listeners in several arms, who count in each
    changing_listeners: int = 0
    dropped_events: int = 0  # events of sessions without a `last` at their end
    # events within a session whose track is not the recommendation just before
    broken_chains: int = 0
    # events whose latency is below 0; they count, and only `mean_request_latency` uses it
    negative_latencies: int = 0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The results of an experiment by some time: all that a verdict depends on."""

    listeners: Mapping[str, int]  # listeners by arm, the control first
    # closed sessions by arm; a table counts a session for each listener
    sessions: Mapping[str, int]
    # each arm's own recommender, configured or by the number of answers
    recommenders: Mapping[str, str] = field(default_factory=dict)
    lines: LineCounts = field(default_factory=LineCounts)  # lines of the logs
    srm: SampleRatio  # the sample ratio
    # every configured metric and arm, adjusted; primary metrics first
    effects: tuple[MetricEffect, ...] = ()
    # primary metrics by the end of each `day`
    by_day: tuple[MetricEffect, ...] = ()
    # effects in groups of `min_listeners` in every arm, adjusted by Benjamini and Hochberg over
    # groups and metrics
    segments: tuple[MetricEffect, ...] = ()
    # groups, also those without enough listeners for effects
    segment_count: int = 0
    # Relative effects on the first primary metric between the arms beside the control, by arm and
    # keyed by the arm that it is compared with
    between: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    is_final: bool = False  # whether the fixed horizon is reached
    # first and last event; both 0 if times are unknown, as in a data frame
    span_ms: tuple[int, int] = (0, 0)
    # events, or times of a table, after the fixed horizon; events on days far from the others
    left_out: int = 0
    # reasons to trust no effect, beside those that follow from the counts
    findings: tuple[Finding, ...] = ()
    # what does not forbid to trust them
    cautions: tuple[Finding, ...] = ()
    # listeners with which always-valid intervals are narrow; None for any number
    expected_listeners: int | None = None
    quality: Quality = field(default_factory=Quality)  # counts of faulty events
    rejected: tuple[Reject, ...] = ()  # the first lines that are not events
    # Whether effects change with a listener's days, or with the experiment's
    novelty: tuple[Novelty, ...] = ()
    # listeners who dominate a primary metric; unknown from aggregates
    largest: tuple[LargestListener, ...] = ()
    preferences: tuple[Preference, ...] = ()  # arms that interleave two recommenders

    @property
    def listener_count(self) -> int:
        """Listeners of all arms."""
        return sum(self.listeners.values())

    @property
    def calendar_days(self) -> int:
        """Days (UTC) from the first event to the last, both included."""
        first, last = (time_ms // DAY_MS for time_ms in self.span_ms)
        return last - first + 1

    @property
    def dates(self) -> tuple[str, ...]:
        """ISO dates of the first and the last event; none if times are unknown."""
        days = (iso_date(time_ms // DAY_MS) for time_ms in self.span_ms)
        return tuple(days) if self.span_ms[1] else ()

    def title(self, arm: str) -> str:
        """Name an arm with its recommender, such as "T3 (in_order)"."""
        recommender = self.recommenders.get(arm, arm)
        return arm if recommender == arm else f"{arm} ({recommender})"

    def primary(self, arm: str) -> list[MetricEffect]:
        """Select the effects of an arm on primary metrics."""
        return [row for row in self.effects if (row.arm, row.role) == (arm, "primary")]

    def fading(self, arm: str, metric: str | None) -> Novelty | None:
        """Find the smallest later gain of an arm on a metric, if a gain fades."""
        rows = (row for row in self.novelty if (row.arm, row.metric) == (arm, metric))
        return min(
            (row for row in rows if row.fades),
            key=lambda row: (
                row.later.scaled(self.effect(row.arm, row.metric).sign).lower
            ),
            default=None,
        )

    def effect(self, arm: str, metric: str) -> MetricEffect:
        """Find the effect of an arm on a metric.

        Raises:
            KeyError: There is none.
        """
        return {(row.arm, row.metric): row for row in self.effects}[arm, metric]


def weigh_evidence(
    rows: Sequence[MetricMoments],
    config: AbConfig,
    where: str,
    first_listeners: int,
    recommenders: Mapping[str, str],
    quantiles: Measurements = _NOTHING,
    groups: Sequence[MetricMoments] = (),
) -> Evidence:
    """Estimate the effects of arms, and check their listeners.

    Args:
        rows: Moments by metric and arm, of the whole experiment and its segments.
        config: Metrics, and the rule that decides.
        where: Name of the log or the table in messages.
        first_listeners: Listeners of the first `min_days`; 0 if days are unknown.
        recommenders: Each arm's own recommender.
        quantiles: Histograms by metric and arm.
        groups: Moments of groups of listeners, each a segment such as "country=DE".

    Raises:
        AnalysisError: A metric lacks the control, or has no other arm.
    """
    config = expect(config, first_listeners)
    arms = order_arms({row.arm for row in rows}, config.control, where)
    rows = sorted(rows, key=lambda row: arms.index(row.arm))
    measurements = by_metric(rows)
    for by_arm in measurements.values():
        order_arms(by_arm, config.control, where)
    listeners = {
        arm: max(row.listeners for row in rows if row.arm == arm) for arm in arms
    }
    analysis = InterimAnalysis.at(config, listeners.values())
    deciding, treated = config.deciding[0], arms[1:]
    by_arm = measurements[deciding.name]

    def between(arm: str, other: str) -> Interval:
        effect, _ = compare(deciding, by_arm[other], by_arm[arm], config)
        return relative_effect(analysis.widen(effect, analysis.comparisons))

    primary = [row for row in rows if row.metric in config.primary]
    until = [row for row in primary if row.segment.startswith(UNTIL)]
    segments = [*segment_effects(groups, arms, config, config.min_listeners)]
    adjusted = benjamini_hochberg([row.p_value for row in segments])
    return Evidence(
        listeners=listeners,
        sessions=listeners,
        recommenders=recommenders,
        srm=check_sample_ratio(listeners, config.shares),
        effects=metric_effects({**measurements, **quantiles}, analysis),
        by_day=tuple(
            replace(row, segment="", day=row.segment.removeprefix(UNTIL))
            for row in segment_effects(until, arms, config, least=1)
        ),
        segments=tuple(
            replace(row, adjusted_p_value=p_value, significant=p_value < config.alpha)
            for row, p_value in zip(segments, adjusted, strict=True)
        ),
        segment_count=len({row.segment for row in groups}),
        between={
            arm: {other: between(arm, other) for other in treated if other != arm}
            for arm in treated
        },
        is_final=analysis.is_final,
        expected_listeners=config.expected_listeners,
        findings=(
            *find_past_differences(
                {metric: measurements[metric] for metric in config.primary}, analysis
            ),
            *(
                Finding("no variance", arm, metric)
                for metric in config.primary
                for arm, moments in measurements[metric].items()
                if not moments.count
                or not moments.variance(RATIO)
                > (_LEAST_VARIATION * moments.mean(RATIO)) ** 2
            ),
        ),
        novelty=tuple(find_novelty(rows, analysis)),
        largest=tuple(find_largest(rows, analysis)),
        preferences=tuple(find_preferences(rows, recommenders, analysis)),
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
