"""Define a recommender: a draw by model, query and generator, and the artifacts it reads."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from botify.model.model import Artifact, ServedModel
from looplib.arrays import NO_TRACK, AnyFloatArray


@dataclass
class Query:
    """A listener who needs the next track, with the session so far."""

    user: int  # the listener's number, see `user_number`
    # heard in the open session, in order: not to be recommended; the last one was just heard;
    # `NO_TRACK` of one that the catalogue lacks
    tracks: Sequence[int]
    times: Sequence[float]  # share heard of each
    excluded: frozenset[int] = frozenset()  # not to be recommended either

    @cached_property
    def taken(self) -> frozenset[int]:
        """The tracks of the catalogue that were heard or are excluded."""
        return self.excluded.union(self.tracks) - {NO_TRACK}


class Drawn(NamedTuple):
    """A track, and the probability with which it was drawn."""

    track: int  # `NO_TRACK` where there is none to recommend
    propensity: float | None = None
    is_exhausted: bool = False  # all that could be recommended is taken in this session


UNKNOWN = Drawn(NO_TRACK)  # nothing is known of this listener or track
EXHAUSTED = Drawn(NO_TRACK, is_exhausted=True)


def take_first(tracks: Iterable[int], taken: Collection[int]) -> Drawn:
    """Take the first track that is not taken.

    >>> take_first([3, 1, 2], taken={3}).track
    1
    """
    free = (track for track in tracks if track not in taken)
    track = next(free, NO_TRACK)
    return EXHAUSTED if track == NO_TRACK else Drawn(track, 1.0)


def take_best(scores: AnyFloatArray, taken: Collection[int]) -> Drawn:
    """Take the track with the highest score that is not taken; scores are changed in place."""
    scores[list(taken)] = -np.inf
    track = int(scores.argmax())
    return EXHAUSTED if scores[track] == -np.inf else Drawn(track, 1.0)


Draw = Callable[[ServedModel, Query, np.random.Generator], Drawn]
"""Draws a track for a listener: `UNKNOWN` where nothing is known of the listener or the track just
heard, `EXHAUSTED` where all that could be recommended is taken."""


@dataclass(frozen=True)
class Recommender:
    """A recommender of the next track; `registry.RECOMMENDERS` gives it a name."""

    draw: Draw
    reads: Sequence[Artifact[Any]] = ()  # without these it has no track
    # Read too where an arm asks for it and the version has them: a fallback does without.
    reads_for_arms: Sequence[Artifact[Any]] = ()
