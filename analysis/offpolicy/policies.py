"""What a policy would have done at every logged request, given the session before it.

Lists are served as "random" (any track of the list, all equally likely) or "in-order" (the first
one); tracks already heard in the session, the organic one included, are left out.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.offpolicy.logged import LoggedSessions
from analysis.validation import NO_TRACK, align
from looplib.arrays import AnyIntArray, BoolArray, FloatArray, IntArray

Serving = Literal["random", "in-order"]
NOT_LISTED = -1


@dataclass(frozen=True)
class Policy:
    """A policy at the logged requests; arrays of shape (events,), organic tracks do not matter."""

    # with which the policy recommends the very track that was heard
    probability: FloatArray
    # whether the policy has a track to recommend; other requests are left out
    answered: BoolArray


@dataclass(frozen=True)
class ListedTracks:
    """ListedTracks of recommendations and where their tracks were heard."""

    sessions: LoggedSessions
    tracks: IntArray  # of each listener, best first, filled up with -1; shape (listeners, longest)
    # Position in the list of a track heard for the first time in its session, else `NOT_LISTED`; of
    # each event.
    rank: IntArray

    def head(self, k: int) -> "ListedTracks":
        """Return the lists of the best k tracks alone."""
        rank = np.where(self.rank < k, self.rank, NOT_LISTED)
        return ListedTracks(self.sessions, self.tracks[:, :k], rank)

    def serve(self, serving: Serving) -> Policy:
        """Return the policy that serves these lists."""
        lengths = np.count_nonzero(self.tracks != NO_TRACK, axis=1)
        length = lengths[self.sessions.listener]
        is_listed = self.rank != NOT_LISTED
        if serving == "random":
            unheard = length - self.sessions.before(is_listed)
            answered = unheard > 0
            probability = np.zeros(len(unheard))
            np.divide(1.0, unheard, out=probability, where=is_listed & answered)
            return Policy(probability, answered)
        choice = self._first_unheard()
        is_choice = is_listed & (self.rank == choice)
        return Policy(is_choice.astype(np.float64), choice < length)

    def _first_unheard(self) -> IntArray:
        """Return the first position of the list that was not heard before each event."""
        choice = np.zeros(len(self.rank), dtype=np.int64)
        all_heard = np.ones(len(self.rank), dtype=np.bool_)
        for position in range(self.tracks.shape[1]):
            all_heard &= self.sessions.before(self.rank == position) > 0
            if not all_heard.any():
                break
            choice += all_heard
        return choice


def match_lists(
    sessions: LoggedSessions,
    users: AnyIntArray,
    tracks: AnyIntArray,
) -> ListedTracks:
    """Find where the tracks of lists were heard.

    Args:
        sessions: The logged sessions.
        users: The user of each list, shape (lists,), in any order; those without a logged session
            are left out, and requests of others are unanswered.
        tracks: Track ids, best first, filled up with -1 at the end; shape (lists, length of the
            longest).
    """
    lists = align(users, tracks, listeners=sessions.users, depth=tracks.shape[1])
    rank = np.full(len(sessions.track), NOT_LISTED)
    # events are listener by listener
    events = np.bincount(sessions.listener, minlength=len(lists))
    for position, listed in enumerate(lists.T):
        rank[np.repeat(listed, events) == sessions.track] = position
    rank[~sessions.is_fresh] = NOT_LISTED
    return ListedTracks(sessions, lists, rank)
