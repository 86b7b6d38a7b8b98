"""The next-track model of a version: what is near to each track, and each listener's own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from botify.model.arrays import Rows, read_arrays, read_rows
from botify.model.catalogue import UNKNOWN_TRACK
from botify.model.manifest import Version
from botify.model.model import Part
from looplib.arrays import FloatArray
from looplib.next_track_file import ARRAYS, FILE_NAME, LATEST


@dataclass(frozen=True)
class NextTrack:
    """What `looplib.next_track_file` describes, by track number."""

    tracks: int  # of the catalogue
    near: Rows  # of each track
    own: Rows  # of each listener

    def score(self, user: int, tracks: Sequence[int]) -> FloatArray:
        """Score all tracks after those of a session; 0 where nothing speaks for one."""
        scores = np.zeros(self.tracks)
        for ago, track in enumerate(reversed(tracks[-LATEST:]), start=1):
            if track != UNKNOWN_TRACK:
                near, closeness = self.near.of(track)
                scores[near] += closeness / ago
        own, added = self.own.of(user)
        scores[own] += added
        return scores


def _load(version: Version) -> NextTrack:
    """Load the model.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    arrays = read_arrays(version, FILE_NAME, ARRAYS)
    path = version.folder / FILE_NAME
    of_near = ("near_counts", "near_tracks", "near_values")
    near = read_rows(path, arrays, "tracks", of_near)
    own = read_rows(path, arrays, "users", ("own_counts", "own_tracks", "own_values"))
    return NextTrack(len(version.catalogue), near, own)


NEXT_TRACK = Part(FILE_NAME, FILE_NAME, _load)
