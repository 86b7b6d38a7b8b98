"""The file of a next-track model: what the export writes and the service reads.

The score of a track is the sum of its closeness to each of the latest tracks of a session, divided
by how many plays ago that was (1 for the newest), and of what the listener's own plays add.
"""

from collections.abc import Mapping

FILE_NAME = "next_track.npz"
LATEST = 10  # tracks of a session that count

# What adds to scores, and by what: near tracks, those of the last track alone, and the listener's.
PARTS: Mapping[str, str] = {"near": "tracks", "last": "tracks", "own": "users"}

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
