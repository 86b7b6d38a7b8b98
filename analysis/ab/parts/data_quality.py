"""Whether an experiment can be trusted: impossible behaviour, what is wrong with the events, and what ends a session.

Where sessions end by a budget, what is not heard of their recommendations is as much in all arms,
on average. Then the time of a session follows from the share s that is heard of a recommended
track, and from the budget B of the log: organic + B s / (1 - s), by which `analysis.offpolicy`
predicts it. The time of the recommendations is off by as many % as the budget is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from analysis import queries
from analysis.ab.config import AbConfig, TrustConfig
from analysis.ab.effects import Listeners, RelativeEffect
from analysis.ab.tables import RejectedLine
from analysis.logs.lines import LineCounts
from analysis.statistics import effects
from analysis.statistics.moments import Moments, Quantity

MARGIN_PCT = (
    5.0  # by which budgets may differ: the error that a predicted time may have
)
_UNHEARD = Quantity("unheard", "sessions")

_KINDS = {
    "tracks": "more tracks on a day than can be heard",
    "at_once": "events within one millisecond, before an answer came",
}
_EXAMPLES = 3


@dataclass(frozen=True)
class Suspicion:
    """A kind of behaviour that no listener can have, or that an experiment must not show."""

    kind: str  # its name for people
    listeners: dict[str, int]  # listeners who show it, by arm
    examples: tuple[int, ...]  # a few of them


@dataclass(frozen=True)
class Quality:
    """Counts of what may be wrong with the events."""

    events: int = 0  # events of the experiment
    outside: int = 0  # events of listeners who are in no arm at that time
    # sequences of events without a `last` at their end; they are dropped
    unclosed_sessions: int = 0
    dropped_events: int = 0  # events of those
    duplicates: int = (
        0  # events that equal the one before in time, track, listening and kind
    )
    # events whose track is not what was recommended just before, within a session
    broken_chains: int = 0
    clock_went_back: int = 0  # of those, the ones that would fit the other way round
    # events that say nothing of the latency, or of one beyond a million seconds
    without_latency: int = 0
    # events whose latency is below 0; they count, and only the original table uses it
    negative_latencies: int = 0
    without_recommender: int = 0  # answered requests that do not say who recommended


@dataclass(frozen=True)
class Trust:
    """Whether the experiment can be trusted."""

    changing_listeners: (
        int  # listeners who were in more than one arm; they count in each
    )
    suspicions: tuple[Suspicion, ...]  # impossible behaviour
    quality: Quality  # of the events
    rejected: tuple[RejectedLine, ...]  # the first lines that are not events


def assess(
    connection: queries.Connection,
    counted: Mapping[str, int],
    arms: Sequence[str],
    rejected: Sequence[RejectedLine],
    config: TrustConfig,
) -> Trust:
    """Look for impossible behaviour in the tables of `analysis.ab.measures`; `counted` is of `sql/ab/quality.sql`."""
    quality = Quality(**{field.name: counted[field.name] for field in fields(Quality)})
    limits = {
        "most_tracks": config.most_tracks_a_day,
        "at_once_share": config.at_once_share,
    }
    rows = queries.fetch_table(connection, "ab/suspicions", **limits).to_pylist()
    suspicions = []
    for kind, label in _KINDS.items():
        by_arm = {row["arm"]: row for row in rows if row["kind"] == kind}
        if by_arm:
            listeners = {
                arm: by_arm[arm]["listeners"] if arm in by_arm else 0 for arm in arms
            }
            examples = sorted(
                user for row in by_arm.values() for user in row["examples"]
            )[:_EXAMPLES]
            suspicions.append(Suspicion(label, listeners, tuple(examples)))
    return Trust(
        counted["changing_listeners"], tuple(suspicions), quality, tuple(rejected)
    )


def notes(
    trust: Trust, lines: LineCounts, left_out: int, config: AbConfig
) -> tuple[str, ...]:
    """Return what should be known before anybody acts on a report, a sentence each; `left_out` events are too late."""
    quality, changing = trust.quality, trust.changing_listeners
    other_tracks = quality.broken_chains - quality.clock_went_back
    counted = {
        f"{lines.rejected:,} of {lines.read:,} lines are not events.": lines.rejected,
        f"{changing:,} listeners were in more than one arm, and count in each.": changing,
        f"The clock went back at {quality.clock_went_back:,} events.": quality.clock_went_back,
        f"{other_tracks:,} events are of another track than was recommended just before, as when a clock jumps, "
        "lines are lost or listeners choose for themselves.": other_tracks,
        f"{quality.duplicates:,} events are duplicates, and count.": quality.duplicates,
        f"{quality.negative_latencies:,} events have a latency below 0, as when a clock is set back; they count, and "
        "their latency counts in the original table alone.": quality.negative_latencies,
        f"{left_out:,} events after the horizon, {config.horizon}, are left out.": left_out,
    }
    return (
        *(
            f"{sum(found.listeners.values()):,} listeners show {found.kind}."
            for found in trust.suspicions
        ),
        *(note for note, count in counted.items() if count),
    )


@dataclass(frozen=True)
class Budget:
    """What is not heard of the recommendations of a session, Σ (1 - share), in an arm and in the control."""

    arm: str
    control_value: float  # tracks a session
    arm_value: float
    change: RelativeEffect  # with the interval of one look
    # Whether the interval is within the margin, so that the budgets are equal (Schuirmann's two
    # one-sided tests, 1987); False where it excludes 0, None where it says neither
    holds: bool | None


def compare_budgets(
    listeners: Mapping[str, Listeners], control: str
) -> tuple[Budget, ...]:
    """Compare each arm's budget with the control's; no row for an arm without recommended tracks."""
    moments = {
        arm: Moments.of(
            {
                "unheard": of["recommended_tracks"] - of["recommended_time"],
                "sessions": of["sessions"],
            }
        )
        for arm, of in listeners.items()
    }
    budgets = []
    for arm in (arm for arm in listeners if arm != control):
        effect = effects.compare_moments(moments[control], moments[arm], _UNHEARD)
        if effect.control.value > 0 and effect.arm.value > 0:
            change = effect.relative.scaled(100)
            within = change.lower > -MARGIN_PCT and change.upper < MARGIN_PCT
            holds = True if within else False if change.excludes_zero else None
            relative = RelativeEffect.of(change, effect.p_value)
            budgets.append(
                Budget(arm, effect.control.value, effect.arm.value, relative, holds)
            )
    return tuple(budgets)
