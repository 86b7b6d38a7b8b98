"""Recommendations as arrays: checked, and flattened to one entry per recommended track."""

from dataclasses import dataclass

import numpy as np

from analysis.errors import AnalysisError
from looplib.arrays import AnyIntArray, IntArray

NO_TRACK = -1  # fills up a short list


@dataclass(frozen=True)
class Recommended:
    """Recommended tracks of the listeners who are validated, one entry a track; all of shape (entries,)."""

    listeners: IntArray  # index of the listener among the validated
    ranks: IntArray  # 1 is the best
    tracks: IntArray  # the track's id


def flatten(users: AnyIntArray, tracks: AnyIntArray, *, known: IntArray, depth: int) -> Recommended:
    """Flatten lists of recommendations and leave out the users who are not validated.

    Args:
        users: The user of each list, shape (lists,).
        tracks: The lists, best first, filled up with -1 at the end; shape (lists, at least `depth`).
        known: The validated users, ascending.
        depth: How many of the best recommendations are used.

    Raises:
        AnalysisError: A list is too short, or a user or a track of a list is repeated.
    """
    users, tracks = users.astype(np.int64, copy=False), tracks.astype(np.int64, copy=False)
    if tracks.shape[1] < depth:
        raise AnalysisError(f"lists of {tracks.shape[1]} recommendations; metrics at {depth} need at least {depth}")
    ordered_users, ordered = np.sort(users), np.sort(tracks, axis=1)
    if (twice := ordered_users[1:][ordered_users[1:] == ordered_users[:-1]]).size:
        raise AnalysisError(f"user {twice[0]} has more than one list of recommendations")
    repeated = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_TRACK)
    if repeated.any():
        user = users[np.nonzero(repeated)[0][0]]
        raise AnalysisError(f"recommendations of user {user}: a track more than once")
    index = np.searchsorted(known, users)
    validated = known[np.minimum(index, len(known) - 1)] == users
    lists = tracks[validated, :depth]
    filled = lists != NO_TRACK
    rows, columns = np.nonzero(filled)
    return Recommended(index[validated][rows], columns + 1, lists[filled])
