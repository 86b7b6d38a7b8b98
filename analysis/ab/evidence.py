"""What a verdict depends on, what speaks against trusting it, and what is shown beside it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from analysis.ab.effects import MetricEffect, Novelty
from analysis.ab.events import DAY_MS
from analysis.ab.interleaving import Preference
from analysis.logs.lines import LineCounts, Reject
from analysis.statistics.effects import Interval
from analysis.statistics.sample_ratio import SampleRatio

SURELY_SOME = 20  # are expected: that none comes has a chance of e^-20


@dataclass(frozen=True)
class Quality:
    """Counts of what may be wrong with the events: `sql/ab/quality.sql`."""

    events: int = 0  # events of the experiment
    outside: int = 0  # events of listeners who are in no arm at that time
    # listeners who were in more than one arm; they count in each
    changing_listeners: int = 0
    dropped_events: int = 0  # events of sessions without a `last` at their end
    # events whose track is not what was recommended just before, within a session
    broken_chains: int = 0
    # events whose latency is below 0; they count, and only `mean_request_latency` uses it
    negative_latencies: int = 0


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What an experiment has shown, which a verdict depends on."""

    listeners: Mapping[str, int]  # by arm, the control first
    # closed sessions by arm; of a table a session for each listener
    sessions: Mapping[str, int]
    # each arm's own recommender, configured or the one that answered most
    recommenders: Mapping[str, str | None] = field(default_factory=dict)
    lines: LineCounts  # of the logs
    srm: SampleRatio  # the sample ratio
    # every configured metric and arm, adjusted; primary ones first
    effects: tuple[MetricEffect, ...] = ()
    # primary ones by the end of each `day`
    by_day: tuple[MetricEffect, ...] = ()
    # of arms beside the control, by arm and by the other, in % of the latter's value
    between: Mapping[str, Mapping[str, Interval]] = field(default_factory=dict)
    is_final: bool = False  # whether the fixed horizon is reached
    # the experiment's first event and its last; both 0 where times are unknown, as of a data frame
    span_ms: tuple[int, int] = (0, 0)
    # events, or times of a table, after the fixed horizon; events on days far from the others
    left_out: int = 0
    # an arm that began late or was paused, with the first and the last day without listeners
    absent: tuple[str, str, str] | None = None
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
    # What a table does not have
    novelty: tuple[Novelty, ...] = ()  # whether effects change with a listener's days
    preferences: tuple[Preference, ...] = ()  # of arms that interleave two recommenders

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


def summarize_quality(rows: pa.Table, start_ms: int) -> dict[str, Any]:
    """Sum up what is known of the events of each arm, day and slice: `sql/ab/quality.sql`.

    Args:
        rows: Its.
        start_ms: The experiment's start; earlier days of arms are left out.

    Returns:
        The attributes of `Evidence` that follow.
    """
    is_outside = pc.field("arm").is_null()
    outside = pc.sum(rows.filter(is_outside)["events"]).as_py()
    rows = rows.filter(~is_outside & (pc.field("day") >= start_ms // DAY_MS))
    counts = {
        name: pc.sum(rows[name]).as_py()
        for name in vars(Quality())
        if name in rows.column_names
    }
    ends = pc.min(rows["first_ms"]), pc.max(rows["last_ms"])
    return {
        "quality": Quality(**counts, outside=outside or 0),
        "span_ms": tuple(end.as_py() for end in ends),
        "absent": _find_absent(rows),
    }


def _find_absent(rows: pa.Table) -> tuple[str, str, str] | None:
    """Find an arm without listeners on days on which some are expected, with the first and last."""
    arms, arm_numbers = np.unique(rows["arm"].to_pylist(), return_inverse=True)
    days, day_numbers = np.unique(rows["day"].to_numpy(), return_inverse=True)
    active = np.zeros((len(arms), len(days)))
    np.add.at(active, (arm_numbers, day_numbers), rows["listeners"].to_numpy())
    expected = np.outer(active.sum(axis=1), active.sum(axis=0)) / active.sum()
    is_absent = (active == 0) & (expected >= SURELY_SOME)
    for arm, dates in zip(arms, is_absent, strict=True):
        if dates.any():
            absent = days[dates].astype("datetime64[D]").astype(str)
            return str(arm), str(absent[0]), str(absent[-1])
    return None
