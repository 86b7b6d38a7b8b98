"""The file of a next-track model: what the export writes and the service reads.

The score of a track is the sum of its closeness to each of the latest tracks of a session, divided
by how many plays ago that was (1 for the newest), of what the last one and the listener's own plays
add, and of what followed the latest tracks in the listener's earlier plays.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from looplib.arrays import AnyIntArray, FloatArray

FILE_NAME = "next_track.npz"
LATEST = 10  # tracks of a session that count
DECAY = 0.5  # of the activation of the listener's plays
LISTS = ("near", "last")  # of each track: near ones, and what it adds as the last one
_DISTANCE = 5  # plays after an earlier one that count

# The kind of each array's numbers, f or i, or of its ids, and its axes.
ARRAYS: Mapping[str, str] = {
    "tracks": "track tracks",
    "near_counts": "i tracks",  # tracks in the list of each track
    "near_tracks": "i near",  # these, as positions in `tracks`
    "near_values": "f near",
    "last_counts": "i tracks",
    "last_tracks": "i last",
    "last_values": "f last",
    "listener": "f",  # weight of the activation of the listener's plays, which adds up to 1
    "followed": "f",  # weight of what followed
}


def find_followers(
    plays: AnyIntArray, latest: Iterable[tuple[int, float]]
) -> FloatArray:
    """Find what followed the latest tracks in the earlier plays of a listener.

    A play d plays after one of these counts 1 / d. What followed a track adds up to its weight.

    Args:
        plays: The tracks of the listener, in order.
        latest: Tracks of the session, and the weight of each.

    Returns:
        What each play adds to the score of its track, shape (plays,).
    """
    added = np.zeros(len(plays))
    for track, weight in latest:
        at = np.flatnonzero(plays == track)
        followed = np.zeros(len(plays))
        for distance in range(1, _DISTANCE + 1):
            followed[at[at < len(plays) - distance] + distance] += 1 / distance
        if followed.any():
            added += weight / followed.sum() * followed
    return added
