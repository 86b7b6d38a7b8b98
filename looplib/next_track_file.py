"""The file of a next-track model: what the export writes and the service reads.

The score of a track is the sum of its closeness to each of the latest tracks of a session, divided
by how many plays ago that was (1 for the newest), and of what the listener's own plays add.
"""

from collections.abc import Mapping

FILE_NAME = "next_track.npz"
LATEST = 10  # tracks of a session that count

# The kind of each array's numbers, f or i, or of its ids, and its axes.
ARRAYS: Mapping[str, str] = {
    "tracks": "track tracks",
    # how many near tracks each has; these, as positions in `tracks`, and their closeness
    "near_counts": "i tracks",
    "near_tracks": "i near",
    "near_values": "f near",
    "users": "user users",
    # how many tracks of each listener's own plays count; these, and what they add
    "own_counts": "i users",
    "own_tracks": "i own",
    "own_values": "f own",
}
