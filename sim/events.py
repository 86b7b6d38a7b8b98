"""Simulated sessions as events: when each track ends, and the lines of the event log.

On the simulated clock a segment of sessions has a window of its own, after the windows of the
segments before it, long enough for each listener to come once a day on average. In it a listener's
sessions have slots of equal length. Each lies anywhere in its slot, and ends `SESSION_GAP_MS`
before the slot does, so a listener's sessions never overlap.
"""

import math

import numpy as np

from looplib.arrays import BoolArray, IntArray, count_up
from sim.errors import SimError

DAY_MS = 24 * 60 * 60 * 1000
# a log without session ids is split at 30 minutes of silence
SESSION_GAP_MS = 31 * 60 * 1000
SKIP_MS = 1000  # length of a track that is skipped at once
TRACK_MS = 180 * 1000  # further length of a track that is heard whole
_TIMES = np.array([str(hundredths / 100) for hundredths in range(101)], dtype=object)


def format_events(
    *,
    session: IntArray,
    listener: IntArray,
    is_last: BoolArray,
    timestamp: IntArray,
    track: IntArray,
    hundredths: IntArray,
    propensity: float,
    recommender: str,
    session_prefix: str,
) -> bytes:
    """Format the lines of the event log, session after session, each in playing order.

    The fields have the order of `looplib.event_fields.EVENT_FIELDS`. The recommendation of an event
    is the session's next track; a session's last event is its `last` message, with neither
    recommendation nor recommender.

    Args:
        session: Its number in the whole collection, shape (events,).
        listener: Shape (events,).
        is_last: Whether it is the last event of its session, shape (events,).
        timestamp: In ms since the epoch, UTC, shape (events,).
        track: Shape (events,).
        hundredths: Share heard of the track, in hundredths, shape (events,).
        propensity: Propensity of every recommendation.
        recommender: Name of the recommender.
        session_prefix: Text before a session's number in its id.
    """
    line = (
        '{"message":%s,"timestamp":%s,"user":%s,"track":%s,"time":%s,"latency":0.0,'
        '"recommendation":%s,"experiments":{},'
        f'"session":"{session_prefix}%s",'
        '"recommender":%s,"propensity":%s}\n'
    )
    columns = (
        np.where(is_last, '"last"', '"next"'),
        timestamp,
        listener,
        track,
        _TIMES[hundredths],
        np.where(is_last, "null", np.append(track[1:], 0).astype(object)),
        session,
        np.where(is_last, "null", f'"{recommender}"'),
        np.where(is_last, "null", repr(propensity)),
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return "".join([line % row for row in rows]).encode("ascii")


def window_ms(segment_sessions: int, listeners: int) -> int:
    """Compute a segment's window: a day for each session of a listener, on average."""
    return math.ceil(max(1.0, segment_sessions / listeners)) * DAY_MS


def event_times(
    listeners: IntArray,
    lengths: IntArray,
    hundredths: IntArray,
    window: tuple[int, int],
    rng: np.random.Generator,
) -> IntArray:
    """Draw when each track ends and its event is logged, in ms since the epoch.

    A session longer than its slot, as a listener with far more sessions than others has, gets
    evenly spaced events within the slot.

    Args:
        listeners: (sessions,) listener of each session.
        lengths: (sessions,) tracks of each session, 1 or more.
        hundredths: (longest, sessions) share heard of each track; unused behind a session's end.
        window: Start and length of the segment's window, in ms.
        rng: Where in its slot a session lies.

    Returns:
        Times (longest, sessions), unused behind a session's end.

    Raises:
        SimError: A listener has more sessions than the window can hold.
    """
    start_ms, window_length_ms = window
    _, which, counts = np.unique(listeners, return_inverse=True, return_counts=True)
    session_counts = counts[which]  # sessions of the same listener
    earlier = np.empty(len(listeners), dtype=np.int64)
    by_listener = np.argsort(which, kind="stable")
    earlier[by_listener] = count_up(counts)
    slot = window_length_ms // session_counts
    room = slot - SESSION_GAP_MS
    if np.any(room < lengths):
        raise SimError(
            f"a listener has {session_counts.max()} sessions "
            f"in {window_length_ms // DAY_MS} days, too many to keep apart"
        )
    ends = np.cumsum(SKIP_MS + hundredths * (TRACK_MS // 100), axis=0)
    total = ends[lengths - 1, np.arange(len(lengths))]
    number = np.arange(1, len(ends) + 1)
    evenly = number[:, None] * (room // lengths)
    spare = room - np.minimum(total, room)
    pause = (rng.random(len(listeners)) * spare).astype(np.int64)
    starts = start_ms + earlier * slot + pause
    return starts + np.where(total > room, evenly, ends)
