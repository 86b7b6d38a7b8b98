"""What a policy would have done at every logged request, given the session before it.

Lists are served as "random" (any track of the list, all equally likely) or "in-order" (the first one); tracks already
heard in the session, the organic one included, are left out.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.offpolicy.logged import LoggedSessions
from analysis.validation.lists import Recommended, flatten
from looplib.arrays import AnyIntArray, BoolArray, FloatArray, IntArray

Serving = Literal["random", "in-order"]
NOTHING = -1  # no entry of the list


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
    entries: Recommended  # the listed tracks, by listener, best first
    start: IntArray  # the first entry of each listener; shape (listeners,)
    length: IntArray  # how many entries each has; shape (listeners,)
    hit_entry: IntArray  # the entry of each hit, which is the first hearing of an entry in a session; shape (hits,)
    hit_event: IntArray  # the event of each hit; shape (hits,)

    def at_hits(self, values: FloatArray) -> FloatArray:
        """Return values of shape (entries,) at the events where the entry was heard, 0 elsewhere; shape (events,)."""
        events = np.zeros(len(self.sessions.track))
        events[self.hit_event] = values[self.hit_entry]
        return events

    def serve(self, serving: Serving) -> Policy:
        """Return the policy that serves these lists."""
        if serving == "random":
            left = self._entries_left()
            hits = self.at_hits(np.ones(len(self.entries.tracks)))
            return Policy(np.divide(hits, left, out=hits, where=left > 0), left > 0)
        choice = self._first_entry_left()
        heard = np.full(len(choice), NOTHING - 1)
        heard[self.hit_event] = self.hit_entry
        return Policy((heard == choice).astype(np.float64), choice != NOTHING)

    def _entries_left(self) -> IntArray:
        """Return how many entries were not heard in the session before each event; shape (events,)."""
        heard = self.sessions.before(self.at_hits(np.ones(len(self.entries.tracks)))).astype(np.int64)
        return self.length[self.sessions.listener] - heard

    def _first_entry_left(self) -> IntArray:
        """Return the first entry not heard in the session before each event, or `NOTHING`; shape (events,)."""
        sessions = self.sessions
        session = sessions.first[self.hit_event]
        rank = self.hit_entry - self.start[sessions.listener[self.hit_event]]
        order = np.lexsort((rank, session))
        session, rank, event = session[order], rank[order], self.hit_event[order]
        begins = np.diff(session, prepend=-1) != 0
        position = np.arange(len(order)) - np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
        # The head of n entries is heard when the last of them is; events of later sessions are later in the arrays.
        complete = np.maximum.accumulate(event[rank == position])
        heads = sessions.before(np.bincount(complete, minlength=len(sessions.track)).astype(np.float64))
        heard = heads.astype(np.int64)
        return np.where(heard < self.length[sessions.listener], self.start[sessions.listener] + heard, NOTHING)


class Matcher:
    """Finds where listed tracks were heard; what does not depend on the lists is done once."""

    def __init__(self, sessions: LoggedSessions) -> None:
        """Sort the events by listener and track."""
        self._sessions = sessions
        self._known, code = np.unique(sessions.track, return_inverse=True)
        keys = sessions.listener * len(self._known) + code
        self._order = np.argsort(keys, kind="stable")  # of equals the earlier event stands first
        self._keys = keys[self._order]

    def match(self, users: AnyIntArray, tracks: AnyIntArray) -> Lists:
        """Find the hits of lists.

        Args:
            users: The user of each list, shape (lists,); those without a logged session are left out.
            tracks: Track ids, best first, filled up with -1 at the end; shape (lists, length of the longest).

        Raises:
            AnalysisError: The arrays cannot be used; `analysis.validation.lists.flatten` says when.
        """
        known = self._sessions.users
        entries = flatten(users, tracks, known=known, depth=tracks.shape[1])
        order = np.argsort(entries.listeners, kind="stable")
        entries = Recommended(entries.listeners[order], entries.ranks[order], entries.tracks[order])
        length = np.bincount(entries.listeners, minlength=len(known))
        return Lists(self._sessions, entries, np.cumsum(length) - length, length, *self._hits(entries))

    def _hits(self, entries: Recommended) -> tuple[IntArray, IntArray]:
        code = np.searchsorted(self._known, entries.tracks)
        ever_heard = self._known[np.minimum(code, len(self._known) - 1)] == entries.tracks
        keys = np.where(ever_heard, entries.listeners * len(self._known) + code, -1)
        left = np.searchsorted(self._keys, keys, side="left")
        count = np.searchsorted(self._keys, keys, side="right") - left
        entry = np.repeat(np.arange(len(keys)), count)
        within = np.arange(len(entry)) - np.repeat(np.cumsum(count) - count, count)
        event = self._order[np.repeat(left, count) + within]
        session = self._sessions.first[event]
        # A session's hearings of one entry stand together, the first one first.
        first_hearing = (np.diff(entry, prepend=-1) != 0) | (np.diff(session, prepend=-1) != 0)
        return entry[first_hearing], event[first_hearing]
