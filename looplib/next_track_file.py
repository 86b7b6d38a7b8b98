"""The file of a next-track model: what the export writes and the service reads.

The score of a track is the sum of its closeness to each of the latest tracks of a session, divided
by how many plays ago that was (1 for the newest), of what the last one and the listener's own plays
add, and of what followed the latest tracks in the listener's earlier sessions.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from looplib.arrays import AnyFloatArray, AnyIntArray, FloatArray

FILE_NAME = "next_track.npz"
LATEST = 10  # tracks of a session that count

# What adds to scores, and by what: near tracks, those of the last track alone, the listener's, and
# the listener's plays in order, for `find_followers`.
PARTS: Mapping[str, str] = {
    "near": "tracks",
    "last": "tracks",
    "own": "users",
    "plays": "users",
}
_DISTANCE = 5  # plays after an earlier one that count

# The kind of each array's numbers, f or i, or of its ids, and its axes.
ARRAYS: Mapping[str, str] = {"tracks": "track tracks", "users": "user users"} | {
    f"{part}_{array}": kind
    for part, ids in PARTS.items()
    for array, kind in {
        "counts": f"i {ids}",  # tracks of each track or listener
        "tracks": f"i {part}",  # these, as positions in `tracks`
        "values": f"f {part}",  # what they add
    }.items()
}


def find_followers(
    plays: AnyIntArray, values: AnyFloatArray, latest: Iterable[tuple[int, float]]
) -> FloatArray:
    """Find what followed the latest tracks in the earlier sessions of a listener.

    A play d plays after one of these, in the same session, counts 1 / d. What followed a track adds
    up to its weight.

    Args:
        plays: The tracks of the listener, in order.
        values: Factor of each play; 0 where a session begins, as that play follows nothing.
        latest: Tracks of the session, and the weight of each.

    Returns:
        What each play adds to the score of its track, shape (plays,).
    """
    session = np.cumsum(values == 0)
    added = np.zeros(len(plays))
    for track, weight in latest:
        at = np.flatnonzero(plays == track)
        followed = np.zeros(len(plays))
        for distance in range(1, _DISTANCE + 1):
            to = at[at < len(plays) - distance] + distance
            followed[to] += (session[to] == session[to - distance]) / distance
        if followed.any():
            added += weight / followed.sum() * followed
    return added * values
