"""The simulated clock: when sessions start and how long tracks take, so that a listener's sessions never overlap.

A segment of sessions has a window of its own, after the windows of the segments before it, long enough for each
listener to come once a day on average. In it a listener's sessions have slots of equal length, each lies anywhere in
its slot, and ends `SESSION_GAP_MS` before the slot does.
"""

import math

import numpy as np

from looplib.arrays import IntArray
from sim.errors import CollectionError

DAY_MS = 24 * 60 * 60 * 1000
SESSION_GAP_MS = 31 * 60 * 1000  # a log without session ids is split at 30 minutes of silence
SKIP_MS = 1000  # what a track takes of which nothing is heard
TRACK_MS = 180 * 1000  # and how much more one takes that is heard whole


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
        CollectionError: A listener has more sessions than the window can hold.
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
        raise CollectionError(f"a listener has {sessions.max()} sessions in {days} days, too many to keep apart")
    ends = np.cumsum(SKIP_MS + hundredths * (TRACK_MS // 100), axis=0)
    total = ends[lengths - 1, np.arange(len(lengths))]
    even = np.arange(1, len(ends) + 1)[:, None] * (room // lengths)
    spare = room - np.minimum(total, room)
    starts = start_ms + earlier * slot + (rng.random(len(listeners)) * spare).astype(np.int64)
    return starts + np.where(total > room, even, ends)
