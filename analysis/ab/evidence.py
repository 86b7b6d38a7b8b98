"""What a verdict depends on, and what speaks against trusting it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from analysis.ab.effects import MetricEffect
from analysis.ab.events import DAY_MS
from analysis.logs.lines import LineCounts, Reject
from analysis.statistics.effects import Interval
from analysis.statistics.sample_ratio import SampleRatio


@dataclass(frozen=True)
class Quality:
    """Counts of what may be wrong with the events: `sql/ab/quality.sql`."""

    events: int = 0  # events of the experiment
    outside: int = 0  # events of listeners who are in no arm at that time
    # listeners who were in more than one arm; they count in each
    changing_listeners: int = 0
    dropped_events: int = 0  # events of sessions without a `last` at their end
    # events that equal the one before in time, track, listening and kind
    duplicates: int = 0
    # events whose track is not what was recommended just before, within a session
    broken_chains: int = 0
    # events whose latency is below 0; they count, and only `mean_request_latency` uses it
    negative_latencies: int = 0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a verdict depends on."""

    listeners: Mapping[str, int]  # by arm, the control first
    # each arm's own recommender, configured or the one that answered most
    recommenders: Mapping[str, str | None] = field(default_factory=dict)
    lines: LineCounts  # of the logs
    srm: SampleRatio  # the sample ratio
    # every configured metric and arm, adjusted; primary ones first
    effects: tuple[MetricEffect, ...] = ()
    # primary ones by the end of each day: `segment` is its date, or a table's time
    by_day: tuple[MetricEffect, ...] = ()
    # of arms beside the control, by arm and by the other, in % of the latter's value
    between: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    is_final: bool = False  # whether the fixed horizon is reached
    # the experiment's first event and its last; both 0 where times are unknown, as of a data frame
    span_ms: tuple[int, int] = (0, 0)
    left_out: int = 0  # events, or times of a table, after the fixed horizon
    # what looks like an arm that was renamed: (an arm, its last ms, another, its first ms)
    renamed: tuple[str, int, str, int] | None = None
    # a metric and an arm: whose row of aggregates stood still while another arm's moved
    frozen: tuple[str, str] | None = None
    # a metric and an arm: whose effect is far from that of the row before
    jumped: tuple[str, str] | None = None
    # with which always-valid intervals are narrow; None for any number
    expected_listeners: int | None = None
    # a primary metric and an arm all of whose listeners have the same value
    constant: tuple[str, str] | None = None
    quality: Quality = Quality()  # of the events
    rejected: tuple[Reject, ...] = ()  # the first lines that are not events

    @property
    def listener_count(self) -> int:
        """Listeners of all arms."""
        return sum(self.listeners.values())

    @property
    def calendar_days(self) -> int:
        """Days (UTC) from that of the first event to that of the last, with both."""
        first_ms, last_ms = self.span_ms
        return last_ms // DAY_MS - first_ms // DAY_MS + 1

    @property
    def dates(self) -> tuple[str, ...]:
        """ISO dates of the first and the last event; none where times are unknown."""
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


def summarize_quality(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up what is known of the events of each arm and slice: rows of `sql/ab/quality.sql`.

    Returns:
        The attributes of `Evidence` that follow.
    """
    counts = dict.fromkeys(vars(Quality()), 0)
    spans: dict[str, tuple[int, int]] = {}
    for row in rows:
        arm = row["arm"]
        if arm is None:
            counts["outside"] += row["events"]
            continue
        first_ms, last_ms = spans.get(arm, (row["first_ms"], row["last_ms"]))
        spans[arm] = (min(first_ms, row["first_ms"]), max(last_ms, row["last_ms"]))
        for name in counts.keys() & row.keys():
            counts[name] += row[name]
    renamed = [
        (earlier, spans[earlier][1], later, spans[later][0])
        for earlier, later in product(spans, spans)
        if spans[earlier][1] < spans[later][0]
    ]
    first_ms, last_ms = zip(*spans.values(), strict=True)
    return {
        "quality": Quality(**counts),
        "span_ms": (min(first_ms), max(last_ms)),
        "renamed": min(renamed, default=None),
    }
