"""What a recommender takes and returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, wraps
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


# Returns a track for each row of the batch, in its order.
Recommender = Callable[[Model, Batch, np.random.Generator], list[Drawn]]

IS_UNKNOWN = Drawn(UNKNOWN, None)
IS_EXHAUSTED = Drawn(EXHAUSTED, None)


def in_blocks(size: int) -> Callable[[Recommender], Recommender]:
    """Give a recommender at most `size` rows at once, so that what it compares stays in the cache."""

    def decorate(recommender: Recommender) -> Recommender:
        @wraps(recommender)
        def recommend(
            model: Model, batch: Batch, rng: np.random.Generator
        ) -> list[Drawn]:
            blocks = (
                batch[start : start + size] for start in range(0, len(batch), size)
            )
            return [
                drawn for block in blocks for drawn in recommender(model, block, rng)
            ]

        return recommend

    return decorate
