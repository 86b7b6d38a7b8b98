"""The next-track model of a version: what is near to each track, and each listener's own."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader

import numpy as np

from botify.errors import ModelError
from botify.model.arrays import Arrays, check_ids, read_arrays
from botify.model.catalogue import UNKNOWN_TRACK, Catalogue
from botify.model.manifest import Version
from botify.model.model import Part
from looplib.arrays import Float32Array, FloatArray, Int32Array, IntArray, find_id
from looplib.next_track_file import ARRAYS, FILE_NAME, LATEST


@dataclass(frozen=True)
class Scored:
    """Tracks with a score in each of some rows; row i has those from starts[i] to ends[i]."""

    starts: IntArray  # shape (rows,)
    ends: IntArray  # shape (rows,)
    tracks: Int32Array  # of all rows, numbers
    values: Float32Array

    def add(self, row: int, weight: float, scores: FloatArray) -> None:
        """Add the values of a row, whose tracks are distinct, to the scores of all tracks."""
        own = slice(self.starts[row], self.ends[row])
        scores[self.tracks[own]] += weight * self.values[own]


@dataclass(frozen=True)
class NextTrack:
    """What `looplib.next_track_file` describes, by track number."""

    rows: (
        IntArray  # of each track in `near`, -1 where nothing is known; shape (tracks,)
    )
    near: Scored
    users: IntArray  # numbers of the listeners, ascending
    own_rows: IntArray  # of each of these in `own`
    own: Scored

    def score(self, user: int, tracks: Sequence[int]) -> FloatArray:
        """Score all tracks after those of a session; 0 where nothing speaks for one."""
        scores = np.zeros(len(self.rows))
        for ago, track in enumerate(reversed(tracks[-LATEST:]), start=1):
            if track != UNKNOWN_TRACK and (row := int(self.rows[track])) >= 0:
                self.near.add(row, 1 / ago, scores)
        known = find_id(self.users, user)
        if known is not None:
            self.own.add(int(self.own_rows[known]), 1.0, scores)
        return scores


def read_next_track(
    file: BufferedReader, catalogue: Catalogue, *, may_lack: bool = False
) -> NextTrack:
    """Read a next-track model for a catalogue, which may lack some of its tracks if that is said.

    Raises:
        ModelError: The file is damaged, or does not fit the catalogue.
    """
    arrays, _ = read_arrays(
        file, ARRAYS, "a next-track model", catalogue, may_lack=may_lack
    )
    known = np.flatnonzero(arrays["tracks"] != UNKNOWN_TRACK)
    rows = np.full(len(catalogue), -1)
    rows[arrays["tracks"][known]] = known
    order = np.argsort(arrays["users"], kind="stable")
    near, own = (_read_scored(file.name, name, arrays) for name in ("near", "own"))
    return NextTrack(rows, near, arrays["users"][order], order, own)


def _read_scored(path: str, name: str, arrays: Arrays) -> Scored:
    tracks, counts = arrays[f"{name}_tracks"], arrays[f"{name}_counts"]
    check_ids(path, f"{name}_tracks", tracks, len(arrays["tracks"]))
    check_ids(path, f"{name}_counts", counts, len(tracks) + 1)
    if counts.sum() != len(tracks):
        raise ModelError(
            f"{path}: {name}_counts add up to {counts.sum()}, not {len(tracks)} tracks"
        )
    numbers = arrays["tracks"].astype(np.int32)[tracks]
    is_known = numbers != UNKNOWN_TRACK
    known_before = np.concatenate([[0], is_known.cumsum()])
    ends = counts.astype(np.int64).cumsum()
    starts, ends = known_before[ends - counts], known_before[ends]
    values = arrays[f"{name}_values"][is_known]
    return Scored(starts, ends, numbers[is_known], values)


def _load(version: Version) -> NextTrack | None:
    if not version.has(FILE_NAME):
        return None
    with version.open(FILE_NAME) as file:
        return read_next_track(file, version.catalogue, may_lack=version.may_lack)


NEXT_TRACK = Part(FILE_NAME, _load)
