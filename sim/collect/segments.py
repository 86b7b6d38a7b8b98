"""One segment of a collection: a block of sessions simulated at once, from (seed, segment) alone."""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import FloatArray
from looplib.randomness import make_generator
from sim.clock import event_times, playing_ms, window_ms
from sim.collect.eventlog import Events, format_events
from sim.listening.sessions import ListeningModel, Sessions
from sim.recommenders import make_recommender, play_out


@dataclass(frozen=True)
class SegmentPlan:
    """How a collection is cut into segments."""

    episodes: int
    segment_sessions: int
    seed: int
    recommender: str
    start_ms: int  # of the simulated clock, since the epoch

    @property
    def segments(self) -> int:
        """The number of segments."""
        return -(-self.episodes // self.segment_sessions)

    def sessions_in(self, segment: int) -> range:
        """Return the numbers of a segment's sessions in the whole collection."""
        first = segment * self.segment_sessions
        return range(first, min(first + self.segment_sessions, self.episodes))


def segment_name(segment: int) -> str:
    """Return the file name of a segment."""
    return f"events-{segment:05d}.jsonl"


def make_segment(model: ListeningModel, plan: SegmentPlan, segment: int) -> bytes:
    """Simulate a segment and return its event log lines; the same for any number of processes.

    Raises:
        CollectionError: A listener has too many sessions.
        WorldError: A session does not end.
    """
    rng = make_generator(plan.seed, "collect", segment)
    numbers = plan.sessions_in(segment)
    sessions = Sessions(model, rng.integers(model.world.listeners, size=len(numbers)), rng)
    propensity = play_out(sessions, make_recommender(plan.recommender, model.world), rng)
    length_ms = window_ms(plan.segment_sessions, model.world.listeners)
    window = (plan.start_ms + segment * length_ms, length_ms)
    events = _gather_events(sessions, propensity, numbers.start, window, rng)
    return format_events(events, plan.recommender, session_prefix=f"{plan.recommender}-{plan.seed}-")


def _gather_events(
    sessions: Sessions, propensity: FloatArray, first_number: int, window: tuple[int, int], rng: np.random.Generator
) -> Events:
    """Turn sessions into events, sessions in the order of their starts and numbered in it.

    Args:
        sessions: Sessions played to their ends.
        propensity: As `play_out` returns it.
        first_number: Number of the segment's first session in the whole collection.
        window: Start and length of the segment's window, in ms.
        rng: Decides where in the window sessions lie.
    """
    length = sessions.length
    longest = len(propensity)
    played = (np.arange(longest)[:, None] < length).T
    track = sessions.tracks[:longest].T[played].astype(np.int64)
    hundredths = sessions.hundredths[:longest].T[played].astype(np.int64)
    timestamp = event_times(sessions.listener, length, playing_ms(hundredths), window, rng)
    first = np.cumsum(length) - length
    order = np.argsort(timestamp[first], kind="stable")
    lengths = length[order]
    offset = first[order] - (np.cumsum(lengths) - lengths)
    event = np.arange(lengths.sum()) + np.repeat(offset, lengths)  # where the reordered sessions' events are
    return Events(
        session=first_number + np.arange(len(order)),
        listener=sessions.listener[order],
        length=lengths,
        timestamp=timestamp[event],
        track=track[event],
        hundredths=hundredths[event],
        propensity=propensity.T[played][event],
    )
