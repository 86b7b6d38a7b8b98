"""What a policy would have done at every logged request, given the session before it.

Lists are served as "random" (any track of the list, all equally likely) or "in-order" (the first one); tracks already
heard in the session, the organic one included, are left out.
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
    """A policy at the logged requests; arrays of shape (events,), of which those of organic tracks do not matter."""

    probability: FloatArray  # with which the policy recommends the very track that was heard
    answered: BoolArray  # whether the policy has a track to recommend; other requests are left out


@dataclass(frozen=True)
class RewardModel:
    """Predicted listening times; arrays of shape (events,)."""

    heard: FloatArray  # of the track that was heard; read where the policy's probability of it is above 0
    expected: FloatArray  # of the track that the policy recommends, on average over its choice


@dataclass(frozen=True)
class Lists:
    """Lists of recommendations and where their tracks were heard."""

    sessions: LoggedSessions
    tracks: IntArray  # of each listener, best first, filled up with -1; shape (listeners, longest)
    # Position in the list of a track heard for the first time in its session, else `NOT_LISTED`; shape (events,)
    rank: IntArray

    def head(self, k: int) -> "Lists":
        """Return the lists of the best k tracks alone."""
        return Lists(self.sessions, self.tracks[:, :k], np.where(self.rank < k, self.rank, NOT_LISTED))

    def serve(self, serving: Serving) -> Policy:
        """Return the policy that serves these lists."""
        sessions, heard = self.sessions, self.rank != NOT_LISTED
        length = np.count_nonzero(self.tracks != NO_TRACK, axis=1)[sessions.listener]
        if serving == "random":
            left = length - sessions.before(heard.astype(np.float64))
            return Policy(np.divide(heard, left, out=np.zeros(len(left)), where=heard & (left > 0)), left > 0)
        choice = self._first_left()
        return Policy((heard & (self.rank == choice)).astype(np.float64), choice < length)

    def _first_left(self) -> IntArray:
        """Return the first position of which nothing was heard in the session before each event; shape (events,)."""
        event = np.flatnonzero(self.rank != NOT_LISTED)
        event = event[np.lexsort((self.rank[event], self.sessions.first[event]))]
        begins = np.diff(self.sessions.first[event], prepend=-1) != 0
        number = np.arange(len(event))
        position = number - np.maximum.accumulate(np.where(begins, number, 0))
        # The head of n entries is heard when the last of them is; events of later sessions are later in the arrays.
        complete = np.maximum.accumulate(event[self.rank[event] == position])
        heads = np.bincount(complete, minlength=len(self.rank)).astype(np.float64)
        return self.sessions.before(heads).astype(np.int64)


class Matcher:
    """Finds where listed tracks were heard; what does not depend on the lists is done once."""

    def __init__(self, sessions: LoggedSessions) -> None:
        """Sort what was heard by listener and track."""
        self._sessions = sessions
        self._known, code = np.unique(sessions.track, return_inverse=True)
        keys = sessions.listener * len(self._known) + code
        fresh = np.flatnonzero(sessions.is_fresh)
        self._events = fresh[np.argsort(keys[fresh], kind="stable")]
        self._keys = keys[self._events]

    def match(self, users: AnyIntArray, tracks: AnyIntArray) -> Lists:
        """Find where the tracks of lists were heard.

        Args:
            users: The user of each list, shape (lists,), in any order; those without a logged session are left out,
                and requests of others are unanswered.
            tracks: Track ids, best first, filled up with -1 at the end; shape (lists, length of the longest).

        Raises:
            AnalysisError: The arrays cannot be used; `analysis.validation.align` says when.
        """
        lists = align(users, tracks, known=self._sessions.users, depth=tracks.shape[1])
        lists = lists[:, : max(1, int(np.count_nonzero(lists != NO_TRACK, axis=1).max()))]
        listener, position = np.nonzero(lists != NO_TRACK)
        listed = lists[listener, position]
        code = np.minimum(np.searchsorted(self._known, listed), len(self._known) - 1)
        keys = np.where(self._known[code] == listed, listener * len(self._known) + code, NOT_LISTED)
        left, right = (np.searchsorted(self._keys, keys, side=side) for side in ("left", "right"))
        count = right - left
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        rank = np.full(len(self._sessions.track), NOT_LISTED)
        rank[self._events[np.repeat(left, count) + within]] = np.repeat(position, count)
        return Lists(self._sessions, lists, rank)
