"""The event log: one JSON object a line, in the fields of the service's log."""

from dataclasses import dataclass

import numpy as np

from looplib.arrays import BoolArray, FloatArray, IntArray, TextArray

_TIMES = np.array([str(hundredths / 100) for hundredths in range(101)], dtype=object)
_LAST_TAIL = '"recommender":null,"propensity":null}\n'


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
    columns = zip(
        np.where(is_last, "last", "next").tolist(),
        events.timestamp.tolist(),
        np.repeat(events.listener, events.length).tolist(),
        events.track.tolist(),
        _TIMES[events.hundredths].tolist(),
        recommendation.tolist(),
        np.repeat(events.session, events.length).tolist(),
        _tail_texts(events.propensity, is_last, recommender).tolist(),
        strict=True,
    )
    lines = [
        f'{{"message":"{message}","timestamp":{timestamp},"user":{user},"track":{track},"time":{time},"latency":0.0,'
        f'"recommendation":{following},"experiments":{{}},"session":"{session_prefix}{session}",{tail}'
        for message, timestamp, user, track, time, following, session, tail in columns
    ]
    return "".join(lines).encode("ascii")


def _tail_texts(propensity: FloatArray, is_last: BoolArray, recommender: str) -> TextArray:
    """Return the end of each line: recommender and propensity."""
    values, which = np.unique(propensity, return_inverse=True)
    numbers = ["null" if np.isnan(value) else repr(value) for value in values.tolist()]
    texts = [f'"recommender":"{recommender}","propensity":{number}}}\n' for number in numbers]
    tails = np.array(texts, dtype=object)[which]
    tails[is_last] = _LAST_TAIL
    return tails
