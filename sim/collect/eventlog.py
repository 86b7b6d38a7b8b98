"""The event log: one JSON object a line, in the fields of the service's log."""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import FloatArray, IntArray

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
