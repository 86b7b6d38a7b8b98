"""Recommendations as arrays: checked, and flattened to one entry per recommended track."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from analysis.errors import AnalysisError
from looplib.arrays import AnyIntArray, BoolArray, IntArray

NO_TRACK = -1  # fills up a short list


@dataclass(frozen=True)
class Recommended:
    """Recommended tracks of the listeners who are validated, one entry a track; all of shape (entries,).

    Attributes:
        listeners: Index of the listener among the validated.
        ranks: 1 is the best.
        tracks: The track's id.
    """

    listeners: IntArray
    ranks: IntArray
    tracks: IntArray

    def table(self) -> pa.Table:
        """Return the columns listener, rank and track."""
        return pa.table({"listener": self.listeners, "rank": self.ranks, "track": self.tracks})

    def by_track(self) -> "Recommended":
        """Return the entries sorted by track."""
        order = np.argsort(self.tracks)
        return Recommended(self.listeners[order], self.ranks[order], self.tracks[order])

    def up_to(self, k: int) -> "Recommended":
        """Return the first k entries of every listener, in the same order."""
        kept = self.ranks <= k
        return Recommended(self.listeners[kept], self.ranks[kept], self.tracks[kept])


def flatten(
    users: AnyIntArray, tracks: AnyIntArray, *, known: IntArray, depth: int, catalogue_size: int
) -> Recommended:
    """Flatten lists of recommendations and leave out the users who are not validated.

    Args:
        users: The user of each list, shape (lists,).
        tracks: The lists, best first, filled up with -1 at the end; shape (lists, at least `depth`).
        known: The validated users, ascending.
        depth: How many of the best recommendations are used.
        catalogue_size: Tracks of the catalogue; ids are 0 to one less.

    Raises:
        AnalysisError: Shapes or types do not fit, a user or a track of a list is repeated, a track is not of the
            catalogue, or -1 stands before a track.
    """
    _check_arrays(users, tracks, depth)
    users, tracks = users.astype(np.int64, copy=False), tracks.astype(np.int64, copy=False)
    _check_lists(users, tracks, catalogue_size)
    index = np.searchsorted(known, users)
    validated = known[np.minimum(index, len(known) - 1)] == users
    lists = tracks[validated, :depth]
    filled = lists != NO_TRACK
    rows, columns = np.nonzero(filled)
    return Recommended(index[validated][rows], columns + 1, lists[filled])


def _check_arrays(users: AnyIntArray, tracks: AnyIntArray, depth: int) -> None:
    for name, array, dimensions in (("users", users, 1), ("tracks", tracks, 2)):
        if not np.issubdtype(array.dtype, np.integer) or array.ndim != dimensions:
            raise AnalysisError(
                f"{name} of the recommendations must be integers in {dimensions} dimension(s), "
                f"found {array.dtype} of shape {array.shape}"
            )
    if len(users) != len(tracks):
        raise AnalysisError(f"recommendations of {len(users)} users, but {len(tracks)} lists of tracks")
    if tracks.shape[1] < depth:
        raise AnalysisError(f"lists of {tracks.shape[1]} recommendations; metrics at {depth} need at least {depth}")


def _check_lists(users: AnyIntArray, tracks: AnyIntArray, catalogue_size: int) -> None:
    values, counts = np.unique(users, return_counts=True)
    if len(values) < len(users):
        raise AnalysisError(f"user {values[counts > 1][0]} has more than one list of recommendations")
    if not tracks.size:
        return
    foreign = (tracks < NO_TRACK) | (tracks >= catalogue_size)
    _refuse(users, foreign, f"a track outside the catalogue's 0 … {catalogue_size - 1} (or -1 for none)")
    filled = tracks != NO_TRACK
    _refuse(users, filled[:, 1:] & ~filled[:, :-1], "-1 before a track; it may only fill up the end")
    ordered = np.sort(tracks, axis=1)
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_TRACK)
    _refuse(users, repeated, "a track more than once")


def _refuse(users: AnyIntArray, faulty: BoolArray, fault: str) -> None:
    if faulty.any():
        raise AnalysisError(f"recommendations of user {users[np.nonzero(faulty)[0][0]]}: {fault}")
