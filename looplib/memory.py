"""Keep the latest plays of each listener: the export writes them, the service adds to them.

An export's file has the plays that its model learned from. The service remembers later plays as
records, and counts only plays that are newer than the export's.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np

from looplib.arrays import NO_TRACK, AnyArray, AnyIntArray

T = TypeVar("T", int, AnyIntArray)

FILE_NAME = "latest.npz"
MOST_PLAYS = 300  # plays of a listener
# The kind of each array's numbers, f or i, or of its ids, and its axes.
ARRAYS: Mapping[str, str] = {
    "users": "user users",
    "latest": "i users",  # moment of the latest play, in ms, or its position
    "tracks": "track tracks",
    "counts": "i users",  # plays of each listener
    "plays": "i plays",  # positions in `tracks`, skips turned, the newest last
}
_RECORD = np.dtype([("track", "<i4"), ("at_s", "<u4")])


def turn(tracks: T) -> T:
    """Turn tracks into skips of them, which are negative, or skips into tracks.

    >>> turn(np.array([0, 7])), turn(turn(7)), turn(NO_TRACK)
    (array([-2, -9]), 7, -1)
    """
    return 2 * NO_TRACK - tracks


def tracks_of(plays: AnyIntArray) -> AnyIntArray:
    """Return the tracks of plays and skips."""
    return np.where(plays < 0, turn(plays), plays)


def pack_plays(tracks: Iterable[int], at_s: int) -> bytes:
    """Pack plays of a moment, in seconds since the epoch, into records.

    Tracks that the catalogue lacks are left out.

    >>> unpack_plays(pack_plays([5, -1, 3], 1000) + pack_plays([5], 1001))["track"].tolist()
    [5, 3, 5]
    """
    records = [(track, at_s) for track in tracks if track != NO_TRACK]
    return np.array(records, _RECORD).tobytes()


def add_plays(records: bytes, newer: bytes) -> bytes:
    """Append records of newer plays to a listener's records, and cut off the oldest."""
    return (records + newer)[-MOST_PLAYS * _RECORD.itemsize :]


def unpack_plays(records: bytes) -> AnyArray:
    """Unpack the fields `track` and `at_s` of records, shape (plays,)."""
    return np.frombuffer(records, _RECORD)
