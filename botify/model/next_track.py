"""The next-track model of a version: what is near to each track, and each listener's own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from botify.model.arrays import WeightedLists, read_arrays, read_weighted_lists
from botify.model.manifest import Version
from botify.model.model import Artifact
from looplib.arrays import NO_TRACK, FloatArray
from looplib.next_track_file import ARRAYS, FILE_NAME, LATEST


@dataclass(frozen=True)
class NextTrackScores:
    """The model that `looplib.next_track_file` describes, by track number."""

    tracks: int  # of the catalogue
    near: WeightedLists  # of each track
    listened: WeightedLists  # of each listener

    def score(self, user: int, tracks: Sequence[int]) -> FloatArray:
        """Score all tracks after those of a session.

        Returns:
            A score for each track, 0 where nothing speaks for it, shape (tracks,).
        """
        scores = np.zeros(self.tracks)
        for ago, track in enumerate(reversed(tracks[-LATEST:]), start=1):
            if track != NO_TRACK:
                near, closeness = self.near.find(track)
                scores[near] += closeness / ago
        listened, added = self.listened.find(user)
        scores[listened] += added
        return scores


def _load(version: Version) -> NextTrackScores:
    """Load the model.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    arrays = read_arrays(version, FILE_NAME, ARRAYS)
    path = version.folder / FILE_NAME
    near_names = ("near_counts", "near_tracks", "near_values")
    listened_names = ("own_counts", "own_tracks", "own_values")
    return NextTrackScores(
        len(version.catalogue),
        near=read_weighted_lists(path, arrays, "tracks", near_names),
        listened=read_weighted_lists(path, arrays, "users", listened_names),
    )


NEXT_TRACK = Artifact(FILE_NAME, FILE_NAME, _load)
