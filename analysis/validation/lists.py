"""Recommendations as arrays: checked, and in the order of the listeners whom they are valued on."""

import numpy as np

from analysis.errors import AnalysisError
from looplib.arrays import AnyIntArray, IntArray

NO_TRACK = -1  # fills up a short list


def align(users: AnyIntArray, tracks: AnyIntArray, *, known: IntArray, depth: int) -> IntArray:
    """Return the list of each known user, filled up with -1; shape (known users, `depth`).

    Args:
        users: The user of each list, shape (lists,), in any order; others are left out.
        tracks: The lists, best first, filled up with -1 at the end; shape (lists, at least `depth`).
        known: The known users, ascending.
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
    is_known = known[np.minimum(index, len(known) - 1)] == users
    aligned = np.full((len(known), depth), NO_TRACK, dtype=np.int64)
    aligned[index[is_known]] = tracks[is_known, :depth]
    return aligned
