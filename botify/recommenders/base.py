"""What a recommender takes and returns."""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np

from botify.model.model import Model

# In place of a track, where there is none to recommend.
UNKNOWN = -1  # nothing is known of this listener or track
EXHAUSTED = -2  # all that could be recommended is taken in this session


class Row:
    """A listener who needs the next track.

    Attributes:
        user: The listener.
        tracks: Tracks heard in the open session, in order; the one just heard is the last.
        times: Share heard of each.
        all_taken: What must not be recommended: the tracks heard, and those recommended and not heard yet.
    """

    __slots__ = ("_taken", "all_taken", "times", "tracks", "user")

    def __init__(self, user: int, tracks: Sequence[int], times: Sequence[float], taken: Collection[int]) -> None:
        """Set the attributes; `taken` may name a track twice."""
        self.user, self.tracks, self.times, self.all_taken = user, tracks, times, taken
        self._taken: frozenset[int] | None = None

    @property
    def taken(self) -> frozenset[int]:
        """The taken tracks as a set; made when it is first used, as code over arrays needs none."""
        taken = self._taken
        if taken is None:
            taken = self._taken = frozenset(self.all_taken)
        return taken


Batch = Sequence[Row]


class Drawn(NamedTuple):
    """A track, or `UNKNOWN` or `EXHAUSTED`, and the probability with which it was drawn."""

    track: int
    propensity: float | None


# Returns a track for each row of the batch, in its order.
Recommender = Callable[[Model, Batch, np.random.Generator], list[Drawn]]

IS_UNKNOWN = Drawn(UNKNOWN, None)
IS_EXHAUSTED = Drawn(EXHAUSTED, None)
