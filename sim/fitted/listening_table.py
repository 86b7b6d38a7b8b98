"""Who heard which track how much: pairs with weights, and what follows from them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from looplib.arrays import FloatArray, IntArray


@dataclass(frozen=True)
class ListeningTable:
    """Weights above 0 of different pairs, by user and then by track."""

    users: int
    tracks: int
    user: IntArray  # (pairs,) ascending
    track: IntArray  # (pairs,)
    weight: FloatArray  # (pairs,)

    @classmethod
    def of(cls, users: int, tracks: int, user: IntArray, track: IntArray, weight: FloatArray) -> "ListeningTable":
        """Adds up the weights of equal pairs, and leaves out pairs without weight."""
        pair, place = np.unique(user * tracks + track, return_inverse=True)
        sums = np.bincount(place, weights=weight, minlength=len(pair)).astype(np.float64)
        pair, sums = pair[sums > 0], sums[sums > 0]
        return cls(users, tracks, pair // tracks, pair % tracks, sums)

    @cached_property
    def offsets(self) -> IntArray:
        """(users + 1,): user u has the pairs offsets[u]..offsets[u + 1] - 1."""
        return np.searchsorted(self.user, np.arange(self.users + 1))

    @cached_property
    def popularity(self) -> FloatArray:
        """(tracks,) the weight of each track."""
        return np.bincount(self.track, weights=self.weight, minlength=self.tracks).astype(np.float64)

    def only(self, users: IntArray) -> "ListeningTable":
        """The same of some users, ascending, who are numbered anew in this order."""
        number = np.full(self.users, -1)
        number[users] = np.arange(len(users))
        kept = number[self.user] >= 0
        return ListeningTable(len(users), self.tracks, number[self.user[kept]], self.track[kept], self.weight[kept])
