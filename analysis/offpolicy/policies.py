"""What a policy would have done at every logged request, given the session so far.

A policy is valued as it is served: tracks heard in the session, the organic one included, are out. A list is served as
"random" (the rest of the list, all equally likely) or "in-order" (the first of the rest). A session-aware policy is
given by its probabilities, computed from the logged sessions all at once or asked of it a request at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, Protocol

import numpy as np

from analysis.errors import AnalysisError
from analysis.offpolicy.logged import LoggedSessions
from analysis.validation.lists import Recommended, flatten
from looplib.arrays import AnyIntArray, BoolArray, FloatArray, IntArray

Serving = Literal["random", "in-order"]


class Policy(Protocol):
    """A policy, as far as it can be seen at the logged requests; all arrays are of shape (events,).

    What it says of an event is about the request that the event is the outcome of; organic tracks do not matter.
    """

    @property
    def probability(self) -> FloatArray:
        """With which the policy recommends the very track that was heard, given the session before it."""

    @property
    def answered(self) -> BoolArray:
        """Whether the policy has a track to recommend; other requests are left out."""


class RewardModel(Protocol):
    """A guess of the listening time; all arrays are of shape (events,)."""

    @property
    def heard(self) -> FloatArray:
        """Of the track that was heard; read where the policy's probability of it is above 0."""

    @property
    def expected(self) -> FloatArray:
        """Of the track that the policy recommends, on average over its choice."""


class SessionSoFar(NamedTuple):
    """What a policy knows at a request.

    Attributes:
        user: The listener.
        tracks: The tracks heard in the session, the organic one first.
        times: Listening time of each.
    """

    user: int
    tracks: IntArray
    times: FloatArray


@dataclass(frozen=True)
class SessionAware:
    """A policy that depends on the session, by its probabilities.

    Attributes:
        probability: As in `Policy`.
        answered: As in `Policy`.
    """

    probability: FloatArray
    answered: BoolArray

    @classmethod
    def ask(cls, sessions: LoggedSessions, propensity: Callable[[SessionSoFar, int], float | None]) -> "SessionAware":
        """Asks a policy at every request that counts, one after the other.

        Args:
            sessions: The logged sessions.
            propensity: The probability with which the policy recommends a track in a session; None where it has
                nothing to recommend.
        """
        probability, answered = np.zeros(len(sessions.track)), np.zeros(len(sessions.track), dtype=bool)
        users = sessions.users[sessions.listener].tolist()
        for event in np.flatnonzero(sessions.counted).tolist():
            before = slice(int(sessions.first[event]), event)
            so_far = SessionSoFar(users[event], sessions.track[before], sessions.time[before])
            found = propensity(so_far, int(sessions.track[event]))
            answered[event] = found is not None
            probability[event] = found or 0.0
        return cls(probability, answered)


@dataclass(frozen=True)
class Guesses:
    """A reward model by its guesses; the attributes are as in `RewardModel`."""

    heard: FloatArray
    expected: FloatArray


@dataclass(frozen=True)
class Lists:
    """Lists of recommendations and where their tracks were heard.

    Entries are the listed tracks of all listeners, by listener, best first; hits are the first hearings of a listed
    track in a session.

    Attributes:
        sessions: The logged sessions.
        start: The first entry of each listener; shape (listeners,).
        length: How many entries each has; shape (listeners,).
        tracks: Track of each entry; shape (entries,).
        hit_entry: Entry of each hit; shape (hits,).
        hit_event: Event of each hit; shape (hits,).
    """

    sessions: LoggedSessions
    start: IntArray
    length: IntArray
    tracks: IntArray
    hit_entry: IntArray
    hit_event: IntArray

    def at_hits(self, values: FloatArray) -> FloatArray:
        """Values of shape (entries,) at the events where the entry was heard, 0 at others; shape (events,)."""
        events = np.zeros(len(self.sessions.track))
        events[self.hit_event] = values[self.hit_entry]
        return events

    def heard_before(self) -> IntArray:
        """How many entries were heard in the session before each event; shape (events,)."""
        return self.sessions.before(self.at_hits(np.ones(len(self.tracks)))).astype(np.int64)


