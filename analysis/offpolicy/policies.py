"""What a policy would have done at every logged request, given the session before it.

Lists are served as "random" (any track of the list, all equally likely) or "in-order" (the first
one); tracks already heard in the session, the organic one included, are left out.
"""

from typing import Literal

import numpy as np

from analysis.offpolicy.logged import LoggedSessions
from analysis.validation import align
from looplib.arrays import NO_TRACK, AnyIntArray, BoolArray, FloatArray

Serving = Literal["random", "in-order"]


def serve_lists(
    sessions: LoggedSessions,
    users: AnyIntArray,
    tracks: AnyIntArray,
    serving: Serving,
) -> tuple[FloatArray, BoolArray]:
    """Serve lists at the logged requests.

    Args:
        sessions: The logged sessions.
        users: The user of each list, shape (lists,), in any order; those without a logged session
            are left out, and requests of others are unanswered.
        tracks: Track ids, best first, filled up with -1 at the end; shape (lists, length of the
            longest).
        serving: How a track of a list is picked.

    Returns:
        Of each event the probability with which its track is recommended, and whether a list has a
        track to recommend.
    """
    lists = align(users, tracks, listeners=sessions.users, depth=tracks.shape[1])
    length = np.count_nonzero(lists != NO_TRACK, axis=1)[sessions.listener]
    # of each event the position in the list of a track heard for the first time in its session
    rank = np.full(len(sessions.track), -1)
    # events are listener by listener
    events = np.bincount(sessions.listener, minlength=len(lists))
    for position, listed in enumerate(lists.T):
        rank[np.repeat(listed, events) == sessions.track] = position
    rank[~sessions.is_fresh] = -1
    is_listed = rank >= 0
    if serving == "random":
        unheard = length - sessions.before(is_listed)
        answered = unheard > 0
        probability = np.zeros(len(unheard))
        np.divide(1.0, unheard, out=probability, where=is_listed & answered)
        return probability, answered
    # the first position of the list that was not heard before each event
    choice = np.zeros(len(rank), dtype=np.int64)
    all_heard = np.ones(len(rank), dtype=np.bool_)
    for position in range(lists.shape[1]):
        all_heard &= sessions.before(rank == position) > 0
        if not all_heard.any():
            break
        choice += all_heard
    is_choice = is_listed & (rank == choice)
    return is_choice.astype(np.float64), choice < length
