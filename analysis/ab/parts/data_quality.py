"""Whether an experiment can be trusted: what may be wrong with its events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from analysis.ab.config import AbConfig
from analysis.ab.tables import RejectedLine
from analysis.logs.lines import LineCounts


@dataclass(frozen=True)
class Quality:
    """Counts of what may be wrong with the events."""

    events: int = 0  # events of the experiment
    outside: int = 0  # events of listeners who are in no arm at that time
    # sequences of events without a `last` at their end; they are dropped
    unclosed_sessions: int = 0
    dropped_events: int = 0  # events of those
    # events that equal the one before in time, track, listening and kind
    duplicates: int = 0
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

    # listeners who were in more than one arm; they count in each
    changing_listeners: int
    quality: Quality  # of the events
    rejected: tuple[RejectedLine, ...]  # the first lines that are not events


def assess(counted: Mapping[str, int], rejected: Sequence[RejectedLine]) -> Trust:
    """Return the row of `sql/ab/quality.sql` with the first rejected lines."""
    quality = Quality(**{field.name: counted[field.name] for field in fields(Quality)})
    return Trust(counted["changing_listeners"], quality, tuple(rejected))


def notes(
    trust: Trust, lines: LineCounts, left_out: int, config: AbConfig
) -> tuple[str, ...]:
    """Return what to know before acting on a report, a sentence each.

    `left_out` events are after the horizon.
    """
    quality, changing = trust.quality, trust.changing_listeners
    other_tracks = quality.broken_chains - quality.clock_went_back
    counted = {
        f"{lines.rejected:,} of {lines.read:,} lines are not events.": lines.rejected,
        f"{changing:,} listeners were in more than one arm, and count in each.": changing,
        f"The clock went back at {quality.clock_went_back:,} events.": quality.clock_went_back,
        f"{other_tracks:,} events are of another track than was recommended just before, "
        "as when a clock jumps, lines are lost or listeners choose for themselves.": other_tracks,
        f"{quality.duplicates:,} events are duplicates, and count.": quality.duplicates,
        f"{quality.negative_latencies:,} events have a latency below 0, as when a clock is "
        "set back; they count, and their latency counts in the original table "
        "alone.": quality.negative_latencies,
        f"{left_out:,} events after the horizon, {config.horizon}, are left out.": left_out,
    }
    return tuple(note for note, count in counted.items() if count)
