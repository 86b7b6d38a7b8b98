"""What a verdict depends on, and what speaks against trusting it."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from analysis.ab import words
from analysis.ab.config import AbConfig
from analysis.ab.effects import MetricEffect
from analysis.ab.tables import DAY_MS
from analysis.logs.lines import LineCounts, Reject
from analysis.page import numbers
from analysis.statistics.sample_ratio import SampleRatio

# Listeners by squared skewness from which on Student's interval holds: Kohavi, Deng, Longbotham &
# Xu, Seven Rules of Thumb for Web Site Experimenters, KDD 2014, rule 7. The skewness of equal arms
# cancels out.
_ENOUGH_BY_SKEWNESS = 355
_UNEQUAL = 1.25  # times as many listeners in the largest arm as in the smallest


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
    # events whose latency is below 0; they count, and only the original table uses it
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
    # pairs of arms of which the first is surely better than the second
    beats: Collection[tuple[str, str]] = ()
    at_horizon: bool = False  # whether the declared horizon is reached
    # the experiment's first event and its last; both 0 where times are unknown, as of a data frame
    span_ms: tuple[int, int] = (0, 0)
    left_out: int = 0  # events after the horizon
    renamed: str | None = None  # what looks like an arm that was renamed, as a sentence
    # of the listeners' values, by primary metric; none where unknown
    skewness: Mapping[str, float] = field(default_factory=dict)
    quality: Quality = Quality()  # of the events
    rejected: tuple[Reject, ...] = ()  # the first lines that are not events

    @property
    def in_all(self) -> int:
        """Listeners of all arms."""
        return sum(self.listeners.values())

    @property
    def days(self) -> float:
        """Days from the experiment's first event to its last; 0 where times are unknown."""
        first_ms, last_ms = self.span_ms
        return (last_ms - first_ms) / DAY_MS

    def name(self, arm: str) -> str:
        """Return an arm with its recommender, such as "T3 (in_order)"."""
        recommender = self.recommenders.get(arm)
        return arm if recommender in {None, "", arm} else f"{arm} ({recommender})"


def distrust(evidence: Evidence, config: AbConfig) -> str | None:
    """Return what forbids any trust before an effect is looked at; None if nothing does."""
    srm = evidence.srm
    lines = evidence.lines
    limits = config.trust
    if srm.mismatch:
        seen = ", ".join(
            f"{evidence.name(arm)} {count:,}" for arm, count in srm.observed.items()
        )
        due = ", ".join(f"{arm} {srm.expected[arm]:,.0f}" for arm in srm.observed)
        return (
            "The arms do not have their shares of the listeners "
            f"(p = {srm.p_value:.2g}): {seen}; expected {due}."
        )
    if lines.rejected > limits.most_rejected * lines.read:
        return f"{lines.rejected:,} of {lines.read:,} lines of the logs are not events."
    if evidence.renamed:
        return evidence.renamed
    changing = evidence.quality.changing_listeners
    if changing > limits.most_changing * evidence.in_all:
        return f"{changing:,} listeners were in more than one arm."
    return None


def notes(evidence: Evidence, config: AbConfig) -> tuple[str, ...]:
    """Return what to know before acting on a report, a sentence each."""
    quality = evidence.quality
    lines = evidence.lines
    left_out = evidence.left_out
    changing = quality.changing_listeners
    broken = quality.broken_chains
    counted = {
        f"Lines that are not events: {lines.rejected:,} of {lines.read:,}.": lines.rejected,
        f"Listeners in more than one arm, who count in each: {changing:,}.": changing,
        "Events of another track than was recommended just before, as when a clock jumps, "
        f"lines are lost or listeners choose for themselves: {broken:,}.": broken,
        f"Duplicate events, which count: {quality.duplicates:,}.": quality.duplicates,
        "Events with a latency below 0, as when a clock is set back; they count, and their "
        "latency counts in the original table alone: "
        f"{quality.negative_latencies:,}.": quality.negative_latencies,
        f"Events after the horizon, {config.horizon}, which are left out: {left_out:,}.": left_out,
    }
    found = (note for note, count in counted.items() if count)
    return (*found, *_not_compared(evidence, config), *_doubts(evidence, config))


def _not_compared(evidence: Evidence, config: AbConfig) -> Iterable[str]:
    """Yield the guardrails that some arm has no value of."""
    compared = {(effect.arm, effect.metric) for effect in evidence.effects}
    _, *arms = evidence.listeners
    for name in config.limits:
        metric = config.known[name]
        lacking = [evidence.name(arm) for arm in arms if (arm, name) not in compared]
        if lacking:
            whose = f" for {words.listed(lacking)}" if len(lacking) < len(arms) else ""
            why = "there is no value of it"
            if metric.source == "request_latencies":
                why = "no request was answered by itself"
            label = numbers.capitalized(metric.label)
            yield f"'{label}' is not compared{whose}: {why}."


def enough_listeners(skewness: float, sizes: Collection[float]) -> float:
    """Return the listeners of the smallest arm with which intervals hold; 0 of equal arms."""
    is_unequal = max(sizes) > _UNEQUAL * min(sizes)
    return _ENOUGH_BY_SKEWNESS * skewness**2 if is_unequal else 0.0


def _doubts(evidence: Evidence, config: AbConfig) -> Iterable[str]:
    """Yield the primary metrics whose intervals hold less often than they say."""
    counts = evidence.listeners.values()
    for name, skewness in evidence.skewness.items():
        label = config.known[name].label
        enough = enough_listeners(skewness, counts)
        if min(counts) < enough:
            yield (
                f"The arms are unequal, and few listeners have much of '{label}' (skewness "
                f"{skewness:.3g}): with fewer than {enough:,.0f} listeners in the smallest arm, "
                f"here {min(counts):,}, an arm is called worse or better too often."
            )
