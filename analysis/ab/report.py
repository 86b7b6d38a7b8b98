"""What an A/B report says: the tree that `report.json`, the page and the terminal show.

Percentages are of the control's value. A number that does not exist, such as the effect on a control whose mean is 0,
is None. Everything by arm names the control first.
"""

from dataclasses import asdict, dataclass
from typing import Literal

import msgspec

Decision = Literal["ship", "do not ship", "not yet", "do not trust", "as expected"]
Role = Literal["primary", "secondary", "guardrail"]
GuardrailState = Literal["kept", "unclear", "broken"]


@dataclass(frozen=True)
class CourseRow:
    """A line of the course's table: the effect on a metric's mean over listeners, with Welch's 95 % interval.

    Attributes:
        arm: The arm that is compared with the control.
        metric: One of the course's five.
        effect_pct: Difference of the means, in % of the control's.
        lower_pct: Lower end of its interval.
        upper_pct: Upper end.
        control_mean: Mean over the control's listeners.
        arm_mean: Mean over the arm's listeners.
        significant: Whether the interval excludes 0.
    """

    arm: str
    metric: str
    effect_pct: float | None
    lower_pct: float | None
    upper_pct: float | None
    control_mean: float | None
    arm_mean: float | None
    significant: bool


@dataclass(frozen=True)
class Lines:
    """Lines of the logs; read = good + rejected + blank."""

    read: int
    good: int
    rejected: int
    blank: int


@dataclass(frozen=True)
class RejectedLine:
    """One of the first lines that were no event."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True)
class Srm:
    """Sample ratio: whether the arms have the shares of the listeners that they should.

    Attributes:
        expected: Listeners by arm, from the configured shares.
        observed: Listeners by arm.
        chi_square: Of the test; None with fewer than two arms.
        p_value: Likewise.
        threshold: Below it the ratio counts as wrong.
        mismatch: Whether it is.
    """

    expected: dict[str, float]
    observed: dict[str, int]
    chi_square: float | None
    p_value: float | None
    threshold: float
    mismatch: bool


@dataclass(frozen=True)
class Verdict:
    """What to do, and why.

    Attributes:
        decision: The answer.
        arm: The arm it is about: the one to ship, or the one that came nearest; None where it is about all.
        reason: One sentence.
        notes: What else should be known before anybody acts on it, a sentence each.
    """

    decision: Decision
    arm: str | None
    reason: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """An effect in % of the control's value, with an interval and, where the method has one, a p-value."""

    effect_pct: float | None
    lower_pct: float | None
    upper_pct: float | None
    p_value: float | None


@dataclass(frozen=True)
class Cuped:
    """An effect adjusted by the listeners' behaviour before the experiment.

    Attributes:
        adjusted: The effect.
        covariate: What of their behaviour is used.
        variance_reduction: Share of the metric's variance that the past explains.
    """

    adjusted: Interval
    covariate: str
    variance_reduction: float


@dataclass(frozen=True)
class MetricEffect:
    """An arm's effect on a metric, by the best method for that metric, with checks beside it.

    Attributes:
        arm: The arm that is compared with the control.
        metric: The metric's name.
        label: The same for people.
        role: What the configuration has it for.
        method: "mean" over listeners (Welch), "ratio" of sums (delta method) or "quantile" of requests.
        higher_is_better: Whether more of it is better.
        control_value: The metric of the control.
        arm_value: The metric of the arm.
        effect: Absolute difference.
        lower: Lower end of its interval.
        upper: Upper end.
        relative: The same in % of the control's value, the control's own noise included.
        p_value: Two-sided, that there is no difference.
        adjusted_p_value: By Holm over arms and primary metrics, or by Benjamini and Hochberg over the rest.
        significant: Whether the adjusted p-value is below alpha.
        mde_pct: The smallest relative effect that an experiment of this size finds with the configured power.
        cuped: Where there is behaviour before the experiment.
        bootstrap: Relative effect by resampling listeners.
        mann_whitney_p: P-value of the rank test; None for ratios and quantiles.
        margin: How much worse a guardrail may get, in the metric's unit; None for the others.
        guardrail: Whether it is kept to; None for the others.
    """

    arm: str
    metric: str
    label: str
    role: Role
    method: Literal["mean", "ratio", "quantile"]
    higher_is_better: bool
    control_value: float | None
    arm_value: float | None
    effect: float | None
    lower: float | None
    upper: float | None
    relative: Interval
    p_value: float | None
    adjusted_p_value: float | None
    significant: bool
    mde_pct: float | None
    cuped: Cuped | None
    bootstrap: Interval | None
    mann_whitney_p: float | None
    margin: float | None
    guardrail: GuardrailState | None


