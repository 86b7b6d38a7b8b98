"""What a recommender is: a draw by model, row and generator, beside the parts it reads."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from botify.model.catalogue import UNKNOWN_TRACK
from botify.model.model import Model, Part
from looplib.arrays import AnyFloatArray

# In place of a track, where there is none to recommend.
UNKNOWN = -1  # nothing is known of this listener or track
EXHAUSTED = -2  # all that could be recommended is taken in this session


@dataclass
class Row:
    """A listener who needs the next track."""

    user: int  # the listener's number, see `user_number`
    # heard in the open session, in order: not to be recommended; the last one was just heard;
    # `UNKNOWN_TRACK` of one that the catalogue lacks
    tracks: Sequence[int]
    times: Sequence[float]  # share heard of each
    excluded: frozenset[int] = frozenset()  # not to be recommended either

    @cached_property
    def taken(self) -> frozenset[int]:
        """The known tracks heard or excluded, made when first used."""
        return self.excluded.union(self.tracks) - {UNKNOWN_TRACK}


class Drawn(NamedTuple):
    """A track, or `UNKNOWN` or `EXHAUSTED`, and the probability with which it was drawn."""

    track: int
    propensity: float | None


IS_UNKNOWN = Drawn(UNKNOWN, None)
IS_EXHAUSTED = Drawn(EXHAUSTED, None)


def take_first(tracks: Iterable[int], taken: Collection[int]) -> Drawn:
    """Take the first track that is not taken."""
    free = (track for track in tracks if track not in taken)
    track = next(free, EXHAUSTED)
    return IS_EXHAUSTED if track == EXHAUSTED else Drawn(track, 1.0)


def take_best(scores: AnyFloatArray, taken: Collection[int]) -> Drawn:
    """Take the track with the highest score that is not taken; scores are changed in place."""
    scores[list(taken)] = -np.inf
    track = int(scores.argmax())
    return IS_EXHAUSTED if scores[track] == -np.inf else Drawn(track, 1.0)


class Recommender(ABC):
    """A recommender of the next track; `registry.RECOMMENDERS` gives it a name."""

    reads: Sequence[Part[Any]] = ()  # without these it has no track
    # Read too where an arm asks for it and the version has them: a fallback does without.
    reads_for_arms: Sequence[Part[Any]] = ()

    @abstractmethod
    def draw(self, model: Model, row: Row, rng: np.random.Generator) -> Drawn:
        """Draw a track for a listener."""
