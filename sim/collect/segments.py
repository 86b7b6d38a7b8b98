"""One segment of a collection: a block of sessions simulated at once, from (seed, segment) alone."""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import FloatArray, IntArray
from looplib.randomness import make_generator
from sim.clock import event_times, playing_ms, window_ms
from sim.collect.eventlog import Events, format_events
from sim.errors import CollectionError
from sim.listening.sessions import LONGEST_SESSION, ListeningModel, Sessions
from sim.recommenders import Recommender, make_recommender


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
        """How many segments there are."""
        return -(-self.episodes // self.segment_sessions)

    def sessions_in(self, segment: int) -> range:
        """The numbers of a segment's sessions in the whole collection."""
        first = segment * self.segment_sessions
        return range(first, min(first + self.segment_sessions, self.episodes))


def segment_name(segment: int) -> str:
    """The file name of a segment."""
    return f"events-{segment:05d}.jsonl"


def make_segment(model: ListeningModel, plan: SegmentPlan, segment: int) -> bytes:
    """Simulates a segment and writes it out as event log lines; the same for any number of processes.

    Raises:
        CollectionError: A session does not end, or a listener has too many.
    """
    rng = make_generator(plan.seed, "collect", segment)
    numbers = plan.sessions_in(segment)
    sessions = Sessions(model, rng.integers(model.world.listeners, size=len(numbers)), rng)
    propensity = play_segment(sessions, make_recommender(plan.recommender, model.world), rng)
    length_ms = window_ms(plan.segment_sessions, model.world.listeners)
    window = (plan.start_ms + segment * length_ms, length_ms)
    events = gather_events(sessions, propensity, numbers.start, window, rng)
    return format_events(events, plan.recommender, session_prefix=f"{plan.recommender}-{plan.seed}-")


def play_segment(sessions: Sessions, recommender: Recommender, rng: np.random.Generator) -> FloatArray:
    """Plays all sessions to their ends.

    Returns:
        Propensities (tracks played in the longest, sessions): of the recommendation after each track, NaN after the
        last one.

    Raises:
        CollectionError: A session does not end.
    """
    propensities: list[FloatArray] = []
    while len(rows := sessions.under_way()):
        if len(propensities) == LONGEST_SESSION:
            listener = int(sessions.listener[rows[0]])
            raise CollectionError(f"listener {listener} is not bored after {LONGEST_SESSION} tracks in one session")
        recommended = recommender.recommend(sessions, rows, rng)
        sessions.hear(rows, recommended.tracks, rng.random(len(rows)))
        propensities.append(np.full(len(sessions.listener), np.nan))
        propensities[-1][rows] = recommended.propensity
    return np.stack([*propensities, np.full(len(sessions.listener), np.nan)])


def gather_events(
    sessions: Sessions,
    propensity: FloatArray,
    first_number: int,
    window: tuple[int, int],
    rng: np.random.Generator,
) -> Events:
    """Sessions as events, the sessions in the order of their starts and numbered in it.

    Args:
        sessions: Sessions played to their ends.
        propensity: As `play_segment` returns it.
        first_number: Number of the segment's first session in the whole collection.
        window: Start and length of the segment's window, in ms.
        rng: Where the clock's randomness comes from.
    """
    length = sessions.length
    longest = len(propensity)
    played = (np.arange(longest)[:, None] < length).T
    track = sessions.tracks[:longest].T[played].astype(np.int64)
    hundredths = sessions.hundredths[:longest].T[played].astype(np.int64)
    timestamp = event_times(sessions.listener, length, playing_ms(hundredths), window, rng)
    first = np.cumsum(length) - length
    order = np.argsort(timestamp[first], kind="stable")
    event = _events_of(order, first, length)
    return Events(
        session=first_number + np.arange(len(order)),
        listener=sessions.listener[order],
        length=length[order],
        timestamp=timestamp[event],
        track=track[event],
        hundredths=hundredths[event],
        propensity=propensity.T[played][event],
    )


def _events_of(order: IntArray, first: IntArray, length: IntArray) -> IntArray:
    """Where the events of the sessions in another order are, given each session's first event and how many it has."""
    lengths = length[order]
    offset = first[order] - (np.cumsum(lengths) - lengths)
    events: IntArray = np.arange(lengths.sum()) + np.repeat(offset, lengths)
    return events