@dataclass(frozen=True)
class Day:
    """An experiment as it looked at the end of a day.

    Attributes:
        date: ISO date, UTC.
        control_listeners: Control listeners so far.
        arm_listeners: The arm's listeners so far.
        daily: Effect of the sessions that ended on this day alone.
        cumulative: Effect of all so far, with the interval for a single look.
        sequential: The same effect with the interval that holds at all days at once.
    """

    date: str
    control_listeners: int
    arm_listeners: int
    daily: Interval
    cumulative: Interval
    sequential: Interval


@dataclass(frozen=True)
class Timeline:
    """The days of a primary metric and an arm."""

    arm: str
    metric: str
    label: str
    days: tuple[Day, ...]


@dataclass(frozen=True)
class Distribution:
    """How something is spread over sessions, by arm.

    Attributes:
        name: Of what, for people.
        edges: Lower ends of the bins; the last bin is open.
        shares: Share of the arm's sessions in each bin, by arm.
        quantiles: The 10th, 50th, 90th and 99th percentile, by arm.
    """

    name: str
    edges: tuple[float, ...]
    shares: dict[str, tuple[float, ...]]
    quantiles: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Position:
    """Listening time of the n-th track of a session; position 1 is the organic track.

    Attributes:
        arm: The arm.
        position: From 1.
        events: How many there are.
        mean_time: Mean share of the track that was heard.
    """

    arm: str
    position: int
    events: int
    mean_time: float


@dataclass(frozen=True)
class Exposure:
    """Listeners of a day, by arm.

    Attributes:
        date: ISO date, UTC.
        active: Listeners with a session that ended on that day.
        new: Of those, the ones with none before.
    """

    date: str
    active: dict[str, int]
    new: dict[str, int]


@dataclass(frozen=True)
class Suspicion:
    """A kind of behaviour that no listener can have, or that an experiment must not show.

    Attributes:
        kind: Which, for people.
        listeners: Who show it, by arm.
        examples: A few of them.
    """

    kind: str
    listeners: dict[str, int]
    examples: tuple[int, ...]


@dataclass(frozen=True)
class Quality:
    """What the events themselves say against them.

    Attributes:
        events: Events of the experiment.
        outside: Events of listeners who are in no arm at that time.
        unclosed_sessions: Sequences of events without a `last` at their end; they are dropped.
        dropped_events: Events of those.
        duplicates: Events that equal the one before in time, track, listening and kind.
        broken_chains: Events whose track is not what was recommended just before, within a session.
        clock_went_back: Of those, the ones that would fit the other way round.
        without_latency: Events that say nothing of the latency.
        without_recommender: Answered requests that do not say who recommended.
    """

    events: int
    outside: int
    unclosed_sessions: int
    dropped_events: int
    duplicates: int
    broken_chains: int
    clock_went_back: int
    without_latency: int
    without_recommender: int


@dataclass(frozen=True)
class Trust:
    """Whether the experiment can be believed.

    Attributes:
        changing_listeners: Listeners who were in more than one arm; they count in each.
        suspicions: Impossible behaviour.
        quality: Of the events.
        rejected: The first lines that were no event.
        exposure: By day.
    """

    changing_listeners: int
    suspicions: tuple[Suspicion, ...]
    quality: Quality
    rejected: tuple[RejectedLine, ...]
    exposure: tuple[Exposure, ...]


@dataclass(frozen=True)
class Report:
    """An A/B report.

    Attributes:
        experiment: Its name.
        control: The arm that the others are compared with.
        arms: All arms, the control first.
        is_aa: Whether all arms are the same, so that no effect is expected.
        alpha: Two-sided error rate of the intervals and tests, 0.05 for 95 %.
        first_day: ISO date of the first event in the experiment; None in the table alone.
        last_day: Of the last.
        listeners: Listeners by arm.
        sessions: Closed sessions by arm.
        lines: Lines of the logs.
        srm: The sample ratio.
        verdict: What to do.
        course_table: The course's table.
        effects: Every configured metric and arm; primary ones first.
        timelines: Primary metrics by day.
        distributions: Over sessions.
        positions: Listening time by position in the session.
        trust: What speaks against it.
        sources: The logs or the store that was read.
    """

    experiment: str
    control: str
    arms: tuple[str, ...]
    is_aa: bool
    alpha: float
    first_day: str | None
    last_day: str | None
    listeners: dict[str, int]
    sessions: dict[str, int]
    lines: Lines
    srm: Srm
    verdict: Verdict
    course_table: tuple[CourseRow, ...]
    effects: tuple[MetricEffect, ...]
    timelines: tuple[Timeline, ...]
    distributions: tuple[Distribution, ...]
    positions: tuple[Position, ...]
    trust: Trust | None
    sources: tuple[str, ...]

    def to_json(self) -> bytes:
        """The report as JSON, keys in the order of the attributes."""
        return msgspec.json.format(msgspec.json.encode(asdict(self)), indent=2) + b"\n"
