"""Define a recommender: a draw by model, query and generator, and the artifacts it reads."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from botify.model.model import Artifact, ServedModel
from looplib.arrays import NO_TRACK, AnyFloatArray, IntArray


@dataclass
class Query:
    """A listener who needs the next track, with the session so far."""

    user: int  # the listener's number, see `user_number`
    # Tracks heard in the open session, in order, which are not recommended; the last was just
    # heard. `NO_TRACK` stands for a track that the catalogue lacks.
    tracks: Sequence[int]
    times: Sequence[float]  # share heard of each
    excluded: frozenset[int] = frozenset()  # not to be recommended either
    count: int = 1  # tracks that are asked for
    repeat_after: int | None = None  # tracks until a track may come again; None: never
    candidates: IntArray | None = None  # tracks that may be recommended; None: any
    plays: bytes | None = None  # the listener's latest plays, see `Session`

    @property
    def pool(self) -> IntArray | slice:
        """The rows of arrays of tracks that may be recommended."""
        return slice(None) if self.candidates is None else self.candidates

    @cached_property
    def _candidate_set(self) -> frozenset[int]:
        return frozenset(() if self.candidates is None else self.candidates.tolist())

    def allowed(self, tracks: Iterable[int]) -> Iterator[int]:
        """Yield the tracks that may be recommended."""
        taken = self.taken
        free = (track for track in tracks if track not in taken)
        if self.candidates is None:
            return free
        return filter(self._candidate_set.__contains__, free)

    @cached_property
    def taken(self) -> set[int]:
        """The tracks of the catalogue that were heard too lately or are excluded."""
        start = 0
        if self.repeat_after is not None:
            start = max(0, len(self.tracks) - self.repeat_after)
        taken = {*self.tracks[start:], *self.excluded}
        taken.discard(NO_TRACK)
        return taken


class Drawn(NamedTuple):
    """A track, the probability with which it was drawn, and the following tracks of the ranking."""

    track: int  # `NO_TRACK` if there is none to recommend
    propensity: float | None = None
    is_exhausted: bool = False  # all that could be recommended is taken in this session
    following: tuple[int, ...] = ()  # where a query asks for several tracks, best first


UNKNOWN = Drawn(NO_TRACK)  # nothing is known of this listener or track
EXHAUSTED = Drawn(NO_TRACK, is_exhausted=True)


def take_first(tracks: Iterable[int], count: int) -> Drawn:
    """Take the first of some tracks that may be recommended.

    >>> take_first([3, 1, 2], 2)
    Drawn(track=3, propensity=1.0, is_exhausted=False, following=(1,))
    """
    first = islice(tracks, count)
    track = next(first, NO_TRACK)
    if track == NO_TRACK:
        return EXHAUSTED
    return Drawn(track, 1.0, following=tuple(first))


def take_best(
    scores: AnyFloatArray,
    taken: Collection[int],
    count: int = 1,
    among: IntArray | None = None,
) -> Drawn:
    """Take the tracks with the highest scores that are not taken.

    Ties go to the earlier track. Scores are changed in place.

    >>> take_best(np.array([0.1, 0.3, 0.2]), taken={1}, count=2).following
    (0,)

    Args:
        scores: Scores of all tracks, or of the named tracks.
        taken: Tracks.
        count: How many are taken.
        among: The tracks that the scores are of, shape (scores,), as a query's candidates.
    """
    if among is None:
        scores[list(taken)] = -np.inf
    else:
        scores[np.isin(among, list(taken))] = -np.inf
    if count == 1:
        best = [int(scores.argmax())]
    else:
        count = min(count, len(scores))
        likely = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
        best = likely[np.argsort(-scores[likely], kind="stable")][:count].tolist()
    rows = [row for row in best if scores[row] > -np.inf]
    return take_first(rows if among is None else among[rows].tolist(), count)


Draw = Callable[[ServedModel, Query, np.random.Generator], Drawn]
"""Draws a track for a listener: `UNKNOWN` where nothing is known of the listener or the track just
heard, `EXHAUSTED` where all that could be recommended is taken."""


@dataclass(frozen=True)
class Recommender:
    """A recommender of the next track; `registry.RECOMMENDERS` gives it a name."""

    draw: Draw
    # The recommender has no track if any of these is missing.
    reads: Sequence[Artifact[Any]] = ()
    # Also read if an arm asks for the recommender and the version has them; a fallback does
    # without.
    reads_for_arms: Sequence[Artifact[Any]] = ()
    ranks: bool = False  # the same query always gets the best tracks of a ranking
