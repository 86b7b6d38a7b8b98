"""What a recommender is: a function of model, batch and generator, beside the parts it reads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from botify.model.model import Model

# In place of a track, where there is none to recommend.
UNKNOWN = -1  # nothing is known of this listener or track
EXHAUSTED = -2  # all that could be recommended is taken in this session


@dataclass
class Row:
    """A listener who needs the next track."""

    user: int  # the listener's number, see `user_number`
    # heard in the open session, in order: not to be recommended; the last one was just heard
    tracks: Sequence[int]
    times: Sequence[float]  # share heard of each

    @cached_property
    def taken(self) -> frozenset[int]:
        """The tracks heard, made when first used: code over arrays needs no set."""
        return frozenset(self.tracks)


Batch = Sequence[Row]


class Drawn(NamedTuple):
    """A track, or `UNKNOWN` or `EXHAUSTED`, and the probability with which it was drawn."""

    track: int
    propensity: float | None


IS_UNKNOWN = Drawn(UNKNOWN, None)
IS_EXHAUSTED = Drawn(EXHAUSTED, None)

# Returns a track for each row of the batch, in its order.
Draw = Callable[[Model, Batch, np.random.Generator], list[Drawn]]
# Whether a recommender that draws at random could have drawn a track for a row.
MayDraw = Callable[[Model, Row, int], bool]


@dataclass(frozen=True)
class Recommender:
    """A recommender, as the registry knows it."""

    draw: Draw
    reads: frozenset[str]  # parts of an export; see `botify.model.model`
    # Rows that are asked for at once, so that what is compared stays in the cache.
    at_once: int | None = None
    # Of one that draws with equal chances; None where the same session gets the same track.
    may_draw: MayDraw | None = None

    def __call__(
        self, model: Model, batch: Batch, rng: np.random.Generator
    ) -> list[Drawn]:
        """Recommend a track to each row."""
        if self.at_once is None or len(batch) <= self.at_once:
            return self.draw(model, batch, rng)
        drawn = []
        for start in range(0, len(batch), self.at_once):
            drawn += self.draw(model, batch[start : start + self.at_once], rng)
        return drawn


def recommender(
    *reads: str, at_once: int | None = None, may_draw: MayDraw | None = None
) -> Callable[[Draw], Recommender]:
    """Make a recommender of a function; the arguments are the fields of `Recommender`."""

    def make(draw: Draw) -> Recommender:
        return Recommender(draw, frozenset(reads), at_once, may_draw)

    return make