class Matcher:
    """Finds where listed tracks were heard; what does not depend on the lists is done once."""

    def __init__(self, sessions: LoggedSessions) -> None:
        """Sorts the events by listener and track."""
        self._sessions = sessions
        self._known, code = np.unique(sessions.track, return_inverse=True)
        keys = sessions.listener * len(self._known) + code
        self._order = np.argsort(keys, kind="stable")  # of equals the earlier event stands first
        self._keys = keys[self._order]

    def match(self, users: AnyIntArray, tracks: AnyIntArray) -> tuple[Lists, Recommended]:
        """Finds the hits of lists.

        Args:
            users: The user of each list, shape (lists,); those without a logged session are left out.
            tracks: Track ids, best first, filled up with -1 at the end; shape (lists, length of the longest).

        Returns:
            The lists, and their entries in the same order.

        Raises:
            AnalysisError: The arrays cannot be used; `analysis.validation.validator.lists.flatten` says when.
        """
        entries = flatten(
            users, tracks, known=self._sessions.users, depth=tracks.shape[1], catalogue_size=np.iinfo(np.int64).max
        )
        order = np.argsort(entries.listeners, kind="stable")
        entries = Recommended(entries.listeners[order], entries.ranks[order], entries.tracks[order])
        length = np.bincount(entries.listeners, minlength=len(self._sessions.users))
        hit_entry, hit_event = self._hits(entries)
        lists = Lists(self._sessions, np.cumsum(length) - length, length, entries.tracks, hit_entry, hit_event)
        return lists, entries

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


@dataclass(frozen=True)
class RandomOfList:
    """Any track of the list that was not heard in the session, all equally likely."""

    lists: Lists

    @cached_property
    def _left(self) -> IntArray:
        """Entries not heard yet."""
        return self.lists.length[self.lists.sessions.listener] - self.lists.heard_before()

    @property
    def answered(self) -> BoolArray:
        """Where some entry is left."""
        return self._left > 0

    @cached_property
    def probability(self) -> FloatArray:
        """One over the entries left, at hits."""
        hits = self.lists.at_hits(np.ones(len(self.lists.tracks)))
        return np.divide(hits, self._left, out=hits, where=self._left > 0)

    def expected(self, values: FloatArray) -> FloatArray:
        """The mean of values of shape (entries,) over the entries left; shape (events,), 0 where there is none."""
        listener = self.lists.sessions.listener
        of_lists = _sums(values, self.lists)[listener]
        left = of_lists - self.lists.sessions.before(self.lists.at_hits(values))
        return np.divide(left, self._left, out=np.zeros(len(left)), where=self._left > 0)


@dataclass(frozen=True)
class InOrder:
    """The first track of the list that was not heard in the session."""

    lists: Lists

    @cached_property
    def _rank(self) -> IntArray:
        """How many entries at the head of the list were all heard before each event; shape (events,)."""
        lists, sessions = self.lists, self.lists.sessions
        session = sessions.first[lists.hit_event]
        rank = lists.hit_entry - lists.start[sessions.listener[lists.hit_event]]
        order = np.lexsort((rank, session))
        session, rank, event = session[order], rank[order], lists.hit_event[order]
        begins = np.diff(session, prepend=-1) != 0
        place = np.arange(len(order)) - np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
        # The head of n entries is heard when the last of them is; events of later sessions are later in the arrays.
        complete = np.maximum.accumulate(event[rank == place])
        return sessions.before(np.bincount(complete, minlength=len(sessions.track)).astype(np.float64)).astype(np.int64)

    @cached_property
    def answered(self) -> BoolArray:
        """Where some entry is left."""
        return self._rank < self.lists.length[self.lists.sessions.listener]

    @cached_property
    def _choice(self) -> IntArray:
        """The entry that would have been recommended at the answered events; shape (answered events,)."""
        return self.lists.start[self.lists.sessions.listener[self.answered]] + self._rank[self.answered]

    @cached_property
    def probability(self) -> FloatArray:
        """1 where the first entry left is the one that was heard."""
        heard = self.lists.at_hits(np.arange(len(self.lists.tracks), dtype=np.float64) + 1)[self.answered]
        probability = np.zeros(len(self.answered))
        probability[self.answered] = heard == self._choice + 1
        return probability

    def expected(self, values: FloatArray) -> FloatArray:
        """The value, of shape (entries,), of the first entry left; shape (events,), 0 where there is none."""
        expected = np.zeros(len(self.answered))
        expected[self.answered] = values[self._choice]
        return expected


ListPolicy = RandomOfList | InOrder
SERVINGS: dict[Serving, type[RandomOfList] | type[InOrder]] = {"random": RandomOfList, "in-order": InOrder}


def serve(lists: Lists, serving: Serving) -> ListPolicy:
    """The policy that serves lists one way.

    Raises:
        AnalysisError: There is no such way.
    """
    if serving not in SERVINGS:
        raise AnalysisError(f"serving {serving}: allowed are {', '.join(SERVINGS)}")
    return SERVINGS[serving](lists)


def _sums(values: FloatArray, lists: Lists) -> FloatArray:
    """The sum of values of shape (entries,) over each list; shape (listeners,)."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(sums[lists.start + lists.length] - sums[lists.start])
