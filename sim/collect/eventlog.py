"""The event log: when each event is logged, and its line, one JSON object in the fields of the service's log.

On the simulated clock a segment of sessions has a window of its own, after the windows of the segments before it, long
enough for each listener to come once a day on average. In it a listener's sessions have slots of equal length, each
lies anywhere in its slot, and ends `SESSION_GAP_MS` before the slot does: a listener's sessions never overlap.
"""

import math
from dataclasses import dataclass

import numpy as np

from looplib.arrays import FloatArray, IntArray
from sim.errors import SimError

DAY_MS = 24 * 60 * 60 * 1000
SESSION_GAP_MS = 31 * 60 * 1000  # a log without session ids is split at 30 minutes of silence
SKIP_MS = 1000  # what a track takes of which nothing is heard
TRACK_MS = 180 * 1000  # and how much more one takes that is heard whole
_TIMES = np.array([str(hundredths / 100) for hundredths in range(101)], dtype=object)


@dataclass(frozen=True)
class Events:
    """Sessions as events: sessions one after the other, a session's events in playing order."""

    session: IntArray  # (sessions,) number of the session in the whole collection
    listener: IntArray  # (sessions,)
    length: IntArray  # (sessions,) events of each, one at least
    timestamp: IntArray  # (events,) ms since the epoch, UTC
    track: IntArray  # (events,)
    hundredths: IntArray  # (events,) share heard of the track, in hundredths
    propensity: FloatArray  # (events,) of the track recommended next; NaN where there is none


def format_events(events: Events, recommender: str, session_prefix: str) -> bytes:
    """Return the lines of the event log.

    The recommendation of an event is the session's next track; a session's last event is its `last` message, with
    neither recommendation nor recommender. `session_prefix` stands before a session's number in its id.
    """
    is_last = np.zeros(len(events.track), dtype=np.bool_)
    is_last[np.cumsum(events.length) - 1] = True
    recommendation = np.append(events.track[1:], 0).astype(object)
    recommendation[is_last] = "null"
    values, which = np.unique(events.propensity, return_inverse=True)
    numbers = ["null" if np.isnan(value) else repr(value) for value in values.tolist()]
    tails = np.array([f'"recommender":"{recommender}","propensity":{number}}}\n' for number in numbers], dtype=object)
    tail = np.where(is_last, '"recommender":null,"propensity":null}\n', tails[which])
    columns = zip(
        np.where(is_last, "last", "next").tolist(),
        events.timestamp.tolist(),
        np.repeat(events.listener, events.length).tolist(),
        events.track.tolist(),
        _TIMES[events.hundredths].tolist(),
        recommendation.tolist(),
        np.repeat(events.session, events.length).tolist(),
        tail.tolist(),
        strict=True,
    )
    lines = [
        f'{{"message":"{message}","timestamp":{timestamp},"user":{user},"track":{track},"time":{time},"latency":0.0,'
        f'"recommendation":{following},"experiments":{{}},"session":"{session_prefix}{session}",{end}'
        for message, timestamp, user, track, time, following, session, end in columns
    ]
    return "".join(lines).encode("ascii")


def window_ms(segment_sessions: int, listeners: int) -> int:
    """Return the length of a segment's window: a day for each session of a listener on average, one at least."""
    return math.ceil(max(1.0, segment_sessions / listeners)) * DAY_MS


def event_times(
    listeners: IntArray, lengths: IntArray, hundredths: IntArray, window: tuple[int, int], rng: np.random.Generator
) -> IntArray:
    """Return when each track ends and its event is logged (longest, sessions), in ms since the epoch.

    A session longer than its slot, which takes a listener with far more sessions than others, has its events evenly
    spaced in what the slot has room for. What stands behind a session's end means nothing.

    Args:
        listeners: (sessions,) whose session it is.
        lengths: (sessions,) tracks of each, one at least.
        hundredths: (longest, sessions) share heard of each track; anything behind a session's end.
        window: Start and length of the segment's window, in ms.
        rng: Where in its slot a session lies.

    Raises:
        SimError: A listener has more sessions than the window can hold.
    """
    start_ms, window_length_ms = window
    _, which, counts = np.unique(listeners, return_inverse=True, return_counts=True)
    sessions = counts[which]  # of the same listener
    earlier = np.empty(len(listeners), dtype=np.int64)
    earlier[np.argsort(which, kind="stable")] = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    slot = window_length_ms // sessions
    room = slot - SESSION_GAP_MS
    if np.any(room < lengths):
        days = window_length_ms // DAY_MS
        raise SimError(f"a listener has {sessions.max()} sessions in {days} days, too many to keep apart")
    ends = np.cumsum(SKIP_MS + hundredths * (TRACK_MS // 100), axis=0)
    total = ends[lengths - 1, np.arange(len(lengths))]
    even = np.arange(1, len(ends) + 1)[:, None] * (room // lengths)
    spare = room - np.minimum(total, room)
    starts = start_ms + earlier * slot + (rng.random(len(listeners)) * spare).astype(np.int64)
    return starts + np.where(total > room, even, ends)
