"""The plays of each listener that a version has learned from."""

from dataclasses import dataclass

import numpy as np

from botify.model.arrays import read_arrays, read_lists
from botify.model.manifest import Version
from botify.model.model import Artifact
from botify.model.tracklists import TrackLists
from looplib.arrays import NO_TRACK, Int32Array, IntArray
from looplib.memory import (
    ARRAYS,
    FILE_NAME,
    MOST_PLAYS,
    tracks_of,
    turn,
    unpack_plays,
)


@dataclass(frozen=True)
class LearnedPlays:
    """The plays and skips of each listener up to a moment."""

    lists: TrackLists  # the newest last
    latest_ms: IntArray  # moment of each listener's latest, like `lists.ids`

    def find(self, user: int) -> Int32Array:
        """Look up the plays of a listener, the newest last."""
        tracks = self.lists.tracks[self.lists.span(user)]
        in_catalogue: Int32Array = tracks[tracks != NO_TRACK]
        return in_catalogue

    def extend(self, user: int, records: bytes) -> Int32Array:
        """Extend the plays of a listener by newer plays among the records, the newest last."""
        newer = unpack_plays(records)
        row = self.lists.row(user)
        if row is None:
            return newer["track"]
        newer = newer[newer["at_s"] > self.latest_ms[row] // 1000]
        plays = np.concatenate([self.find(user), newer["track"]])
        return plays[-MOST_PLAYS:]


def _load(version: Version) -> LearnedPlays:
    arrays = read_arrays(version, FILE_NAME, ARRAYS)
    is_skip = arrays["plays"] < 0
    arrays["plays"] = tracks_of(arrays["plays"])
    lists = read_lists(arrays, "users", "counts", "plays")
    lists.tracks[is_skip] = turn(lists.tracks[is_skip])
    order = np.argsort(arrays["users"], kind="stable")
    return LearnedPlays(lists, arrays["latest"][order])


PLAYS = Artifact(FILE_NAME, FILE_NAME, _load)
